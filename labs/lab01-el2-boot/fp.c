// SPDX-License-Identifier: MIT
/*
 * Lazy switching of the SIMD and floating-point registers: half a kilobyte that most switches need
 * not touch.
 *
 * A vCPU starts a stint on a CPU with CPTR_EL2.TFP set, but for its first turn (layer 4). Its first
 * SIMD instruction traps; from then on the registers are its own until it leaves the CPU, when they
 * are copied to memory. If it comes back and nobody used the unit meanwhile, the trap finds them in
 * place. While a vCPU is not loaded its memory copy is right: it may go on on another CPU.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/string.h"

void fp_save(struct fp_state *state);
void fp_load(const struct fp_state *state);

/* The ISB makes the new trap setting apply to EL2's own use of the registers, which follows. */
static void fp_trap(bool enable)
{
	u64 cptr = read_sysreg(cptr_el2);

	write_sysreg(cptr_el2, enable ? cptr | CPTR_EL2_TFP : cptr & ~CPTR_EL2_TFP);
	isb();
}

/**
 * fp_open() - see el2_boot.h
 *
 * Open the unit, and load the vCPU's registers unless this CPU still holds them: cpu->fp_owner is
 * the vCPU, and vcpu->fp_cpu says that it used no other CPU's since. The registers then hold no bit
 * of another VM. Note that they are this vCPU's now (fp_owner, fp_cpu, cpu->fp_enabled).
 */
EXERCISE(1.8)
void fp_open(struct vcpu *vcpu)
{
	TODO(1.8);
}

/* The first SIMD instruction of a stint, an A32 one as well, is executed again. */
enum trap_result trap_fp(struct vcpu *vcpu, u64 esr)
{
	fp_open(vcpu);
	return TRAP_RESUME;
}

/**
 * fp_leave() - @vcpu leaves this CPU: keep what it computed, and trap the next one
 *
 * If it used the unit (cpu->fp_enabled): its registers go to memory while EL2 may still read them,
 * then the unit is closed. Whose registers it holds (fp_owner, fp_cpu) does not change by that.
 */
EXERCISE(1.8)
void fp_leave(struct vcpu *vcpu)
{
	TODO(1.8);
}

void fp_forget(struct vcpu *vcpu)
{
	memset(&vcpu->fp, 0, sizeof(vcpu->fp));
	vcpu->fp_cpu = NULL;
}
