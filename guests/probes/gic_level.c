// SPDX-License-Identifier: MIT
/*
 * An interrupt line in both configurations; the PL011's transmit interrupt drives it.
 * Level-sensitive: the line interrupts as long as the device asserts it, and when it drops the
 * interrupt is gone. Edge-triggered: each rise is one interrupt, whatever the line does afterwards.
 */
#include "gic.h"
#include "probe.h"

#define UART GUEST_UART_BASE
#define UART_DR (UART + 0x00)
#define UART_CR (UART + 0x30)
#define UART_IMSC (UART + 0x38)
#define UART_RIS (UART + 0x3c)
#define UART_ICR (UART + 0x44)
#define TX 0x20

static u32 taken, lower_at, pending_seen;
static bool looks; /* the handler asks the distributor, which a hypervisor cannot but notice */

static void line(bool up)
{
	write32(UART_IMSC, up ? TX : 0);
}

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	if (iar != INTID_UART)
		return;
	taken++;
	if (looks)
		pending_seen = pending_seen << 1 | gic_is_pending(INTID_UART);
	if (taken == lower_at)
		line(false);
	gic_eoi(iar);
}

static void wait_taken(u32 count)
{
	irq_enable();
	for (unsigned i = 0; i < 2000 && *(volatile u32 *)&taken < count; i++)
		cpu_relax();
	for (unsigned i = 0; i < 200; i++)
		cpu_relax();
	irq_disable();
}

static void reasserted(void)
{
	taken = pending_seen = 0;
	lower_at = 5;
	looks = false;
	line(true);
	wait_taken(5);
	report_equal("a line that stays up interrupts again after each EOI, until it drops", taken,
		     5);
	taken = 0;
	looks = true;
	line(true);
	wait_taken(5);
	report_equal("also when the handler looks at the distributor", taken, 5);
	report_equal("while active it reads as pending as long as the line is up",
		     pending_seen & 0x1e, 0x1e);
	report_equal("afterwards it is idle",
		     gic_is_pending(INTID_UART) << 1 | gic_is_active(INTID_UART), 0);
}

static void dropped_before_ack(void)
{
	line(true);
	report_equal("the raised line is signalled", irq_wait_signalled(), 1);
	report_equal("and pending", gic_is_pending(INTID_UART), 1);
	line(false);
	report_equal("a line that drops before the acknowledge takes the interrupt along",
		     irq_is_signalled(), 0);
	report_equal("nothing is acknowledged", gic_ack(), INTID_SPURIOUS);
	report_equal("nothing is pending", gic_is_pending(INTID_UART), 0);
}

static void dropped_while_active(void)
{
	u32 iar;

	line(true);
	irq_wait_signalled();
	iar = gic_ack();
	report_equal("acknowledged", iar, INTID_UART);
	line(false);
	gic_eoi(iar);
	report_equal("a line that drops while active does not come again", irq_is_signalled(), 0);
}

static void raised_while_active(void)
{
	u32 iar;

	line(true);
	irq_wait_signalled();
	iar = gic_ack();
	line(false);
	line(true);
	report_equal("nothing preempts at the same priority", irq_is_signalled(), 0);
	gic_eoi(iar);
	report_equal("a line raised again while active comes after EOI", irq_wait_signalled(), 1);
	line(false);
	report_equal("until it drops", irq_is_signalled(), 0);
}

static void cannot_be_cleared(void)
{
	line(true);
	irq_wait_signalled();
	gic_clear_pending(INTID_UART);
	report_equal("ICPENDR cannot clear a level that is up", gic_is_pending(INTID_UART), 1);
	report_equal("nor stop its signal", irq_wait_signalled(), 1);
	line(false);
}

static void raised_while_disabled(void)
{
	gic_disable(INTID_UART);
	line(true);
	report_equal("disabled: not signalled", irq_is_signalled(), 0);
	gic_enable(INTID_UART);
	report_equal("enabled with the line up: signalled", irq_wait_signalled(), 1);
	line(false);
}

static void edges(void)
{
	u32 iar;

	gic_set_edge(INTID_UART, true);
	line(true);
	line(false);
	report_equal("an edge stays pending when the line falls again", gic_is_pending(INTID_UART),
		     1);
	report_equal("and signalled", irq_wait_signalled(), 1);
	iar = gic_ack();
	report_equal("and is acknowledged", iar, INTID_UART);
	line(true);
	report_equal("an edge while it is active makes it pending as well",
		     gic_is_active(INTID_UART) << 1 | gic_is_pending(INTID_UART), 3);
	gic_eoi(iar);
	report_equal("and comes after EOI", irq_wait_signalled() ? gic_ack() : 0, INTID_UART);
	gic_eoi(INTID_UART);
	report_equal("once, although the line is still up",
		     irq_is_signalled() << 1 | gic_is_pending(INTID_UART), 0);
	line(false);
	gic_set_edge(INTID_UART, false);
}

void probe(void)
{
	gic_init();
	irq_handler_set(handler);
	gic_set_edge(INTID_UART, false);
	gic_enable(INTID_UART);
	write32(UART_CR, 0x301);
	write32(UART_IMSC, 0);
	write32(UART_DR, '\n'); /* the FIFO empties: raw transmit interrupt */
	for (unsigned i = 0; i < 1000 && !(read32(UART_RIS) & TX); i++)
		cpu_relax();
	report_equal("an empty transmit FIFO raises the raw interrupt", read32(UART_RIS) & TX, TX);
	reasserted();
	dropped_before_ack();
	dropped_while_active();
	raised_while_active();
	cannot_be_cleared();
	raised_while_disabled();
	edges();
}
