// SPDX-License-Identifier: MIT
/*
 * The world switch as two plain lists: every EL1 and EL0 register that a guest can change and that
 * no trap guards. A register missing here is a channel between VMs.
 *
 * No barrier is needed between these accesses: the ERET into the guest is a context
 * synchronization event, and EL2 itself uses none of them (Arm ARM, "Synchronization requirements
 * for AArch64 System registers").
 */
#include "el2_boot.h"
#include "exercise.h"
#include "layer1.h"

/**
 * world_save_el1() - copy the EL1 and EL0 registers of the guest that leaves into @state
 *
 * All members of struct el1_state but mdscr, which is trapped and therefore already there.
 */
EXERCISE(1.8)
void world_save_el1(struct el1_state *state)
{
	state->sp_el0 = read_sysreg(sp_el0);
	state->sp_el1 = read_sysreg(sp_el1);
	state->elr_el1 = read_sysreg(elr_el1);
	state->spsr_el1 = read_sysreg(spsr_el1);
	state->sctlr = read_sysreg(sctlr_el1);
	state->cpacr = read_sysreg(cpacr_el1);
	state->ttbr0 = read_sysreg(ttbr0_el1);
	state->ttbr1 = read_sysreg(ttbr1_el1);
	state->tcr = read_sysreg(tcr_el1);
	state->mair = read_sysreg(mair_el1);
	state->amair = read_sysreg(amair_el1);
	state->vbar = read_sysreg(vbar_el1);
	state->esr = read_sysreg(esr_el1);
	state->far = read_sysreg(far_el1);
	state->afsr0 = read_sysreg(afsr0_el1);
	state->afsr1 = read_sysreg(afsr1_el1);
	state->par = read_sysreg(par_el1);
	state->contextidr = read_sysreg(contextidr_el1);
	state->tpidr_el0 = read_sysreg(tpidr_el0);
	state->tpidrro_el0 = read_sysreg(tpidrro_el0);
	state->tpidr_el1 = read_sysreg(tpidr_el1);
	state->csselr = read_sysreg(csselr_el1);
}

/** world_load_el1() - put all of @state, mdscr included, into the CPU for the guest that comes */
EXERCISE(1.8)
void world_load_el1(const struct el1_state *state)
{
	write_sysreg(sp_el0, state->sp_el0);
	write_sysreg(sp_el1, state->sp_el1);
	write_sysreg(elr_el1, state->elr_el1);
	write_sysreg(spsr_el1, state->spsr_el1);
	write_sysreg(sctlr_el1, state->sctlr);
	write_sysreg(cpacr_el1, state->cpacr);
	write_sysreg(ttbr0_el1, state->ttbr0);
	write_sysreg(ttbr1_el1, state->ttbr1);
	write_sysreg(tcr_el1, state->tcr);
	write_sysreg(mair_el1, state->mair);
	write_sysreg(amair_el1, state->amair);
	write_sysreg(vbar_el1, state->vbar);
	write_sysreg(esr_el1, state->esr);
	write_sysreg(far_el1, state->far);
	write_sysreg(afsr0_el1, state->afsr0);
	write_sysreg(afsr1_el1, state->afsr1);
	write_sysreg(par_el1, state->par);
	write_sysreg(contextidr_el1, state->contextidr);
	write_sysreg(tpidr_el0, state->tpidr_el0);
	write_sysreg(tpidrro_el0, state->tpidrro_el0);
	write_sysreg(tpidr_el1, state->tpidr_el1);
	write_sysreg(csselr_el1, state->csselr);
	write_sysreg(mdscr_el1, state->mdscr);
}

static void world_load(struct vcpu *vcpu)
{
	u64 hcr = vcpu->hcr, vmpidr = vcpu->vmpidr;

	write_sysreg(hcr_el2, hcr);
	write_sysreg(vmpidr_el2, vmpidr);
	if (__builtin_expect(vcpu->el1.mdscr & MDSCR_EL1_MDE, 0))
		debug_load(vcpu);
	world_load_el1(&vcpu->el1);
}

static void world_save(struct vcpu *vcpu)
{
	fp_leave(vcpu);
	world_save_el1(&vcpu->el1);
}

static void world_reset(struct vcpu *vcpu)
{
	vcpu->el1 = (struct el1_state){.sctlr = SCTLR_EL1_RES1};
	vcpu->hcr = el2_guest_hcr();
	/* MPIDR_EL1: bit 31 is RES1, U = 0, affinity 0.0.0.index. */
	vcpu->vmpidr = 1UL << 31 | vcpu->index;
	debug_reset(vcpu);
	fp_forget(vcpu);
}

static int layer1_init(void)
{
	trap_dispatch_init();
	vcpu_hooks_init();
	return 0;
}

static int layer1_init_cpu(struct cpu *cpu)
{
	debug_init_cpu();
	return el2_configure(cpu);
}

LAYER(1, el2_boot, .init = layer1_init, .init_cpu = layer1_init_cpu, .vcpu_load = world_load,
      .vcpu_save = world_save, .vcpu_reset = world_reset);
