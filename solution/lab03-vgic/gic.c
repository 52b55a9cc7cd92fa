// SPDX-License-Identifier: MIT
/*
 * The physical interrupt controller: which one there is, and who gets an interrupt.
 *
 * EL2 takes every physical interrupt (HCR_EL2.IMO and FMO). It finds the handler that a layer has
 * registered and completes the interrupt in one step or, if the handler passed it on to a guest,
 * only drops its priority: the interrupt stays active, cannot fire again, and the guest's own
 * completion ends it through the HW bit of a list register (IHI 0069, "EOImode").
 *
 * The table is built once before any interrupt is enabled, and read only afterwards: no lock.
 */
#include "internal.h"

#include "console.h"
#include "exercise.h"
#include "el2_boot.h"
#include "mailbox.h"

struct gic_driver *gic;

static const struct irq_entry *irq_entries[GIC_INTID_SPECIAL];

unsigned gic_version(void)
{
	return gic->version;
}

void gic_set_active(u32 intid, bool active)
{
	gic->set_active(intid, active);
}

void gic_send_sgi(u32 intid, const struct cpu *cpu)
{
	gic->send_sgi(intid, cpu);
}

/* ID_AA64PFR0_EL1.GIC: 0 means that there are no GIC system registers, so a memory-mapped GICv2. */
int gic_init(void)
{
	gic = read_sysreg(id_aa64pfr0_el1) >> 24 & 0xf ? &gic_v3 : &gic_v2;
	for (const struct irq_entry *entry = registry_irqs; entry < registry_irqs_end; entry++) {
		assert(entry->intid < GIC_INTID_SPECIAL);
		irq_entries[entry->intid] = entry;
	}
	gic->init();
	return 0;
}

/* SPIs go to the CPU that starts first; PPIs and SGIs are enabled on each. */
int gic_init_cpu(struct cpu *cpu)
{
	gic->init_cpu(cpu);
	for (const struct irq_entry *entry = registry_irqs; entry < registry_irqs_end; entry++) {
		if (entry->intid < GIC_PRIVATE_COUNT || cpu->index == 0)
			gic->enable(entry->intid, entry->edge);
	}
	return 0;
}

/* An interrupt that nobody asked for would come again at once: it is masked for good. */
static enum irq_result gic_unclaimed(u32 intid)
{
	gic->disable(intid);
	console_printf("physical interrupt %u has no handler: disabled\n", intid);
	return IRQ_HANDLED;
}

/*
 * Take pending interrupts until the interface says that there is none: INTIDs 1020-1023 are not
 * interrupts and must not be completed. Each is acknowledged, handled by the registry's handler
 * and ended: priority drop always; deactivation unless the handler forwarded it. One without a
 * handler is masked and completed.
 */
EXERCISE(3.1)
void gic_irq(struct cpu *cpu)
{
	for (;;) {
		u32 iar = gic->acknowledge();
		u32 intid = iar & gic->intid_mask;
		const struct irq_entry *entry;
		enum irq_result result;

		if (intid >= GIC_INTID_SPECIAL && intid <= GIC_INTID_SPURIOUS)
			return;
		entry = intid < GIC_INTID_SPECIAL ? irq_entries[intid] : NULL;
		result = entry ? entry->handler(cpu, intid) : gic_unclaimed(intid);
		gic->end(iar);
		if (result == IRQ_HANDLED)
			gic->deactivate(iar);
	}
}

static enum irq_result uart_irq(struct cpu *cpu, u32 intid)
{
	console_poll();
	return IRQ_HANDLED;
}

IRQ_HANDLER(PLAT_UART_INTID, IRQ_LEVEL, uart_irq);
