// SPDX-License-Identifier: MIT
/*
 * The devices that can be assigned, and how each is stopped.
 *
 * An SMMU refuses a device's next access, not the one that is under way: what a device has begun it
 * ends, in the old owner's memory, whoever has that by then. So before memory is reused the device
 * itself has to stop, and how is different for each kind. A device that is not in this table might be
 * one that cannot: it is not assigned. Function Level Reset would do for any that has it; few have.
 *
 * A reset may run with the MMU off (pci_model.problem does), and with interrupts masked: it waits for
 * the device, but not for ever.
 * Manual: VIRTIO 1.1, "Virtio Over PCI Bus", "Reserved Feature Bits"; NVM Express, "Controller
 * Configuration"; 82574 datasheet, "Device Control Register".
 */
#include "el2_boot.h"
#include "exercise.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "pci_device.h"

#define RESETS_PER_SECOND 2 /* half a second, the unit of what an NVMe controller may ask for */

/* Poll a register, by @read, until the bits @mask of it are 0. Return: 0, or -EBUSY: in vain. */
static int await_zero(u32 (*read)(u64 address), u64 address, u32 mask)
{
	u64 end = counter_read() + counter_frequency() / RESETS_PER_SECOND;

	while (read(address) & mask) {
		if (counter_read() > end)
			return -EBUSY;
		cpu_relax();
	}
	return 0;
}

/* ---- virtio ---- */

#define VIRTIO_CAP_TYPE_SHIFT 24
#define VIRTIO_CAP_COMMON 1
#define VIRTIO_CAP_BAR 4
#define VIRTIO_CAP_OFFSET 8
#define VIRTIO_DEVICE_FEATURE_SELECT 0x00
#define VIRTIO_DEVICE_FEATURE 0x04
#define VIRTIO_DEVICE_STATUS 0x14
#define VIRTIO_COMMON_BYTES 0x38
#define VIRTIO_F_ACCESS_PLATFORM_HIGH BIT(1) /* bit 33 */

/* Where the common configuration structure is, 0 when the device does not say. */
static u64 virtio_common(const struct pci_device *device)
{
	pa_t config = device->config;
	u32 at = 0;

	while ((at = pci_capability(config, PCI_CAPABILITY_VENDOR, at)) != 0) {
		u32 bar = pci_read(config, at + VIRTIO_CAP_BAR) & 0xff;
		u64 offset = pci_read(config, at + VIRTIO_CAP_OFFSET);

		if (pci_read(config, at) >> VIRTIO_CAP_TYPE_SHIFT != VIRTIO_CAP_COMMON)
			continue;
		if (bar < PCI_BAR_COUNT && device->function.bar_mask[bar] &&
		    offset + VIRTIO_COMMON_BYTES <= ~device->function.bar_mask[bar] + 1UL)
			return pci_register(device, bar, offset);
	}
	return 0;
}

/*
 * VIRTIO_F_ACCESS_PLATFORM: "the device can be used on a platform where device access to data in
 * memory is limited and/or translated". One that does not offer it goes past the SMMU.
 */
static const char *virtio_problem(const struct pci_device *device)
{
	u64 common = virtio_common(device);

	if (!common)
		return "has no virtio registers where they can be reached";
	mmio_write32(common + VIRTIO_DEVICE_FEATURE_SELECT, 1);
	if (!(mmio_read32(common + VIRTIO_DEVICE_FEATURE) & VIRTIO_F_ACCESS_PLATFORM_HIGH))
		return "bypasses the SMMU: it does not offer VIRTIO_F_ACCESS_PLATFORM "
		       "(iommu_platform=on)";
	return NULL;
}

static const char *transitional_problem(const struct pci_device *device)
{
	return "bypasses the SMMU: it has a legacy interface (disable-legacy=on)";
}

/**
 * Exercise 5.4: virtio_reset() - a virtio device stops when 0 is written to device_status, a byte of its
 * common configuration structure (virtio_common()); it has when that reads as 0
 *
 * Return: as await_zero(); -ENODEV without that structure.
 */
EXERCISE(5.4)
static int virtio_reset(const struct pci_device *device)
{
	u64 common = virtio_common(device);

	if (!common)
		return -ENODEV;
	mmio_write8(common + VIRTIO_DEVICE_STATUS, 0);
	return await_zero(mmio_read8, common + VIRTIO_DEVICE_STATUS, 0xff);
}

/* ---- NVMe, e1000e, edu ---- */

#define NVME_CAP 0x00
#define NVME_CAP_MQES 0xffff /* entries of the largest queue, less one */
#define NVME_INTMC 0x10
#define NVME_CC 0x14
#define NVME_CC_EN BIT(0)
#define NVME_CSTS 0x1c
#define NVME_CSTS_RDY BIT(0)
#define DRAINS_PER_SECOND 100
#define DRAINS_IN_VAIN 3
#define NVME_QUEUE_MAX 65 /* admin queue and what QEMU's controller has at most */

/* Register of "Completion Queue y Head Doorbell", at CAP.DSTRD 0. */
static inline u64 nvme_head_doorbell(const struct pci_device *device, u32 queue)
{
	return pci_register(device, 0, 0x1004 + 8 * queue);
}

