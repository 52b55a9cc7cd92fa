// SPDX-License-Identifier: MIT
/*
 * Lazy switching of the SIMD and floating-point registers: half a kilobyte that most switches need
 * not touch.
 *
 * A vCPU is loaded with CPTR_EL2.TFP set. (Only its first time slice begins otherwise: layer 4.)
 * Its first SIMD instruction traps. From then on the registers are the vCPU's until it leaves the
 * CPU, when they are copied to memory. If it comes back and nobody used the unit meanwhile, the
 * trap finds them in place. While a vCPU is not loaded its memory copy is right: another CPU may
 * load it next.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/string.h"

void fp_save(struct fp_state *state);
void fp_load(const struct fp_state *state);

/* The trap holds for EL2, too, which uses the registers next: hence the ISB. */
static void fp_trap(bool enable)
{
	u64 cptr = read_sysreg(cptr_el2);

	write_sysreg(cptr_el2, enable ? cptr | CPTR_EL2_TFP : cptr & ~CPTR_EL2_TFP);
	isb();
}

/**
 * Exercise 1.9: fp_open() - @vcpu, which is loaded, uses the SIMD unit without a trap until it
 * leaves
 *
 * Open the unit (fp_trap()), then fp_load() the vCPU's registers unless this CPU still holds them:
 * cpu->fp_owner is the vCPU, and vcpu->fp_cpu is this CPU, so it used no other CPU's since.
 * Afterwards the registers hold no bit of another VM. Note whose they are: fp_owner, fp_cpu,
 * cpu->fp_enabled.
 */
EXERCISE(1.9)
void fp_open(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();

	fp_trap(false);
	if (cpu->fp_owner != vcpu || vcpu->fp_cpu != cpu)
		fp_load(&vcpu->fp);
	cpu->fp_owner = vcpu;
	vcpu->fp_cpu = cpu;
	cpu->fp_enabled = true;
}

/* The first SIMD instruction since the vCPU was loaded, in A64 or A32, is executed again. */
enum trap_result trap_fp(struct vcpu *vcpu, u64 esr)
{
	fp_open(vcpu);
	return TRAP_RESUME;
}

/**
 * Exercise 1.9: fp_leave() - @vcpu leaves this CPU: keep what it computed, and trap the next one
 *
 * If it used the unit (cpu->fp_enabled): fp_save() its registers while EL2 may still read them,
 * then close the unit. Whose registers the unit holds (fp_owner, fp_cpu) does not change.
 */
EXERCISE(1.9)
void fp_leave(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();

	if (!cpu->fp_enabled)
		return;
	fp_save(&vcpu->fp);
	fp_trap(true);
	cpu->fp_enabled = false;
}

void fp_forget(struct vcpu *vcpu)
{
	memset(&vcpu->fp, 0, sizeof(vcpu->fp));
	vcpu->fp_cpu = NULL;
}
