/* SPDX-License-Identifier: MIT */
/*
 * What the models of an interrupt controller may use beside vmm.h. Layer 3 implements it.
 *
 * A model says where its registers are and what they hold (struct irq_bank); what becomes of an
 * interrupt is decided behind these functions.
 */
#ifndef STRATA_VMM_IRQ_H
#define STRATA_VMM_IRQ_H

#include "vmm.h"

/* What there is to know of an interrupt, and how many bits a register gives to it. */
enum irq_field {
	IRQ_GROUP, /* 1 bit: Group 1 */
	IRQ_ENABLED, /* 1 */
	IRQ_PENDING, /* 1 */
	IRQ_ACTIVE, /* 1 */
	IRQ_CONFIG, /* 2: bit 1 = edge-triggered */
	IRQ_PRIORITY, /* 8 */
	IRQ_TARGETS, /* 8: GICv2, bit per CPU interface */
	IRQ_SOURCES, /* 8: GICv2 SGIs, bit per requester */
	IRQ_ROUTE, /* 64: GICv3, affinity */
};

enum irq_bank_style {
	BANK_PLAIN, /* a write replaces the fields */
	BANK_SET, /* a write sets the fields that it has ones in */
	BANK_CLEAR, /* ... clears them */
};

/**
 * struct irq_bank - registers that hold one field of every interrupt, INTID 0 first
 * @field: enum irq_field; @style: enum irq_bank_style
 * @base: offset of the first register
 * @first, @end: interrupts below @first and from @end on read as zero and ignore writes
 */
struct irq_bank {
	u8 field;
	u8 style;
	u16 base;
	u16 first;
	u16 end;
};

/**
 * vmm_irq_bank_read() - read @size bytes at @offset of a bank
 * @vcpu: whose SGIs and PPIs INTIDs 0-31 are
 *
 * It may let go of the device lock and take it again: a model keeps nothing over this call.
 */
u64 vmm_irq_bank_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size);

/** vmm_irq_bank_write() - write @size bytes at @offset of a bank */
void vmm_irq_bank_write(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
			u64 value);

/** vmm_irq_send() - the GICv2 SGI @intid (0-15) from @from becomes pending at @to */
void vmm_irq_send(struct vcpu *to, struct vcpu *from, u32 intid);

/** vmm_irq_deactivate() - what @vcpu's write of @intid to GICC_DIR does; any @intid is harmless */
void vmm_irq_deactivate(struct vcpu *vcpu, u32 intid);

/** vmm_irq_groups() - the group enables of GICD_CTLR: bit 0 Group 0, bit 1 Group 1 */
u32 vmm_irq_groups(struct vcpu *vcpu);

/** vmm_irq_set_groups() - replace them; pending interrupts of an enabled group go out at once */
void vmm_irq_set_groups(struct vcpu *vcpu, u32 groups);

/** vmm_vcpu_count() - number of vCPUs */
u32 vmm_vcpu_count(const struct vm *vm);

/** vmm_vcpu() - vCPU @index of the VM that @vcpu belongs to, NULL when there is none */
struct vcpu *vmm_vcpu(struct vcpu *vcpu, u32 index);

/** vmm_vcpu_index() - position of @vcpu in its VM; Aff0 of its MPIDR */
u32 vmm_vcpu_index(const struct vcpu *vcpu);

/** vmm_vm() - the VM of @vcpu */
struct vm *vmm_vm(struct vcpu *vcpu);

#endif
