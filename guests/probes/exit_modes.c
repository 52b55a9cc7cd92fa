// SPDX-License-Identifier: MIT
/*
 * The same exits from EL1h, EL1t and EL0: the hypervisor must return to the mode that the
 * exit came from. What EL0 may not do is an exception for the guest's kernel, not for the hypervisor.
 */
#include "probe.h"

#define INSN_HVC 0xd4000002
#define INSN_SMC 0xd4000003
#define INSN_BRK 0xd4200000
#define INSN_SVC 0xd4000021 /* SVC #1 */

struct seen {
	u64 version, spsel, el, id;
};

static void call_from_here(void *arg)
{
	struct seen *seen = arg;

	seen->version = hvc(SMCCC_VERSION, 0, 0, 0).x0;
	seen->id = sysreg_read(id_aa64mmfr0_el1);
	seen->spsel = sysreg_read(spsel);
	seen->el = sysreg_read(currentel) >> 2;
}

static void from_el1(void)
{
	struct seen h = {0}, t = {0};

	report(!exception_catch(MODE_EL1H, call_from_here, &h),
	       "EL1h: HVC and a trapped MRS return", exception_seen.esr, 0);
	report_equal("EL1h: HVC gives the SMCCC version", h.version, 0x10002);
	report_equal("EL1h: still EL1h afterwards", h.el << 4 | h.spsel, 0x11);
	report(!exception_catch(MODE_EL1T, call_from_here, &t),
	       "EL1t: HVC and a trapped MRS return", exception_seen.esr, 0);
	report_equal("EL1t: HVC gives the SMCCC version", t.version, 0x10002);
	report_equal("EL1t: still EL1t afterwards", t.el << 4 | t.spsel, 0x10);
	report_equal("the ID register reads the same in both", t.id, h.id);
}

static void smc_returns(u64 mode, const char *returns, const char *result)
{
	u64 value[2] = {SMCCC_VERSION, 0x1234};

	report(!insn_try(mode, INSN_SMC, value), returns, exception_seen.esr, 0);
	report_equal(result, value[0], 0x10002);
}

static void from_el0(u32 insn, const char *what, const char *where)
{
	u64 value[2] = {SMCCC_VERSION, 0};
	bool raised = insn_try(MODE_EL0, insn, value);

	report(raised && exception_seen.esr == ESR_UNDEFINED, what, exception_seen.esr,
	       ESR_UNDEFINED);
	report(raised && exception_seen.vector == VECTOR_SYNC_EL0 &&
		       exception_seen.elr == insn_address(),
	       where, exception_seen.elr - insn_address(), 0);
}

static void guest_own(void)
{
	u64 value[2] = {0, 0};

	insn_try(MODE_EL0, INSN_SVC, value);
	report_equal("EL0: SVC stays inside the guest", exception_seen.esr, 0x56000001);
	report_equal("EL0: SVC's ELR_EL1 is behind the instruction", exception_seen.elr,
		     insn_address() + 4);
	insn_try(MODE_EL0, INSN_BRK, value);
	report_equal("EL0: BRK stays inside the guest", ESR_EC(exception_seen.esr), ESR_EC_BRK64);
	insn_try(MODE_EL1H, INSN_BRK, value);
	report_equal("EL1h: BRK stays inside the guest", ESR_EC(exception_seen.esr), ESR_EC_BRK64);
}

void probe(void)
{
	from_el1();
	smc_returns(MODE_EL1H, "EL1h: SMC returns behind the instruction", "EL1h: SMC is served");
	smc_returns(MODE_EL1T, "EL1t: SMC returns behind the instruction", "EL1t: SMC is served");
	from_el0(INSN_HVC, "EL0: HVC is undefined", "EL0: HVC's exception names the instruction");
	from_el0(INSN_SMC, "EL0: SMC is undefined", "EL0: SMC's exception names the instruction");
	guest_own();
}
