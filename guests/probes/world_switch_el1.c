// SPDX-License-Identifier: MIT
/*
 * EL1 and EL0 system registers belong to a vCPU. To be packed as two VMs: both fill the
 * registers with numbers of their own and find these again after the other ran.
 */
#include "probe.h"

#define ROUNDS 32

/* Each register is written with a random number, read back (some bits are fixed), and must read
 * so again after every switch. @mask keeps the VM alive: bits that may change freely. */
#define REGISTERS(R)                                                                               \
	R(sp_el0, ~0xfUL)                                                                          \
	R(elr_el1, ~0UL)                                                                           \
	R(spsr_el1, 0xf00003c5UL)                                                                  \
	R(ttbr0_el1, 0x0000fffffffff000UL)                                                         \
	R(ttbr1_el1, 0x0000fffffffff000UL)                                                         \
	R(tcr_el1, 0x00000007bfff3f3fUL)                                                           \
	R(mair_el1, ~0UL)                                                                          \
	R(amair_el1, ~0UL)                                                                         \
	R(vbar_el1, 0x0000fffffffff800UL)                                                          \
	R(esr_el1, 0xffffffffUL)                                                                   \
	R(far_el1, ~0UL)                                                                           \
	R(afsr0_el1, 0xffffffffUL)                                                                 \
	R(afsr1_el1, 0xffffffffUL)                                                                 \
	R(par_el1, 0x0000fffffffff001UL)                                                           \
	R(contextidr_el1, 0xffffffffUL)                                                            \
	R(tpidr_el0, ~0UL)                                                                         \
	R(tpidrro_el0, ~0UL)                                                                       \
	R(tpidr_el1, ~0UL)                                                                         \
	R(csselr_el1, 0x1UL)                                                                       \
	R(cpacr_el1, 0x00300000UL)

struct values {
#define R(name, mask) u64 name;
	REGISTERS(R)
#undef R
};

static void values_write(void)
{
#define R(name, mask) sysreg_write(name, random() & (mask));
	REGISTERS(R)
#undef R
	isb();
}

static void __attribute__((noinline)) values_read(struct values *values)
{
	isb();
#define R(name, mask) values->name = sysreg_read(name);
	REGISTERS(R)
#undef R
}

static u64 values_differ(const struct values *a, const struct values *b)
{
	const u64 *left = (const u64 *)a, *right = (const u64 *)b;
	u64 differ = 0;

	for (unsigned i = 0; i < sizeof(*a) / 8; i++)
		differ |= left[i] != right[i] ? BIT(i) : 0;
	return differ;
}

void probe(void)
{
	struct values original, own, now;
	u64 lost = 0;

	values_read(&original);
	for (unsigned round = 0; round < ROUNDS; round++) {
		values_write();
		values_read(&own);
		for (unsigned i = 0; i < 3; i++)
			vm_yield();
		values_read(&now);
		lost |= values_differ(&own, &now);
	}
#define R(name, mask) sysreg_write(name, original.name);
	REGISTERS(R)
#undef R
	isb();
	unsigned bit = 0;
#define R(name, mask)                                                                              \
	report(!(lost >> bit & 1), #name " keeps this VM's value", lost >> bit & 1, 0), bit++;
	REGISTERS(R)
#undef R
}
