// SPDX-License-Identifier: MIT
/*
 * What guests learn of the CPU. HCR_EL2.TID3 traps every identification register, and each answers
 * through the rules of id_rules.c. Instructions and registers of a hidden feature trap or are
 * disabled, and the guest takes them as UNDEFINED. guests/probes/encodings.h lists those without a
 * trap.
 */
#include "el2_boot.h"
#include "internal.h"

#define ID(crm, op2) SYSREG_ENCODING(3, 0, 0, crm, op2)

/* The machine's value. A case for each, since MRS names its register in the instruction. */
static u64 id_register_physical(u32 encoding)
{
	switch (encoding) {
#define READ(crm, op2)                                                                             \
	case ID(crm, op2):                                                                         \
		return read_sysreg(S3_0_C0_C##crm##_##op2)
		READ(1, 0);
		READ(1, 1);
		READ(1, 2);
		READ(1, 4);
		READ(1, 5);
		READ(1, 6);
		READ(1, 7);
		READ(2, 0);
		READ(2, 1);
		READ(2, 2);
		READ(2, 3);
		READ(2, 4);
		READ(2, 5);
		READ(2, 6);
		READ(2, 7);
		READ(3, 0);
		READ(3, 1);
		READ(3, 2);
		READ(3, 4);
		READ(4, 0);
		READ(4, 1);
		READ(5, 0);
		READ(6, 0);
		READ(6, 1);
		READ(6, 2);
		READ(7, 0);
		READ(7, 1);
		READ(7, 2);
#undef READ
	default:
		return 0;
	}
}

/*
 * By CRm and op2. 0: nobody has asked yet, or there is nothing to show. The CPUs are all of one kind:
 * it does not matter which of them fills an entry, or how many at a time.
 */
static u64 shown[8][8];

static __attribute__((noinline)) u64 id_register_learn(u32 encoding, u64 *entry)
{
	u64 value = id_register_shown(encoding, id_register_physical(encoding));

	__atomic_store_n(entry, value, __ATOMIC_RELAXED);
	return value;
}

u64 id_register_guest(u32 encoding)
{
	u64 *entry = &shown[sysreg_crm(encoding) & 7][sysreg_op2(encoding)];
	u64 value = __atomic_load_n(entry, __ATOMIC_RELAXED);

	return value ? value : id_register_learn(encoding, entry);
}

enum trap_result id_register(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (access->is_write || (vcpu->frame.pstate & SPSR_M_MASK) == SPSR_EL0T)
		return TRAP_REFLECT;
	access->value = id_register_guest(access->encoding);
	return TRAP_SKIP_INSN;
}
