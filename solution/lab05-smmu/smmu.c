// SPDX-License-Identifier: MIT
/*
 * The SMMU from reset to the first translation, and its errors.
 *
 * Until it is enabled, DMA passes by it untranslated, or is refused where it can be told so (GBPA).
 * No device is a bus master then. It is turned on whether or not a VM has devices: from then on
 * what nobody assigned reaches nothing.
 *
 * Its tables and queues lie in the image, since the page allocator begins later, and are used by
 * both sides through the caches. The CPU that starts first turns it on behind its own MMU, so that
 * both see one memory.
 * Manual: SMMUv3 (IHI 0070), "Reset, Enable and initialization", "Global error recording".
 */
#include "bundle.h"
#include "console.h"
#include "exercise.h"
#include "internal.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "vcpu.h"

#define STREAM_LOG2 8

struct smmu smmu;

/* Aligned to their sizes: the registers that lead to them have no bits for less. */
struct smmu_ste stream_table[SMMU_STREAM_COUNT]
	__attribute__((aligned(SMMU_STREAM_COUNT * sizeof(struct smmu_ste))));
static u64 command_entries[1 << COMMAND_LOG2][COMMAND_WORDS]
	__attribute__((aligned((8 * COMMAND_WORDS) << COMMAND_LOG2)));
static u64 event_entries[1 << EVENT_LOG2][EVENT_WORDS]
	__attribute__((aligned((8 * EVENT_WORDS) << EVENT_LOG2)));

_Static_assert(SMMU_STREAM_COUNT == 1 << STREAM_LOG2, "one table of STEs, linear");

bool smmu_is_present(void)
{
	return smmu.is_present;
}

/**
 * smmu_problem() - why this SMMU cannot be used; NULL when it can
 *
 * Exercise 5.1: from the identification registers ("SMMU_IDR0", "SMMU_IDR1", "SMMU_IDR5"). Needed are
 * a stage of translation, tables of AArch64's format in little endian with a 4 KiB granule, and
 * accesses to tables and queues that are coherent with the CPU's caches. Faults must not be forced to
 * stall. StreamIDs have STREAM_LOG2 bits or more, the queues may have 2^COMMAND_LOG2 and 2^EVENT_LOG2
 * entries, and nothing of it is preset.
 */
EXERCISE(5.1)
static const char *smmu_problem(u32 idr0, u32 idr1, u32 idr5)
{
	if (!(idr0 & (IDR0_S1P | IDR0_S2P)) || !(idr0 & IDR0_TTF_AARCH64) ||
	    !(idr5 & IDR5_GRAN4K) || bits_get(idr0, 22, 21) == IDR0_TTENDIAN_BIG_ONLY)
		return "it does not walk tables of the CPU's format";
	if (!(idr0 & IDR0_COHACC))
		return "it does not see the CPU's caches";
	if (idr0 & IDR0_STALL_MODEL_FORCED)
		return "it stalls what it should refuse";
	if (idr1 & IDR1_PRESET || IDR1_SIDSIZE(idr1) < STREAM_LOG2 ||
	    IDR1_EVENTQS(idr1) < EVENT_LOG2 || IDR1_CMDQS(idr1) < COMMAND_LOG2)
		return "its tables or queues are too small";
	return NULL;
}

/* Write a register that is acknowledged in another one when the change is complete. */
static int write_acknowledged(u32 offset, u32 acknowledge, u32 value)
{
	u64 start = counter_read();

	smmu_write32(offset, value);
	while (smmu_read32(acknowledge) != value) {
		if (counter_read() - start > counter_frequency())
			return -EIO;
		cpu_relax();
	}
	return 0;
}

/* While the SMMU is off DMA is refused, where this SMMU has the register: reading 0 it has not. */
static void smmu_refuse_bypass(void)
{
	u64 start = counter_read();

	smmu_write32(SMMU_GBPA, GBPA_UPDATE | GBPA_ABORT);
	while (smmu_read32(SMMU_GBPA) & GBPA_UPDATE && counter_read() - start < counter_frequency())
		cpu_relax();
}

/**
 * smmu_program() - tell the SMMU, which is disabled, where its tables and queues are
 *
 * Exercise 5.1: CR1 says how it is to access them (CR1_WRITE_BACK_SHARED), CR2 that unknown
 * StreamIDs are recorded and that the CPU's TLB maintenance is not for it. A linear stream table:
 * STRTAB_BASE, and its size in STRTAB_BASE_CFG. Both queues: base with the log2 of the number of
 * entries, PROD and CONS 0. Interrupts by wire: the _IRQ_CFG0 registers 0. Errors of the past are
 * acknowledged.
 */
EXERCISE(5.1)
static void smmu_program(void)
{
	smmu_write32(SMMU_CR1, CR1_WRITE_BACK_SHARED);
	smmu_write32(SMMU_CR2, CR2_RECINVSID | CR2_PTM);
	smmu_write64(SMMU_STRTAB_BASE, virt_to_phys(stream_table).pa | BASE_ALLOCATE);
	smmu_write32(SMMU_STRTAB_BASE_CFG, STREAM_LOG2);
	smmu_write64(SMMU_CMDQ_BASE,
		     virt_to_phys(command_entries).pa | COMMAND_LOG2 | BASE_ALLOCATE);
	smmu_write32(SMMU_CMDQ_PROD, 0);
	smmu_write32(SMMU_CMDQ_CONS, 0);
	smmu_write64(SMMU_EVENTQ_BASE, virt_to_phys(event_entries).pa | EVENT_LOG2 | BASE_ALLOCATE);
	smmu_write32(SMMU_EVENTQ_PROD, 0);
	smmu_write32(SMMU_EVENTQ_CONS, 0);
	smmu_write64(SMMU_GERROR_IRQ_CFG0, 0);
	smmu_write64(SMMU_EVENTQ_IRQ_CFG0, 0);
	smmu_write32(SMMU_GERRORN, smmu_read32(SMMU_GERROR));
}

