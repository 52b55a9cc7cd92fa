// SPDX-License-Identifier: MIT
/*
 * Sharing a CPU: time slices, and sleeping in WFI.
 *
 * Layer 1 keeps the queue and switches; here are the two reasons to switch that a guest does not
 * ask for. A slice is a deadline like any other. It goes on while the vCPU is alone, so that a vCPU
 * which wakes up later waits one slice at the most. A CPU without a running vCPU has no slice: an
 * idle machine takes no timer interrupts.
 *
 * Turns often end early, by WFI or a yield. A new turn then only notes when it will end; the
 * deadline of an earlier turn that is still armed comes too soon and is moved on when it expires.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "lib/bits.h"
#include "timer.h"

#define SLICE_PER_SECOND 100 /* 10 ms */

static u64 slice_ticks; /* length of a time slice in ticks of the counter */

void sched_begin_turn(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;

	cpu->turn_end = timer_now() + slice_ticks;
	if (!deadline_is_armed(&cpu->slice))
		deadline_arm(&cpu->slice, cpu->turn_end);
	/*
	 * Every kernel uses SIMD before its start is over, and a start may be one long turn. QEMU
	 * translates code again when the trap setting changes: the trap would cost more than it
	 * saves.
	 */
	if (!vcpu->fp_cpu)
		fp_open(vcpu);
}

/**
 * slice_expired() - perhaps the running vCPU has had its turn
 *
 * A CPU whose vCPU is not VCPU_RUNNING idles: no slice. Before cpu->turn_end: arm again for then.
 * At the end of the turn, if another vCPU is runnable on this CPU (cpu->runnable_count), or a VM has
 * to be cleared up (vm_reap_waits()), the running one is asked to give way before its next
 * instruction (ENTRY_RESCHEDULE), and to begin a new turn if it stays all the same (ENTRY_TURN). If
 * it is alone a new turn begins here.
 */
EXERCISE(4.7)
static void slice_expired(struct deadline *deadline)
{
	TODO(4.7);
}

void sched_init_cpu(struct cpu *cpu)
{
	slice_ticks = read_sysreg(cntfrq_el0) / SLICE_PER_SECOND;
	deadline_init(&cpu->slice, slice_expired);
}

#define WFX_TI_MASK 3
#define WFX_TI_WFI 0

/**
 * wfx_trap() - the guest executed WFI (trapped by HCR_EL2.TWI)
 *
 * Go on behind the instruction once there is a reason to: vcpu_block() until an interrupt can be
 * delivered, masked by PSTATE.I or not (Arm ARM, "Wait for Interrupt mechanism"). An A32 WFI whose
 * condition fails is a NOP. Other instructions of this class (ISS.TI not 0) may end at any time:
 * give the CPU to somebody else once, then go on.
 */
EXERCISE(4.6)
static enum trap_result wfx_trap(struct vcpu *vcpu, u64 esr)
{
	TODO(4.6);
}

/**
 * psci_cpu_suspend() - CPU_SUSPEND as a standby state: WFI that returns SUCCESS
 *
 * Allowed by DEN 0022, "CPU_SUSPEND": a power-down request may be downgraded to standby, from which
 * the call returns.
 */
EXERCISE(4.6)
static enum trap_result psci_cpu_suspend(struct vcpu *vcpu)
{
	TODO(4.6);
}

TRAP_HANDLER(ESR_EC_WFX, wfx_trap);
HYPERCALL(PSCI_CPU_SUSPEND_32, psci_cpu_suspend);
HYPERCALL(PSCI_CPU_SUSPEND_64, psci_cpu_suspend);
