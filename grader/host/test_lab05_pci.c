// SPDX-License-Identifier: MIT
/*
 * The configuration space that a VM sees, against hardware whose registers are random: whatever the
 * guest reads or writes, at any width, it sees what it may and the hardware hears of three bits of one
 * register.
 */
#include <string.h>

#include "check.h"
#include "dev_pci.c"

#define ROUNDS 1000000
#define FUNCTIONS 3
#define MSI 0x05

static u32 hardware_registers[FUNCTIONS][64];
static struct vmm_pci_function functions[FUNCTIONS];
static u16 commands[FUNCTIONS];
static struct pci_host host;

u32 vmm_pci_count(const struct vm *vm)
{
	(void)vm;
	return FUNCTIONS;
}

const struct vmm_pci_function *vmm_pci_function(const struct vm *vm, u32 index)
{
	(void)vm;
	CHECK(index < FUNCTIONS);
	return &functions[index];
}

u32 vmm_pci_read(const struct vm *vm, u32 index, u32 offset)
{
	(void)vm;
	CHECK(index < FUNCTIONS && offset < 256 && offset % 4 == 0);
	return hardware_registers[index][offset / 4];
}

void vmm_pci_set_command(struct vm *vm, u32 index, u16 command)
{
	(void)vm;
	CHECK(index < FUNCTIONS && !(command & ~0x406));
	commands[index] = command;
}

static u64 get(u64 offset, unsigned size)
{
	u64 value = ecam_read(NULL, &host, offset, size);

	return size == 8 ? value : value & (BIT(8 * size) - 1);
}

static void put(u64 offset, unsigned size, u64 value)
{
	ecam_write(NULL, &host, offset, size, value);
}

static u16 address_of(u32 index)
{
	return (u16)(8 * (2 + 5 * index) + index);
}

static u64 function_at(u32 index)
{
	return address_of(index) * 0x1000UL;
}

static void put_byte(u32 index, u32 at, u8 value)
{
	u32 *reg = &hardware_registers[index][at / 4];

	*reg = (u32)bits_set(*reg, at % 4 * 8 + 7, at % 4 * 8, value);
}

static void add_capability(u32 index, u32 at, u8 id, u32 next, u8 length)
{
	put_byte(index, at, id);
	put_byte(index, at + 1, (u8)next);
	put_byte(index, at + 2, length);
}

/*
 * Function 0: 64-bit BAR, capabilities shown and hidden in turn. Function 1: 32-bit BARs, none that is
 * shown. Function 2: no BAR, no list.
 */
static void setup(void)
{
	memset(functions, 0, sizeof(functions));
	for (u32 index = 0; index < FUNCTIONS; index++) {
		for (unsigned i = 0; i < 64; i++)
			hardware_registers[index][i] = (u32)check_random();
		functions[index].address = address_of(index);
		hardware_registers[index][1] |= 1U << 20;
	}
	functions[0].bar[0] = 0x10104004;
	functions[0].bar_mask[0] = 0xffffc000;
	functions[0].bar_mask[1] = 0xffffffff;
	functions[1].bar[0] = 0x10200000;
	functions[1].bar_mask[0] = 0xfff00000;
	functions[1].bar[5] = 0x10108008;
	functions[1].bar_mask[5] = 0xfffff000;
	hardware_registers[2][1] &= ~(1U << 20);
	put_byte(0, 0x34, 0x50 | 3); /* the two lowest bits do not count */
	add_capability(0, 0x50, MSI, 0x70, 0);
	add_capability(0, 0x70, CAPABILITY_VENDOR, 0x40, 16);
	add_capability(0, 0x40, 0x10, 0x90 | 1, 0);
	add_capability(0, 0x90, CAPABILITY_VENDOR, 0xa4, 20);
	add_capability(0, 0xa4, CAPABILITY_VENDOR, 0xf0, 4);
	add_capability(0, 0xf0, 0x11, 0, 0);
	put_byte(1, 0x34, 0x40);
	add_capability(1, 0x40, MSI, 0x48, 0);
	add_capability(1, 0x48, 0x01, 0, 0);
	memset(commands, 0, sizeof(commands));
	ecam_reset(NULL, &host);
}

static void test_capabilities(void)
{
	u64 at = function_at(0);
	const u32 *hw = hardware_registers[0];

	setup();
	CHECK(get(at + 0x34, 4) == 0x70 && get(at + 0x06, 2) & 0x10);
	CHECK(get(at + 0x70, 2) == (0x90 << 8 | CAPABILITY_VENDOR));
	CHECK(get(at + 0x72, 2) == hw[0x70 / 4] >> 16 && get(at + 0x7c, 4) == hw[0x7c / 4]);
	CHECK(get(at + 0x80, 4) == 0 && get(at + 0x50, 8) == 0 && get(at + 0x40, 4) == 0);
	CHECK(get(at + 0x90, 2) == (0xa4 << 8 | CAPABILITY_VENDOR));
	CHECK(get(at + 0xa0, 4) == hw[0xa0 / 4]);
	CHECK(get(at + 0xa4, 2) == CAPABILITY_VENDOR && get(at + 0xa8, 4) == 0);
	CHECK(get(function_at(1) + 0x34, 4) == 0 && !(get(function_at(1) + 0x06, 2) & 0x10));
	CHECK(get(function_at(2) + 0x34, 4) == 0 && !(get(function_at(2) + 0x06, 2) & 0x10));
}