/**
 * smmu_enable() - from whatever state the SMMU is in to translation
 *
 * Exercise 5.1: disabled and without interrupts first (CR0, IRQ_CTRL), smmu_program(), then one step
 * after the other: the command queue; by commands, whatever its caches hold is forgotten, STEs and
 * translations; the event queue; both interrupts; translation. Each write of CR0 and IRQ_CTRL takes
 * effect when it is acknowledged.
 *
 * Return: 0, or the error of write_acknowledged().
 */
EXERCISE(5.1)
static int smmu_enable(void)
{
	int error = write_acknowledged(SMMU_CR0, SMMU_CR0ACK, 0);

	if (!error)
		error = write_acknowledged(SMMU_IRQ_CTRL, SMMU_IRQ_CTRLACK, 0);
	if (error)
		return error;
	smmu_program();
	error = write_acknowledged(SMMU_CR0, SMMU_CR0ACK, CR0_CMDQEN);
	if (error)
		return error;
	smmu_issue(command_cfgi_all());
	smmu_issue(command_tlbi_all());
	smmu_sync();
	error = write_acknowledged(SMMU_CR0, SMMU_CR0ACK, CR0_CMDQEN | CR0_EVENTQEN);
	if (!error)
		error = write_acknowledged(SMMU_IRQ_CTRL, SMMU_IRQ_CTRLACK,
					   IRQ_CTRL_EVENTQ | IRQ_CTRL_GERROR);
	if (!error)
		error = write_acknowledged(SMMU_CR0, SMMU_CR0ACK,
					   CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN);
	return error;
}

int smmu_init_cpu(struct cpu *cpu)
{
	const struct bundle_header *bundle = phys_to_virt(PA(PLAT_BUNDLE_BASE));
	const char *problem;
	u32 idr0;
	int error;

	if (cpu->index > 0 || smmu.is_present || !(bundle->flags & BUNDLE_SMMU))
		return 0;
	idr0 = smmu_read32(SMMU_IDR0);
	problem = smmu_problem(idr0, smmu_read32(SMMU_IDR1), smmu_read32(SMMU_IDR5));
	if (problem) {
		console_printf("the SMMU is of no use: %s\n", problem);
		return 0;
	}
	smmu.lock.name = "smmu";
	smmu.use_stage2 =
		idr0 & IDR0_S2P && !(bundle->flags & BUNDLE_SMMU_STAGE1 && idr0 & IDR0_S1P);
	smmu.address_size = (u32)min_u64(bits_get(smmu_read32(SMMU_IDR5), 2, 0), 5); /* OAS */
	smmu.commands = (struct smmu_queue){
		.entries = command_entries[0],
		.log2_count = COMMAND_LOG2,
		.words = COMMAND_WORDS,
	};
	smmu.events = (struct smmu_queue){
		.entries = event_entries[0],
		.log2_count = EVENT_LOG2,
		.words = EVENT_WORDS,
	};
	smmu_refuse_bypass();
	spin_lock(&smmu.lock);
	error = smmu_enable();
	spin_unlock(&smmu.lock);
	smmu.is_present = !error;
	if (!error)
		console_printf("SMMU: DMA is translated by stage %u\n", smmu.use_stage2 ? 2 : 1);
	return error;
}

/* ---- interrupts ---- */

enum irq_result smmu_event_irq(struct cpu *cpu, u32 intid)
{
	(void)cpu;
	(void)intid;
	spin_lock(&smmu.lock);
	smmu_drain_events();
	spin_unlock(&smmu.lock);
	return IRQ_HANDLED;
}

/**
 * smmu_error_irq() - handler of the SMMU's global errors
 *
 * Exercise 5.2: a bit of GERROR that differs from GERRORN is an error that nobody has seen yet;
 * making them equal says that it was ("SMMU_GERROR"). A command error: command_take_error(). Event
 * records could not be written (QEMU says so of a full queue): events_lost(), make room by
 * smmu_drain_events(). Anything else is told on the console. Acknowledge what was active, and
 * nothing that has come since.
 */
EXERCISE(5.2)
enum irq_result smmu_error_irq(struct cpu *cpu, u32 intid)
{
	u32 errors, active;

	(void)cpu;
	(void)intid;
	spin_lock(&smmu.lock);
	command_take_error();
	errors = smmu_read32(SMMU_GERROR);
	active = errors ^ smmu_read32(SMMU_GERRORN);
	active &= ~(u32)GERROR_CMDQ; /* one that came since has an interrupt of its own */
	if (active & GERROR_EVENTQ_ABT) {
		events_lost();
		smmu_drain_events();
	}
	if (active & ~(u32)GERROR_EVENTQ_ABT)
		console_printf("SMMU: global error 0x%x\n", active);
	smmu_write32(SMMU_GERRORN, smmu_read32(SMMU_GERRORN) ^ active);
	spin_unlock(&smmu.lock);
	return IRQ_HANDLED;
}
