// SPDX-License-Identifier: MIT
/*
 * Layer 4: the guest's time, and who has the CPU. This page has all that the layer claims.
 *
 *	deadline.c	EL2's deadlines, and CNTHP at the first of them
 *	vtimer.c	the virtual timer of a vCPU, in hardware or waited for
 *	ptimer.c	the physical timer of a vCPU, emulated
 *	sched.c		WFI and time slices
 */
#include "internal.h"

static int vtimer_init_cpu(struct cpu *cpu)
{
	deadline_init_cpu(cpu);
	sched_init_cpu(cpu);
	return 0;
}

LAYER(4, vtimer, .init_cpu = vtimer_init_cpu, .vm_create = vtimer_vm_create,
      .vm_destroy = vtimer_vm_destroy);
VCPU_HOOKS(4, .reset = vtimer_reset, .load = vtimer_load, .save = vtimer_save);
HOOK(time_slice, sched_begin_slice);
HOOK(console_waits, console_start_clock);

IRQ_HANDLER(PLAT_INTID_CNTHP, IRQ_LEVEL, cnthp_interrupt);
IRQ_HANDLER(PLAT_INTID_CNTV, IRQ_LEVEL, vtimer_interrupt);

SYSREG_HANDLER(3, 3, 14, 0, 1, cntpct); /* CNTPCT_EL0 */
SYSREG_HANDLER(3, 3, 14, 2, 0, cntp_tval); /* CNTP_TVAL_EL0 */
SYSREG_HANDLER(3, 3, 14, 2, 1, cntp_ctl); /* CNTP_CTL_EL0 */
SYSREG_HANDLER(3, 3, 14, 2, 2, cntp_cval); /* CNTP_CVAL_EL0 */

TRAP_HANDLER(ESR_EC_WFX, wfx_trap);
HYPERCALL(PSCI_CPU_SUSPEND_32, psci_cpu_suspend);
HYPERCALL(PSCI_CPU_SUSPEND_64, psci_cpu_suspend);
