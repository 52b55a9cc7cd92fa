// SPDX-License-Identifier: MIT
/*
 * Waiting: an interrupt that would be signalled ends WFI, whether PSTATE.I is set or not; the
 * instruction is not executed again; WFE and SEV do no harm. To be packed as one or two VMs.
 */
#include "probe.h"
#include "timer.h"

#define WFI asm volatile("wfi" ::: "memory")

static void pending(void)
{
	u64 start = counter();

	gic_send_sgi_self(2);
	WFI;
	report(counter() - start < ticks_from_us(50000), "WFI with an interrupt pending returns",
	       counter() - start, 0);
	report_equal("and does not take it: PSTATE.I is set", irq_is_signalled(), 1);
	gic_eoi(gic_ack());
}

static volatile u64 handled_before;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	handled_before = frame->elr;
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_eoi(iar);
}

static void return_address(void)
{
	u64 after;

	irq_handler_set(handler);
	timer_set_cval(TIMER_VIRTUAL, counter() + ticks_from_us(2000));
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	asm volatile("	msr daifclr, #2\n"
		     "	wfi\n"
		     "1:	nop\n"
		     "	msr daifset, #2\n"
		     "	adr %0, 1b"
		     : "=r"(after)::"memory");
	irq_handler_set(irq_log_handler);
	report(handled_before == after || handled_before == after + 4,
	       "the interrupt that ends WFI is taken behind it", handled_before, after);
}

static void many(void)
{
	u64 start = counter(), woken = 0;

	for (unsigned i = 0; i < 200; i++) {
		timer_set_cval(TIMER_VIRTUAL, counter() + ticks_from_us(random() % 300));
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		while (!irq_is_signalled())
			WFI;
		woken++;
		timer_set_ctl(TIMER_VIRTUAL, 0);
	}
	report_equal("200 waits with random deadlines all end", woken, 200);
	report(counter() - start < ticks_from_us(200 * 21000), "in bounded time", counter() - start,
	       ticks_from_us(200 * 21000));
}

static void disabled_does_not_end_it(void)
{
	u64 alarm;

	gic_disable(3);
	if (gic_version() == 3)
		gic_send_sgi_self(3); /* pending, but disabled */
	alarm = counter() + ticks_from_us(3000);
	timer_set_cval(TIMER_VIRTUAL, alarm);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	while (!irq_is_signalled())
		WFI;
	report(counter() >= alarm, "a disabled pending interrupt does not signal", counter(),
	       alarm);
	report_equal("the timer does", gic_ack(), INTID_VTIMER);
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_eoi(INTID_VTIMER);
	gic_clear_pending(3);
}

#define MODE_A32 0x1d0 /* User, A, I and F masked */
#define MODE_T32 0x1f0
#define SCTLR_NTWI BIT(16)

static const u32 a32_code[] = {
	0xe3b01000, /* movs	r1, #0 */
	0xe320f003, /* wfi */
	0xe2811001, /* add	r1, r1, #1 */
	0x1320f003, /* wfine */
	0xe2811002, /* add	r1, r1, #2 */
	0xef000000, /* svc	#0 */
};
static const u16 t32_code[] __attribute__((aligned(4))) = {
	0x2100, /* movs	r1, #0 */
	0xbf30, /* wfi */
	0x3101, /* adds	r1, #1 */
	0xbf14, /* ite	ne */
	0xbf30, /* wfine */
	0x3102, /* addeq	r1, #2 */
	0xf3af, 0x8003, /* wfi.w */
	0x3104, /* adds	r1, #4 */
	0xdf00, /* svc	#0 */
};

/* Run @code at EL0 with an interrupt pending that ends each WFI. Return: its r1 at its SVC. */
static u32 run_aarch32(u64 mode, const void *code)
{
	gic_send_sgi_self(2);
	exception_catch(mode, (void (*)(void *))(u64)code, NULL);
	gic_eoi(gic_ack());
	return exception_seen.vector == VECTOR_SYNC_EL0_A32 ? (u32)exception_seen.x[1] : ~0u;
}

static void aarch32(void)
{
	sysreg_write(sctlr_el1, sysreg_read(sctlr_el1) | SCTLR_NTWI);
	isb();
	report_equal("A32: WFI returns behind itself", run_aarch32(MODE_A32, a32_code), 3);
	report_equal("T32: also one of 16 bits, and in an IT block",
		     run_aarch32(MODE_T32, t32_code), 5);
}

void probe(void)
{
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_init();
	gic_enable(2);
	gic_enable(INTID_VTIMER);
	pending();
	return_address();
	many();
	disabled_does_not_end_it();
	if (bits_get(sysreg_read(id_aa64pfr0_el1), 3, 0) == 2)
		aarch32();
	asm volatile("sev\n\twfe\n\tsevl\n\twfe" ::: "memory");
	report(true, "WFE after SEV returns", 0, 0);
}
