// SPDX-License-Identifier: MIT
/*
 * The call interface as a caller may rely on it: SMCCC (DEN 0028), PSCI (DEN 0022) and Strata's own
 * calls. A call with an id that nobody serves returns NOT_SUPPORTED and does nothing.
 */
#include "probe.h"

static bool is_known(u32 fid)
{
	u32 number = fid & 0xff;

	if ((fid & 0x3fffff00) == 0x04000000)
		return number < 0x20; /* PSCI: its own probes */
	return fid == SMCCC_VERSION || fid == SMCCC_ARCH_FEATURES || fid == STRATA_UID ||
	       (fid & 0xbf000000) == 0x86000000;
}

static u64 count_answered(struct smccc_result (*call)(u64, u64, u64, u64))
{
	u64 answered = 0;

	for (unsigned i = 0; i < 256; i++) {
		u64 id = random() & 0xffffffff;

		if (!is_known((u32)id))
			answered += call(id, random(), random(), random()).x0 != ~0UL;
	}
	return answered;
}

static struct smccc_result by_hvc(u64 fid, u64 a, u64 b, u64 c)
{
	return hvc(fid, a, b, c);
}

static struct smccc_result by_smc(u64 fid, u64 a, u64 b, u64 c)
{
	return smc(fid, a, b, c);
}

static void unknown(void)
{
	report_equal("random unknown ids by HVC answer -1", count_answered(by_hvc), 0);
	report_equal("random unknown ids by SMC answer -1", count_answered(by_smc), 0);
	report_equal("id 0 answers -1", hvc(0, 0, 0, 0).x0, ~0UL);
	report_equal("id 0xffffffff answers -1", hvc(0xffffffff, 0, 0, 0).x0, ~0UL);
	report_equal("PSCI_VERSION has no 64-bit form", hvc(0xc4000000, 0, 0, 0).x0, ~0UL);
}

static void architecture_service(void)
{
	report_equal("SMCCC_VERSION is 1.2", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
	report_equal("the function id is w0: upper half ignored",
		     hvc(random() << 32 | SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
	report_equal("ARCH_FEATURES knows SMCCC_VERSION",
		     hvc(SMCCC_ARCH_FEATURES, SMCCC_VERSION, 0, 0).x0, 0);
	report_equal("ARCH_FEATURES knows itself",
		     hvc(SMCCC_ARCH_FEATURES, SMCCC_ARCH_FEATURES, 0, 0).x0, 0);
	report_equal("ARCH_FEATURES of an unknown id is -1",
		     hvc(SMCCC_ARCH_FEATURES, 0x80007abc, 0, 0).x0, ~0UL);
}

static void psci(void)
{
	report_equal("PSCI_VERSION is 1.1", hvc(PSCI_VERSION, 0, 0, 0).x0, 0x10001);
	report_equal("PSCI_FEATURES knows SYSTEM_OFF", hvc(PSCI_FEATURES, PSCI_SYSTEM_OFF, 0, 0).x0,
		     0);
	report_equal("PSCI_FEATURES knows SYSTEM_RESET",
		     hvc(PSCI_FEATURES, PSCI_SYSTEM_RESET, 0, 0).x0, 0);
	report_equal("PSCI_FEATURES knows SMCCC_VERSION",
		     hvc(PSCI_FEATURES, SMCCC_VERSION, 0, 0).x0, 0);
	report_equal("PSCI_FEATURES of an unknown id is -1",
		     hvc(PSCI_FEATURES, 0x840000ff, 0, 0).x0, ~0UL);
}

static void own_service(void)
{
	struct smccc_result info = hvc(STRATA_VM_INFO, 0, 0, 0);
	struct smccc_result uid = hvc(STRATA_UID, 0, 0, 0);
	u64 here = (u64)&probe_entry;

	report_equal("VM_INFO succeeds", info.x0, 0);
	report(here >= info.x2 && here - info.x2 < info.x3, "VM_INFO's RAM holds this image", here,
	       info.x2);
	report_equal("VM_INFO by SMC tells the same", smc(STRATA_VM_INFO, 0, 0, 0).x1, info.x1);
	report((uid.x0 | uid.x1 | uid.x2 | uid.x3) >> 32 == 0 && uid.x0 != 0xffffffff,
	       "the vendor UID is four 32-bit words", uid.x0, 0);
	report_equal("yield returns 0", hvc(STRATA_YIELD, 0, 0, 0).x0, 0);
	report_equal("console output returns 0", hvc(STRATA_CONSOLE_PUTC, '\n', 0, 0).x0, 0);
}

void probe(void)
{
	architecture_service();
	psci();
	own_service();
	unknown();
}
