// SPDX-License-Identifier: MIT
/*
 * A walk of the guest's own tables that leads to where the machine has no memory: a synchronous
 * external abort on a translation table walk, at the level of the table that is not there,
 * whichever instruction caused the walk, AT among them. Arm ARM, "External abort on a translation
 * table walk", "Address translation instructions".
 */
#include "mmu.h"
#include "probe.h"

#define INSN_LDR_X 0xf9400001u /* ldr x1, [x0] */
#define INSN_STR_X 0xf9000001u
#define INSN_AT_S1E1R 0xd5087800u /* at s1e1r, x0 */
#define INSN_DC_CIVAC 0xd50b7e20u
#define ESR_WNR BIT(6)
#define ESR_CM BIT(8)
#define ESR_S1PTW BIT(7)
#define FSC_WALK 0x14
#define UART GUEST_UART_BASE

#define TABLE 3UL
#define TCR_EPD1 BIT(23)
#define TCR_TTBR1_WALKS (1UL << 24 | 1UL << 26 | 3UL << 28) /* write-back, inner shareable */
#define TCR_TTBR1 (bits_mask(31, 16) & ~TCR_EPD1)

struct wrong {
	u64 raised, status, ec, far;
};

/* Tables for TTBR1 down to @level, whose next one lies @nowhere. Return: an address below it. */
static u64 walk_that_ends(unsigned page_bits, unsigned va_bits, int level, u64 nowhere)
{
	unsigned stride = page_bits - 3, top = va_bits;
	int start = 3 - (int)(va_bits - page_bits - 1) / (int)stride;
	u64 size = 1UL << page_bits, table = align_up(free_memory() + MIB(2), size);
	u64 va = ~0UL << va_bits | (random() & bits_mask(va_bits - 1, 3));
	static const u8 tg1[] = {[12] = 2, [14] = 1, [16] = 3};
	u64 tcr = sysreg_read(tcr_el1) & ~(TCR_TTBR1 | TCR_EPD1);

	sysreg_write(ttbr1_el1, level == start ? nowhere : table);
	for (int at = start; at < level; at++) {
		unsigned shift = page_bits + stride * (unsigned)(3 - at);
		u64 next = at + 1 == level ? nowhere : table + size;

		write64(table + bits_get(va, top - 1, shift) * 8, next | TABLE);
		table = next;
		top = shift;
	}
	sysreg_write(tcr_el1,
		     tcr | TCR_TTBR1_WALKS | (u64)(64 - va_bits) << 16 | (u64)tg1[page_bits] << 30);
	asm volatile("dsb ish\n\tisb\n\ttlbi vmalle1\n\tdsb ish\n\tisb" ::: "memory");
	return va;
}

static void jump(void *address)
{
	((void (*)(void))address)();
}

static void note(struct wrong *wrong, bool raised, u64 iss, u64 ec, u64 va)
{
	wrong->raised += !raised;
	wrong->status += (exception_seen.esr & (ESR_CM | ESR_WNR | ESR_S1PTW | 0x3f)) != iss;
	wrong->ec += ESR_EC(exception_seen.esr) != ec;
	wrong->far += exception_seen.far != va;
}

static void access(struct wrong *wrong, u32 insn, u64 va, u64 iss)
{
	u64 value[2] = {va, 0};

	note(wrong, insn_try(MODE_EL1H, insn, value), iss, ESR_EC_DABT_SAME, va);
}

static void try_geometry(struct wrong wrong[4], unsigned page_bits, unsigned va_bits, u64 nowhere)
{
	int start = 3 - (int)(va_bits - page_bits - 1) / (int)(page_bits - 3);

	for (int level = start; level <= 3; level++) {
		u64 va = walk_that_ends(page_bits, va_bits, level, nowhere), status = 0;

		status = (u64)(FSC_WALK + level);
		access(&wrong[0], INSN_LDR_X, va, status);
		access(&wrong[0], INSN_STR_X, va, status | ESR_WNR);
		note(&wrong[1], exception_catch(MODE_EL1H, jump, (void *)(va & ~3UL)), status,
		     ESR_EC_IABT_SAME, va & ~3UL);
		access(&wrong[2], INSN_AT_S1E1R, va, status | ESR_CM | ESR_WNR);
		access(&wrong[3], INSN_DC_CIVAC, va, status | ESR_CM | ESR_WNR);
	}
}

static void report_wrong(const struct wrong *wrong, const char *raised, const char *status,
			 const char *ec, const char *far)
{
	report_equal(raised, wrong->raised, 0);
	report_equal(status, wrong->status, 0);
	report_equal(ec, wrong->ec, 0);
	report_equal(far, wrong->far, 0);
}

static void try_all(u64 nowhere, struct wrong wrong[4])
{
	u64 mmfr0 = sysreg_read(id_aa64mmfr0_el1);

	try_geometry(wrong, 12, 48, nowhere);
	try_geometry(wrong, 12, 39, nowhere);
	try_geometry(wrong, 12, 30, nowhere);
	if (bits_get(mmfr0, 27, 24) != 0xf)
		try_geometry(wrong, 16, 48, nowhere);
	if (bits_get(mmfr0, 23, 20) != 0)
		try_geometry(wrong, 14, 47, nowhere);
}

void probe(void)
{
	struct wrong wrong[4] = {{0}};
	u64 value[2] = {0, 0};

	mmu_enable();
	try_all(align_down(ram_end() + 0x10000000, MIB(2)), wrong);
	if (guest.hypervisor && has_stage2())
		try_all(UART, wrong);
	report_wrong(&wrong[0], "loads and stores abort", "on a table walk, with its level",
		     "at the exception level that it was", "FAR_EL1 is the address");
	report_wrong(&wrong[1], "a fetch aborts", "on a table walk, with its level",
		     "at the same exception level", "FAR_EL1 is its address");
	report_wrong(&wrong[2], "AT aborts", "on a table walk, with its level, CM and WnR",
		     "as a data abort", "FAR_EL1 is its operand");
	report_equal("DC CIVAC aborts where its walk does", wrong[3].status + wrong[3].far, 0);
	sysreg_write(tcr_el1, sysreg_read(tcr_el1) | TCR_EPD1);
	isb();
	value[0] = UART;
	report(!insn_try(MODE_EL1H, INSN_DC_CIVAC, value),
	       "maintenance of what is no memory is nothing", exception_seen.esr, 0);
	mmu_disable();
}