/*
 * A controller that is reset while a completion is not acknowledged should forget it. QEMU's does not:
 * its INTx never falls again, in no later life. So the completions are acknowledged, before the queues
 * go. EL2 does not know how far the guest was: it tries all positions until the line is down. A guest
 * that has reset the controller itself has spoilt its own line for good, and may end again and again:
 * the other VMs wait for that DRAINS_IN_VAIN times at most, as long as the machine is on.
 */
static void nvme_drain(const struct pci_device *device)
{
	u32 last = mmio_read32(pci_register(device, 0, NVME_CAP)) & NVME_CAP_MQES;
	u64 end = counter_read() + counter_frequency() / DRAINS_PER_SECOND;
	static u8 in_vain[PCI_FUNCTION_COUNT];

	if (!(mmio_read32(pci_register(device, 0, NVME_CC)) & NVME_CC_EN) ||
	    in_vain[device->function.address] == DRAINS_IN_VAIN)
		return;
	in_vain[device->function.address]++; /* until the line is down */
	mmio_write32(pci_register(device, 0, NVME_INTMC), ~0U);
	for (u32 queue = 0; queue < NVME_QUEUE_MAX; queue++) {
		for (u32 head = 0; head <= last; head++) {
			if (!(pci_read(device->config, PCI_COMMAND) & PCI_STATUS_INTX)) {
				in_vain[device->function.address]--;
				return;
			}
			if (counter_read() > end)
				return;
			mmio_write32(nvme_head_doorbell(device, queue), head);
		}
	}
}

/**
 * Exercise 5.4: nvme_reset() - an NVMe controller stops when 0 is written to CC, in BAR 0; it has when
 * CSTS.RDY is 0. Before that nvme_drain()
 */
EXERCISE(5.4)
static int nvme_reset(const struct pci_device *device)
{
	nvme_drain(device);
	mmio_write32(pci_register(device, 0, NVME_CC), 0);
	return await_zero(mmio_read32, pci_register(device, 0, NVME_CSTS), NVME_CSTS_RDY);
}

#define E1000E_CTRL 0x00
#define E1000E_CTRL_RST BIT(26)
#define E1000E_IMC 0xd8
#define E1000E_RCTL 0x100
#define E1000E_TCTL 0x400

/**
 * Exercise 5.4: e1000e_reset() - an e1000e is reset by CTRL.RST, in BAR 0; it takes the bit back when
 * it is done
 *
 * QEMU 7.2 gives the card its address back then, and does nothing else. So before that the card is told
 * to ask for no interrupt (IMC, all ones), to receive and to send nothing (RCTL and TCTL, 0).
 */
EXERCISE(5.4)
static int e1000e_reset(const struct pci_device *device)
{
	mmio_write32(pci_register(device, 0, E1000E_IMC), ~0U);
	mmio_write32(pci_register(device, 0, E1000E_RCTL), 0);
	mmio_write32(pci_register(device, 0, E1000E_TCTL), 0);
	mmio_write32(pci_register(device, 0, E1000E_CTRL), E1000E_CTRL_RST);
	return await_zero(mmio_read32, pci_register(device, 0, E1000E_CTRL), E1000E_CTRL_RST);
}

#define EDU_INTERRUPT_STATUS 0x24
#define EDU_INTERRUPT_ACKNOWLEDGE 0x64
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_COMMAND_START BIT(0)

/* It has no reset. Its interrupts can be taken back; a transfer begins 100 ms after its start. */
static int edu_reset(const struct pci_device *device)
{
	u64 pending = pci_register(device, 0, EDU_INTERRUPT_STATUS);

	mmio_write32(pci_register(device, 0, EDU_INTERRUPT_ACKNOWLEDGE), mmio_read32(pending));
	return 0;
}

static bool edu_is_busy(const struct pci_device *device)
{
	return mmio_read32(pci_register(device, 0, EDU_DMA_COMMAND)) & EDU_DMA_COMMAND_START;
}

/* ---- the table ---- */

static const struct pci_model models[] = {
	{.name = "edu",
	 .offset = PCI_ID,
	 .mask = 0xffffffff,
	 .value = 0x11e81234,
	 .reset = edu_reset,
	 .is_busy = edu_is_busy},
	{.name = "virtio", /* device IDs 0x1040 to 0x107f */
	 .offset = PCI_ID,
	 .mask = 0xffc0ffff,
	 .value = 0x10401af4,
	 .problem = virtio_problem,
	 .reset = virtio_reset},
	{.name = "transitional virtio", /* 0x1000 to 0x103f */
	 .offset = PCI_ID,
	 .mask = 0xffc0ffff,
	 .value = 0x10001af4,
	 .problem = transitional_problem},
	{.name = "NVMe",
	 .offset = PCI_CLASS,
	 .mask = 0xffffff00,
	 .value = 0x01080200,
	 .reset = nvme_reset},
	{.name = "e1000e",
	 .offset = PCI_ID,
	 .mask = 0xffffffff,
	 .value = 0x10d38086,
	 .reset = e1000e_reset},
};

const struct pci_model *pci_model_of(pa_t config)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		if ((pci_read(config, models[i].offset) & models[i].mask) == models[i].value)
			return &models[i];
	}
	return NULL;
}
