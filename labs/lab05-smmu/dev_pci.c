// SPDX-License-Identifier: MIT
/*
 * Configuration space as a VM sees it, where QEMU's `virt` has that of bus 0: the functions that the
 * VM owns, each at its own place, and nothing else.
 *
 * A register is shown only if nothing else than this device, in this VM, depends on it, and a write
 * reaches the hardware in one place alone, the command register. So a guest that writes whatever it
 * likes moves no BAR over another device, sends no message-signalled interrupt and resets nothing.
 *
 *	command			the guest's; what of it is granted is EL2's business
 *	base address registers	where EL2 has placed them, for good; they can be sized
 *	capabilities		vendor-specific ones, read-only: virtio finds its registers by them.
 *				MSI, MSI-X, power states, PCI Express with its reset: hidden
 *	beyond 256 bytes	nothing: AER, ATS, PASID and others are for who owns the bus
 *
 * Manual: PCI Local Bus 3.0, "Configuration Space Header", "Capabilities List"; PCI Express Base,
 * "PCI Express Enhanced Configuration Access Mechanism".
 */
#include "exercise.h"
#include "lib/bits.h"
#include "lib/types.h"
#include "vmm.h"

#define FUNCTION_BYTES 0x1000

#define REG_COMMAND 0x04
#define COMMAND_WRITABLE 0x0406U /* INTx disable, bus master, memory space */
#define STATUS_CAPABILITIES BIT(20)
#define REG_BAR_FIRST 0x10
#define REG_BAR_END 0x28
#define BAR_FLAGS 15U
#define REG_CAPABILITY_FIRST 0x34
#define REG_INTERRUPT 0x3c
#define HEADER_END 0x40
#define CONFIG_END 0x100

#define CAPABILITY_VENDOR 0x09
#define CAPABILITIES_MAX 48

/** struct pci_view - what a guest has written to the configuration space of a function */
struct pci_view {
	u16 command;
	u8 interrupt_line; /* means nothing to the device: the guest's own note */
	u8 sized; /* bit n: all ones were written to BAR n, which then reads as its mask */
};

/** struct pci_host - the model's state: the views of the VM's functions, in vmm_pci_function()'s order */
struct pci_host {
	struct vm *vm;
	struct pci_view views[VMM_PCI_MAX];
};

/** struct pci_place - a register: of which function, and where in its configuration space */
struct pci_place {
	struct pci_host *host;
	u32 index;
	u32 offset; /* a multiple of 4 */
};

static inline u32 hardware(const struct pci_place *at, u32 offset)
{
	return vmm_pci_read(at->host->vm, at->index, offset);
}

/* ---- capabilities ---- */

/**
 * Exercise 5.7: shown_capability() - the first capability from the one at @offset on that the guest is
 * shown: a vendor-specific one
 *
 * The low byte of a capability's first register is its ID, the next byte the offset of the capability
 * behind it, whose lowest two bits do not count; 0 ends the list. A device's list may be damaged: of
 * one with a loop CAPABILITIES_MAX are looked at, and what points into the header ends it.
 *
 * Return: its offset, 0 when there is none.
 */
EXERCISE(5.7)
static u32 shown_capability(const struct pci_place *at, u32 offset)
{
	TODO(5.7);
}

static u32 first_capability(const struct pci_place *at)
{
	if (!(hardware(at, REG_COMMAND) & STATUS_CAPABILITIES))
		return 0;
	return shown_capability(at, hardware(at, REG_CAPABILITY_FIRST));
}

/**
 * Exercise 5.7: capability_read() - a register behind the header
 *
 * It reads as the hardware's if it lies in a capability that is shown; in the first register of one
 * the pointer leads to the next one that is. Zero elsewhere. A vendor-specific capability has its
 * length in bytes in bits 23:16 of the first register.
 */
EXERCISE(5.7)
static u32 capability_read(const struct pci_place *at)
{
	TODO(5.7);
}

/* ---- the header ---- */

