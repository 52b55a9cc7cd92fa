// SPDX-License-Identifier: MIT
/*
 * Four lines, sixteen devices, three VMs, any order of events: no interrupt is lost, none goes to the
 * wrong VM, and a line never stays up behind EL2's handler, however its devices behave.
 */
#include <string.h>

#include "check.h"
#include "irq_demux.c"

#define ROUNDS 300000
#define DEVICES 16
#define VMS 3

struct pci_device pci_devices[PCI_DEVICE_MAX];
u32 pci_device_count = DEVICES;
struct spinlock pci_lock;
struct vm *vms[VM_MAX];
u32 vm_count = VMS;

static struct vm vm[VMS];
static struct vcpu vcpu[VMS];
static bool raised[DEVICES]; /* status bit 3 */
static u32 command[DEVICES]; /* as the hardware has it */
static bool line[VMS][4];
static bool active[VMS][4]; /* the guest's handler runs */

u32 pci_read(pa_t config, u32 offset)
{
	CHECK(offset == PCI_COMMAND && config.pa < DEVICES);
	return command[config.pa] | (raised[config.pa] ? PCI_STATUS_INTX : 0);
}

void pci_grant(struct pci_device *device)
{
	u32 held = device->is_held ? PCI_COMMAND_INTX_DISABLE : 0;

	command[device->config.pa] = device->command | held;
}

void vgic_set_line(struct vcpu *to, u32 intid, bool level)
{
	CHECK(level && to->vm && intid >= 35 && intid < 39);
	line[to->vm->index][intid - 35] = true;
}

static bool physical_line(u32 intid)
{
	for (u32 i = 0; i < DEVICES; i++) {
		if (pci_devices[i].intid == intid && raised[i] &&
		    !(command[i] & PCI_COMMAND_INTX_DISABLE))
			return true;
	}
	return false;
}

/* As on a machine: whenever a line is up the handler runs, and afterwards the line is down. */
static void interrupt(void)
{
	for (u32 intid = 35; intid < 39; intid++) {
		if (!physical_line(intid))
			continue;
		intx_interrupt(NULL, intid);
		CHECK(!physical_line(intid));
	}
}

static void complete(u32 owner, u32 number)
{
	active[owner][number] = false;
	if (line[owner][number])
		line[owner][number] = intx_resample(&vm[owner], 35 + number);
}

/* A device that asks is heard: its owner's line is up. A line of which nobody asks went up in vain, once. */
static void check_lines(void)
{
	for (u32 i = 0; i < DEVICES; i++) {
		const struct pci_device *device = &pci_devices[i];

		if (raised[i] && !(device->command & PCI_COMMAND_INTX_DISABLE))
			CHECK(line[device->owner][device->intid - 35]);
	}
}

static void event(void)
{
	u32 i = (u32)check_below(DEVICES), owner = (u32)check_below(VMS);
	u32 number = (u32)check_below(4);

	switch (check_below(5)) {
	case 0:
		raised[i] = true;
		break;
	case 1:
		raised[i] = false;
		break;
	case 2: /* the guest takes an interrupt, and completes it later */
		active[owner][number] = line[owner][number];
		break;
	case 3:
		if (active[owner][number])
			complete(owner, number);
		break;
	default:
		pci_devices[i].command ^= PCI_COMMAND_INTX_DISABLE;
		pci_grant(&pci_devices[i]);
		line[pci_devices[i].owner][pci_devices[i].intid - 35] =
			intx_resample(&vm[pci_devices[i].owner], pci_devices[i].intid);
	}
}

/* Every device becomes quiet, every guest completes what it has: all is as in the beginning. */
static void check_quiet(void)
{
	memset(raised, 0, sizeof(raised));
	for (u32 owner = 0; owner < VMS; owner++) {
		for (u32 number = 0; number < 4; number++) {
			complete(owner, number);
			CHECK(!line[owner][number]);
		}
	}
	for (u32 i = 0; i < DEVICES; i++)
		CHECK(!pci_devices[i].is_held && command[i] == pci_devices[i].command);
}

static void test_lines(void)
{
	for (unsigned i = 1; i <= ROUNDS; i++) {
		event();
		interrupt();
		check_lines();
		if (i % 1000 == 0)
			check_quiet();
	}
}

int main(void)
{
	static const struct check_case cases[] = {
		{"5.6", "a line is down behind the handler, and who asks is heard", test_lines},
	};

	for (u32 i = 0; i < VMS; i++) {
		vm[i].index = i;
		vm[i].vcpus[0] = &vcpu[i];
		vcpu[i].vm = vms[i] = &vm[i];
	}
	for (u32 i = 0; i < DEVICES; i++) {
		u32 owner = i * VMS / DEVICES;

		pci_devices[i] = (struct pci_device){
			.config = PA(i), .owner = owner, .intid = 35 + i % 4, .vm = &vm[owner]};
	}
	return check_cases(cases, ARRAY_SIZE(cases));
}
