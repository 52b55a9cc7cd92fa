// SPDX-License-Identifier: MIT
/*
 * How the machine ends. QEMU exits with status 0 on the firmware's SYSTEM_OFF and, started with
 * `-action panic=exit-failure`, with status 1 when the pvpanic device hears of a panic. Without
 * that device a failure ends with 0 too; the mailbox and the console still tell.
 *
 * Nothing here takes a lock or trusts EL2's state: it is the last code of a dying hypervisor.
 */
#include "lib/smccc.h"
#include "pci.h"
#include "platform/qemu_virt.h"
#include "power.h"
#include "sysreg.h"

#define PVPANIC_VENDOR 0x1b36
#define PVPANIC_DEVICE 0x0011
#define PVPANIC_PANICKED 1
#define PVPANIC_PATIENCE 0x10000

static bool pvpanic_tried;

static void firmware_system_off(void)
{
	register u64 x0 asm("x0") = PSCI_SYSTEM_OFF;

	/* The firmware may change x0 to x17 (SMCCC 1.0, "Register use in AArch64 SMC and HVC"). */
	asm volatile("smc #0"
		     : "+r"(x0)
		     :
		     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
		       "x13", "x14", "x15", "x16", "x17", "memory");
}

void machine_tell_failure(void)
{
	/* If an access below faults, the crash handler comes here again. */
	if (__atomic_exchange_n(&pvpanic_tried, true, __ATOMIC_RELAXED))
		return;

	pa_t config = pci_find(PVPANIC_VENDOR, PVPANIC_DEVICE);

	if (!pa_is_valid(config))
		return;
	pci_write(config, PCI_BAR0, PLAT_PCI_MMIO_BASE);
	pci_write(config, PCI_COMMAND, PCI_COMMAND_MEMORY);
	dsb_sy();
	mmio_write8(PLAT_PCI_MMIO_BASE, PVPANIC_PANICKED);
	dsb_sy();
	/* QEMU stops this CPU a few instructions later; a SYSTEM_OFF before that would win. */
	for (unsigned i = 0; i < PVPANIC_PATIENCE; i++)
		asm volatile("yield");
}

void machine_off(unsigned status)
{
	/* The mailbox, the VMs' memory: a debugger that looks now sees what was written. */
	dsb_sy();
	if (status)
		machine_tell_failure();
	firmware_system_off();
	for (;;)
		asm volatile("wfi");
}