/* What of the hardware's header is shown as it is. */
static const u32 header_shown[HEADER_END / 4] = {
	[0x00 / 4] = 0xffffffff, /* device, vendor */
	[0x04 / 4] = 0x00080000, /* status: the level of INTx */
	[0x08 / 4] = 0xffffffff, /* class, revision */
	[0x0c / 4] = 0x00ff0000, /* header type */
	[0x2c / 4] = 0xffffffff, /* subsystem */
	[0x3c / 4] = 0x0000ff00, /* interrupt pin */
};

static bool is_bar(u32 offset)
{
	return offset >= REG_BAR_FIRST && offset < REG_BAR_END;
}

/**
 * Exercise 5.7: bar_read() - base address register @bar as the guest reads it
 *
 * Where EL2 has placed it, or, while it is sized, its mask; the flags below the address bits are the
 * same in both cases.
 */
EXERCISE(5.7)
static u32 bar_read(const struct pci_place *at, u32 bar)
{
	TODO(5.7);
}

/**
 * Exercise 5.7: bar_write() - the guest writes @value to base address register @bar
 *
 * The BAR does not move. All ones in the bits that an address may have (all but BAR_FLAGS) ask for its
 * size, until anything else is written.
 */
EXERCISE(5.7)
static void bar_write(const struct pci_place *at, u32 bar, u32 value)
{
	TODO(5.7);
}

/**
 * Exercise 5.7: register_read() - what the guest reads from the 32-bit register @at
 *
 * Of the header what header_shown leaves of the hardware's, with these added: the view's command,
 * STATUS_CAPABILITIES and the pointer if there is a first_capability(), the view's interrupt line. A
 * BAR: bar_read(). From HEADER_END on capability_read(), from CONFIG_END on zero.
 */
EXERCISE(5.7)
static u32 register_read(const struct pci_place *at)
{
	TODO(5.7);
}

/**
 * Exercise 5.7: register_write() - the guest writes the bits @mask of the 32-bit register @at
 *
 * The other bits keep what they read as. Command, if @mask has bits of it: COMMAND_WRITABLE of it is
 * kept in the view and told to EL2 by vmm_pci_set_command(). A BAR: bar_write(). Interrupt line: kept
 * in the view. Nothing else can be written, the status register in the command's upper half neither.
 */
EXERCISE(5.7)
static void register_write(const struct pci_place *at, u32 value, u32 mask)
{
	TODO(5.7);
}

/* ---- the window ---- */

/* The register around @offset of the window. Return: false if no function of the VM is there. */
static bool find_register(struct pci_host *host, u64 offset, struct pci_place *at)
{
	for (u32 index = 0; index < vmm_pci_count(host->vm); index++) {
		if (vmm_pci_function(host->vm, index)->address != offset / FUNCTION_BYTES)
			continue;
		*at = (struct pci_place){host, index, (u32)(offset % FUNCTION_BYTES) & ~3U};
		return true;
	}
	return false;
}

/**
 * Exercise 5.7: ecam_read() - a load of @size bytes from the window
 *
 * 8 bytes are two registers, the one at the lower offset in the low half; 1 and 2 bytes are a part of
 * one. Where find_register() finds no function every bit reads as one.
 */
EXERCISE(5.7)
static u64 ecam_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	TODO(5.7);
}

/** Exercise 5.7: ecam_write() - a store; as ecam_read() */
EXERCISE(5.7)
static void ecam_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
	TODO(5.7);
}

static u64 ecam_bytes(struct vm *vm)
{
	return vmm_pci_count(vm) ? GUEST_PCI_ECAM_SIZE : 0;
}

static void ecam_reset(struct vm *vm, void *state)
{
	struct pci_host *host = state;

	*host = (struct pci_host){.vm = vm};
}

const struct device device_pci = {
	.name = "pci",
	.base = GUEST_PCI_ECAM_BASE,
	.size_bytes = GUEST_PCI_ECAM_SIZE,
	.region_bytes = ecam_bytes,
	.state_bytes = sizeof(struct pci_host),
	.reset = ecam_reset,
	.read = ecam_read,
	.write = ecam_write,
};
