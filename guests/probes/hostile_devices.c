// SPDX-License-Identifier: MIT
/*
 * A guest that does with its devices whatever it likes: stores of every width to configuration space and
 * registers, transfers from and to addresses of every kind, floods, lines that it holds, interrupts
 * that it does not complete, resets in the middle of all that. It counts its operations in a register
 * of its first device, which outlives the resets, and ends while an interrupt is active.
 */
#include "edu.h"
#include "exception.h"
#include "gic.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define DEVICES_MAX 8
#define NOTE_EVERY 64
#define BYTES_MAX 4088
#define BUFFER_BYTES 4096
#define KEPT_MAX 8

volatile u64 operations = 5000; /* the harness may set it */

static struct edu edus[DEVICES_MAX];
static u32 device_count, taken;
static u32 kept[KEPT_MAX], kept_count; /* acknowledged, and not completed */
static u64 scratch;

/* What was written to that register reads inverted, 0: nothing was yet. */
static u32 operations_before(void)
{
	u32 noted = read32(edus[0].bar + EDU_LIVENESS);

	return noted ? ~noted : 0;
}

static const struct edu *any(void)
{
	return &edus[random() % device_count];
}

/* As drivers should not: not always is the interrupt completed, or the device made quiet. */
static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	if (iar == INTID_SPURIOUS)
		return;
	if (++taken % 4 == 0)
		for (u32 i = 0; i < device_count; i++)
			write32(edus[i].bar + EDU_ACKNOWLEDGE, ~0U);
	if (taken % 16 == 0 && kept_count < KEPT_MAX)
		kept[kept_count++] = iar;
	else
		gic_eoi(iar);
}

static void store(u64 address, u64 size_log2, u64 value)
{
	address = align_down(address, BIT(size_log2));
	if (size_log2 == 0)
		write8(address, (u8)value);
	else if (size_log2 == 1)
		write16(address, (u16)value);
	else if (size_log2 == 2)
		write32(address, (u32)value);
	else
		write64(address, value);
}

static void configuration(void)
{
	u64 config = any()->config, kind = random() % 4;
	u64 value = random() % 4 ? random() : ~0UL;

	if (kind == 0)
		store(PCI_ECAM + (random() & 0xffff8), random() % 4, value);
	else if (kind == 1)
		store(config + PCI_BAR0 + (random() & 0x1f), random() % 4, value);
	else
		store(config + (random() & 0xff8), random() % 4, value);
	if (random() % 4 == 0)
		read64(config + (random() & 0xff8));
	write16(any()->config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* Of every kind there is; of RAM only what is for it, and what leads out of it. */
static u64 address(void)
{
	static const u64 places[] = {
		0,	    0x08000000, 0x08040000,	 0x080a0000,   0x09000000, 0x09050000,
		0x10000000, 0x10100000, 0x40000000 - 64, 0x4010000000, 1UL << 39,  ~63UL,
	};

	switch (random() % 6) {
	case 0:
	case 1:
		return scratch + random() % BUFFER_BYTES / 8 * 8;
	case 2:
		return ram_end() - 8 + random() % 4 * 8;
	case 3:
		return ram_end() + random() % GIB(4) / 8 * 8;
	case 4:
		return random() | 1UL << 47;
	default:
		return places[random() % (sizeof(places) / sizeof(places[0]))] + random() % 64;
	}
}

static void transfer(void)
{
	u64 bytes = random() % 4 ? random() % 64 + 1 : BYTES_MAX;
	u64 flags = random() % 2 ? EDU_DMA_INTERRUPT : 0;

	if (random() % 2)
		edu_start(any(), EDU_BUFFER, address(), bytes, EDU_DMA_TO_RAM | flags);
	else
		edu_start(any(), address(), EDU_BUFFER, bytes, flags);
}

/* Without 8 (factorials: computed by a thread, in its own time) and what counts the operations. */
static void registers(void)
{
	static const u16 offsets[] = {EDU_RAISE, EDU_ACKNOWLEDGE, EDU_INTERRUPT_STATUS, 0x20, 0x70,
				      0x98};

	store(any()->bar + offsets[random() % (sizeof(offsets) / sizeof(offsets[0]))], 2,
	      random() & ~(u64)EDU_DMA_START & ~0x80UL);
}

static void lines(void)
{
	u32 intid = 35 + (u32)random() % 4;

	switch (random() % 6) {
	case 0:
		gic_disable(intid);
		break;
	case 1:
		gic_set_edge(intid, random() % 2);
		break;
	case 2:
		gic_set_pending(intid);
		break;
	case 3:
		write32(any()->bar + EDU_RAISE, ~0U);
		break;
	default:
		gic_enable(intid);
		irq_enable();
		irq_disable();
	}
}

/* Nothing is active or asks: a sleep ends when it should. */
static void calm_down(void)
{
	while (kept_count)
		gic_eoi(kept[--kept_count]);
	gic_init();
	for (u32 line = 0; line < 4; line++)
		gic_set_edge(pci_intid(line), false);
	irq_handler_set(handler);
	gic_enable(INTID_VTIMER);
}

static void operation(void)
{
	switch (random() % 256) {
	case 0:
		calm_down();
		edu_sleep_until(counter() + ticks_from_us(101000));
		break;
	case 1:
		hvc(STRATA_MEMORY_RELEASE, scratch, BUFFER_BYTES, 0);
		break;
	default:
		switch (random() % 4) {
		case 0:
			configuration();
			break;
		case 1:
			transfer();
			break;
		case 2:
			registers();
			break;
		default:
			lines();
		}
	}
}

/* The interrupt stays active, and its device asks on. */
static void end_active(void)
{
	calm_down();
	gic_enable(pci_intid((u32)(edus[0].config >> 15 & 31)));
	write16(edus[0].config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	write32(edus[0].bar + EDU_RAISE, 1);
	report(irq_wait_signalled(), "an interrupt is signalled, whatever was before", 0, 1);
	gic_ack();
}

void probe(void)
{
	u64 done;

	scratch = align_up(free_memory(), MIB(2));
	for (u32 slot = pci_find(EDU_ID, 0); slot < PCI_SLOTS && device_count < DEVICES_MAX;
	     slot = pci_find(EDU_ID, slot + 1))
		edus[device_count++] = edu_open(slot);
	done = operations_before();
	for (u64 i = 0; i < done / NOTE_EVERY; i++) /* another sequence in each life */
		random();
	calm_down();
	while (done < operations) {
		operation();
		if (++done % NOTE_EVERY == 0)
			write32(edus[0].bar + EDU_LIVENESS, (u32)done);
		if (done % NOTE_EVERY == 0 && random() % 16 == 0)
			hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
	}
	report_equal("operations", done, operations);
	end_active();
}
