// SPDX-License-Identifier: MIT
/*
 * The physical interrupt controller: which one there is, and who gets an interrupt.
 *
 * EL2 takes every physical interrupt (HCR_EL2.IMO and FMO) and calls the handler that a layer has
 * registered. An interrupt that EL2 has handled gets priority drop and deactivation. One that the
 * handler passed on to a guest only gets the priority drop: it stays active and cannot fire again
 * until the guest's completion deactivates it, through the HW bit of a list register (IHI 0069,
 * "EOImode").
 *
 * The dispatch table is built once, before any interrupt is enabled: no lock.
 */
#include "internal.h"

#include "console.h"
#include "exercise.h"
#include "el2_boot.h"
#include "mailbox.h"

struct gic_driver *gic;

static const struct irq_entry *irq_entries[GIC_INTID_SPECIAL];

void gic_set_active(u32 intid, bool active)
{
	gic->set_active(intid, active);
}

void gic_send_sgi(u32 intid, const struct cpu *cpu)
{
	gic->send_sgi(intid, cpu);
}

int gic_init(void)
{
	gic = gic_version() == 3 ? &gic_v3 : &gic_v2;
	for (const struct irq_entry *entry = registry_irqs; entry < registry_irqs_end; entry++) {
		assert(entry->intid < GIC_INTID_SPECIAL);
		irq_entries[entry->intid] = entry;
	}
	gic->init();
	return 0;
}

/* PPIs and SGIs are enabled on each CPU, SPIs on the one that starts first and gets them. */
int gic_init_cpu(struct cpu *cpu)
{
	gic->init_cpu(cpu);
	for (const struct irq_entry *entry = registry_irqs; entry < registry_irqs_end; entry++) {
		if (entry->intid < GIC_PRIVATE_COUNT || cpu->index == 0)
			gic->enable(entry->intid, entry->edge);
	}
	return 0;
}

/* An interrupt that nobody asked for would come again at once: EL2 masks it for good. */
static enum irq_result gic_unclaimed(u32 intid)
{
	gic->disable(intid);
	console_printf("physical interrupt %u has no handler: disabled\n", intid);
	return IRQ_HANDLED;
}

/*
 * Exercise 3.1: take the interrupt that is pending at this CPU, if there is one.
 *
 * Another that waits behind it interrupts the guest's next entry, or ends the next WFI.
 * gic->acknowledge() gives the INTID, in the bits gic->intid_mask. 1020 and more are no interrupts:
 * nothing is pending, and nothing must be completed. The handler is in irq_entries[], which ends
 * before 1020; without one, gic_unclaimed(). gic->end() follows always, gic->deactivate() unless
 * the handler said IRQ_FORWARDED; both get what gic->acknowledge() returned.
 */
EXERCISE(3.1)
void gic_irq(struct cpu *cpu)
{
	TODO(3.1);
}

enum irq_result console_interrupt(struct cpu *cpu, u32 intid)
{
	console_poll();
	return IRQ_HANDLED;
}