/* A list that never ends, one that leads into the header: the guest sees something, EL2 goes on. */
static void test_damaged_lists(void)
{
	for (unsigned i = 0; i < 2000; i++) {
		setup();
		for (unsigned n = 0; n < 8; n++)
			add_capability(0, 0x40 + 4 * (u32)check_below(48), check_below(2) ? 9 : 5,
				       (u32)check_below(256), (u8)check_random());
		put_byte(0, 0x34, (u8)check_random());
		for (u32 at = 0x34; at < 0x100; at += 4)
			get(function_at(0) + at, 4);
	}
	setup();
	add_capability(0, 0x50, CAPABILITY_VENDOR, 0x50, 8);
	CHECK(get(function_at(0) + 0x34, 4) == 0x50 && get(function_at(0) + 0x60, 4) == 0);
}

static void test_bars(void)
{
	u64 bar = function_at(0) + 0x10, other = function_at(1) + 0x10;

	setup();
	CHECK(get(bar, 8) == 0x10104004);
	put(bar, 4, ~0U);
	CHECK(get(bar, 8) == 0xffffc004);
	put(bar + 4, 4, ~0U);
	CHECK(get(bar, 8) == 0xffffffffffffc004);
	put(bar, 8, 0x10104004);
	CHECK(get(bar, 8) == 0x10104004);
	put(bar, 8, ~0UL);
	CHECK(get(bar, 8) == 0xffffffffffffc004);
	put(bar, 4, 0x40000000);
	CHECK(get(bar, 8) == 0xffffffff10104004);
	for (unsigned byte = 0; byte < 4; byte++) {
		CHECK(get(other, 4) == 0x10200000);
		put(other + byte, 1, 0xff);
	}
	CHECK(get(other, 4) == 0x10200000); /* never all at once: no sizing */
	put(other, 4, 0xfffffff0);
	CHECK(get(other, 4) == 0xfff00000);
	put(other + 2, 1, 0x7f);
	CHECK(get(other, 4) == 0x10200000);
	put(other + 20, 4, ~0U);
	CHECK(get(other + 20, 4) == 0xfffff008);
	put(other + 4, 4, ~0U); /* not implemented */
	CHECK(get(other + 4, 4) == 0);
	put(function_at(0) + 0x30, 4, 0xfffff800);
	CHECK(get(function_at(0) + 0x30, 4) == 0);
}

static void test_nobody(void)
{
	setup();
	for (u64 function = 0; function < 256; function++) {
		u64 at = function * 0x1000;

		if (at == function_at(0) || at == function_at(1) || at == function_at(2))
			continue;
		put(at + 4 * check_below(1024), 4, check_random());
		CHECK(get(at, 4) == 0xffffffff && get(at + 0xff8, 8) == ~0UL &&
		      get(at + 3, 1) == 0xff);
	}
	CHECK(!commands[0] && !commands[1] && !commands[2]);
}

/* What function @index shows in the 32-bit register at @offset is allowed, given the last command. */
static bool is_allowed(u32 index, u32 offset)
{
	u32 value = (u32)get(function_at(index) + offset, 4);
	u32 hw = offset < 0x100 ? hardware_registers[index][offset / 4] : 0;
	const struct vmm_pci_function *f = &functions[index];
	u32 bar = (offset - 0x10) / 4;

	if (offset == 0 || offset == 8 || offset == 0x2c)
		return value == hw;
	if (offset == 4)
		return (value & 0xffff) == commands[index] && !((value ^ hw) & 0x80000) &&
		       !(value & 0xffe70000);
	if (offset == 0x0c)
		return value == (hw & 0xff0000);
	if (offset >= 0x10 && offset < 0x28)
		return value == f->bar[bar] ||
		       value == (f->bar_mask[bar] | (f->bar[bar] & ~f->bar_mask[bar]));
	if (offset == 0x34)
		return value == (index ? 0 : 0x70);
	if (offset == 0x3c)
		return (value & ~0xffU) == (hw & 0xff00);
	if (index || offset < 0x70)
		return value == 0;
	return value == 0 || (value | 0xff00) == (hw | 0xff00);
}

/* Every width reads the same; whatever was written, every register is one of the few that it can be. */
static void test_random(void)
{
	u32 kept[FUNCTIONS][64];

	setup();
	memcpy(kept, hardware_registers, sizeof(kept));
	for (unsigned i = 0; i < ROUNDS; i++) {
		u32 index = (u32)check_below(FUNCTIONS);
		unsigned size = 1U << check_below(4);
		u64 offset = align_down(check_below(check_below(4) ? 0x100 : 0x1000), size);
		u64 at = function_at(index) + offset, value = 0;

		put(at, size, check_below(4) ? check_random() : ~0UL);
		for (unsigned byte = 0; byte < size; byte++)
			value |= get(at + byte, 1) << 8 * byte;
		CHECK(get(at, size) == value);
		CHECK(is_allowed(index, (u32)offset & ~3U));
	}
	CHECK(!memcmp(kept, hardware_registers, sizeof(kept)));
}

int main(void)
{
	static const struct check_case cases[] = {
		{"5.7", "capabilities are shown that the guest may use", test_capabilities},
		{"5.7", "a damaged list of capabilities comes to an end", test_damaged_lists},
		{"5.7", "BARs can be sized and not moved", test_bars},
		{"5.7", "where no function is all reads as ones", test_nobody},
		{"5.7", "whatever is written, the guest sees what it may", test_random},
	};

	return check_cases(cases, ARRAY_SIZE(cases));
}
