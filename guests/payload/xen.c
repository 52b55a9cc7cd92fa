// SPDX-License-Identifier: MIT
/*
 * A domain of Xen, started by Xen itself without a domain 0. A virtual device is another domain, and
 * the signal an event channel that the device tree has set up: the same way out and in. Of two
 * domains neither sees the other's memory, so each gives the sum of its stamps; the counter is one.
 *
 * Numbers and layouts: Xen's public headers (xen.h, event_channel.h, memory.h, arch-arm.h).
 */
#include "payload.h"

#define XEN_MEMORY_OP 12
#define XEN_MEMORY_ADD_TO_PHYSMAP 7
#define XEN_VERSION 17
#define XEN_SCHED_OP 29
#define XEN_SCHED_YIELD 0
#define XEN_EVENT_CHANNEL_OP 32
#define XEN_EVENT_CHANNEL_SEND 4
#define XEN_DOMID_SELF 0x7ff0
#define XEN_EVENT_INTID 31

#define SHARED_PAGE 0x38000000UL /* free in a domain's memory map */
#define UPCALL_PENDING 0 /* offsets in struct shared_info; one vCPU has its part there */
#define PENDING_SELECTOR 8
#define EVENTS_PENDING 48

#define FIRST_PORT 10 /* of the first domain; the second has the next */

static inline u64 xen_call(u64 number, u64 a, u64 b)
{
	register u64 x16 asm("x16") = number;
	register u64 x0 asm("x0") = a;
	register u64 x1 asm("x1") = b;

	asm volatile("hvc #0xea1" : "+r"(x0), "+r"(x1), "+r"(x16)::"x2", "x3", "x4", "memory");
	return x0;
}

static void yield(void)
{
	xen_call(XEN_SCHED_OP, XEN_SCHED_YIELD, 0);
}

void xen_rows(void)
{
	MEASURE("hypercall", 1, xen_call(XEN_VERSION, 0, 0));
	MEASURE("yield_alone", 1, yield());
}

/* Both domains measure, on one CPU: two switches a sample. */
void xen_switch(void)
{
	for (int i = 0; i < 2000; i++)
		yield();
	MEASURE("vm_switch", 2, yield());
	for (int i = 0; i < 8000; i++) /* until the other has measured, too */
		yield();
}

static u32 port;
static volatile u64 events, stamps;
static bool echoes;

static void send_event(void)
{
	u32 argument = port;

	xen_call(XEN_EVENT_CHANNEL_OP, XEN_EVENT_CHANNEL_SEND, (u64)&argument);
}

static void event_taken(u32 intid)
{
	u64 pending;

	if (intid != XEN_EVENT_INTID)
		return;
	write8(SHARED_PAGE + UPCALL_PENDING, 0);
	write64(SHARED_PAGE + PENDING_SELECTOR, 0);
	pending = read64(SHARED_PAGE + EVENTS_PENDING);
	write64(SHARED_PAGE + EVENTS_PENDING, 0);
	if (!(pending >> port & 1))
		return; /* the upcall that connecting the channel made */
	stamps = stamps + taken_at;
	events = events + 1;
	if (echoes)
		send_event();
}

static void map_shared_page(void)
{
	struct {
		u16 domain, size;
		u32 space;
		u64 index, frame;
	} argument = {XEN_DOMID_SELF, 0, 0, 0, SHARED_PAGE >> 12};

	xen_call(XEN_MEMORY_OP, XEN_MEMORY_ADD_TO_PHYSMAP, (u64)&argument);
	settle(BEGIN);
	write8(SHARED_PAGE + UPCALL_PENDING, 0);
	write64(SHARED_PAGE + PENDING_SELECTOR, 0);
	write64(SHARED_PAGE + EVENTS_PENDING, 0);
}

static void receive(bool asleep, const char *name)
{
	u64 before, first = events + WARM_UP, last = events + WARM_UP + SAMPLES;

	while (events < first)
		cpu_relax();
	before = stamps;
	while (events < last) {
		if (asleep)
			asm volatile("wfi" ::: "memory");
		else
			cpu_relax();
	}
	asm volatile("msr daifset, #2" ::: "memory");
	print("SUM %s received n=%d sum=%lu\n", name, SAMPLES, stamps - before);
	asm volatile("msr daifclr, #2" ::: "memory");
}

static void send(const char *name)
{
	u64 sum = 0;

	for (int i = -WARM_UP; i < SAMPLES; i++) {
		settle(SETTLE);
		u64 before = events, start = ticks();
		send_event();
		while (events == before)
			cpu_relax();
		if (i >= 0)
			sum += start;
	}
	print("SUM %s sent n=%d sum=%lu\n", name, SAMPLES, sum);
	settle(BEGIN);
}

void xen_events(bool is_second)
{
	port = FIRST_PORT + is_second;
	echoes = is_second;
	on_interrupt = event_taken;
	gic_start();
	map_shared_page();
	asm volatile("msr daifclr, #2" ::: "memory");
	if (is_second) {
		receive(false, "io_in");
		receive(true, "io_in_asleep");
	} else {
		settle(BEGIN);
		send("io_in");
		send("io_in_asleep");
	}
	asm volatile("msr daifset, #2" ::: "memory");
}
