// SPDX-License-Identifier: MIT
/*
 * Sharing a CPU: time slices, and sleeping in WFI.
 *
 * Layer 1 keeps the run queue and switches vCPUs. This file has the two reasons to switch that a
 * guest does not ask for. The end of a time slice is a deadline like any other. A vCPU that is
 * alone on its CPU has time slices too, so one that wakes up beside it waits for one at the most. A
 * CPU that idles has none: an idle machine takes no timer interrupts.
 *
 * Time slices often end early, by WFI or a yield. The next one then only notes its end, in
 * cpu->slice_end: the deadline of an earlier one is still armed, comes too soon, and is moved on
 * when it expires.
 */
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"

#define SLICES_PER_SECOND 100 /* of 10 ms */

static u64 slice_ticks; /* length of a time slice in ticks of the counter */

void sched_begin_slice(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;

	cpu->slice_end = counter_read() + slice_ticks;
	if (!deadline_is_armed(&cpu->slice))
		deadline_arm(&cpu->slice, cpu->slice_end);
	/*
	 * Every kernel uses SIMD before its start is over, and a start may be one long time slice.
	 * QEMU translates code again when the trap setting changes: the trap would cost more than
	 * it saves.
	 */
	if (!vcpu->fp_cpu)
		fp_open(vcpu);
}

/**
 * Exercise 4.7: slice_expired() - perhaps the running vCPU has used up its time slice
 *
 * Without a vCPU, or with one that is not VCPU_RUNNING, the CPU idles: nothing to do. Before
 * cpu->slice_end the deadline is one of an earlier time slice: arm it for cpu->slice_end. From then
 * on the time slice is over. If another vCPU is runnable on this CPU (cpu->runnable_count) or a VM
 * has to be cleared up (vm_reap_waits()), vcpu_make_request() asks the running vCPU to give way
 * before its next instruction (REQ_RESCHEDULE). If it is alone, sched_begin_slice() begins the next
 * one here.
 */
EXERCISE(4.7)
static void slice_expired(struct deadline *deadline)
{
	if (container_of(deadline, struct cpu, slice)->runnable_count > 0)
		TODO(4.7);
}

void sched_init_cpu(struct cpu *cpu)
{
	slice_ticks = counter_frequency() / SLICES_PER_SECOND;
	deadline_init(&cpu->slice, slice_expired);
}

/**
 * Exercise 4.6: wfx_trap() - the guest executed WFI (trapped by HCR_EL2.TWI)
 *
 * ISS.TI (ESR_WFX_TI_MASK) is 0 for WFI: vcpu_block(), which waits until an interrupt can be
 * delivered, masked by PSTATE.I or not (Arm ARM, "Wait for Interrupt mechanism"). Other
 * instructions of this class may end at any time: give way once, by vcpu_make_request() with
 * REQ_RESCHEDULE. The guest goes on behind the instruction. An A32 instruction whose condition
 * fails is a NOP (trap_condition_passed()).
 *
 * Return: TRAP_SKIP_INSN.
 */
EXERCISE(4.6)
enum trap_result wfx_trap(struct vcpu *vcpu, u64 esr)
{
	NOT_YET(4.6);
	return TRAP_SKIP_INSN; /* WFI and WFE may end at any time */
}

/**
 * Exercise 4.6: psci_cpu_suspend() - CPU_SUSPEND as a standby state: WFI that returns SUCCESS in X0
 *
 * W1 is the power state. If a bit of PSCI_POWER_STATE_NONE is set in it, there is no such state:
 * hypercall_return() of PSCI_INVALID_PARAMETERS, at once. Any other one is a standby:
 * DEN 0022, "CPU_SUSPEND", allows that: a power-down request may be downgraded to standby, from
 * which the call returns. When the vCPU wakes nobody comes back here.
 *
 * Return: TRAP_RESUME.
 */
EXERCISE(4.6)
enum trap_result psci_cpu_suspend(struct vcpu *vcpu)
{
	NOT_YET(4.6);
	vcpu->frame.x[0] = SMCCC_SUCCESS;
	return TRAP_RESUME;
}
