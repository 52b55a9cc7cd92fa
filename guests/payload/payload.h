/* SPDX-License-Identifier: MIT */
/*
 * The payload of the benchmark: one Image that runs without a hypervisor, as a VM of Strata, as a VM
 * of KVM under bench/peers/vmm.c, and as a domain of Xen, and measures the same there.
 *
 * Where it is stands in its command line, "bench=SYSTEM,PART[,second]": the system decides where
 * the devices are and by which calls the rows are measured that differ from one to another; the
 * part, which rows. Without a command line it is alone on the machine.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include "bench_rows.h"
#include "cpu.h"
#include "hypercall.h"
#include "lib/gic_regs.h"

/** struct platform - where a system has the devices that the payload drives */
struct platform {
	const char *name;
	u64 uart, gicd, gicr;
	bool is_bare; /* no hypervisor: the firmware's calls are SMCs */
};

extern struct platform platform;

/* Samples of the rows; the second of two that are taken together. */
extern u32 samples[SAMPLES], second[SAMPLES];

/** print() - formatted text on the console (kit's conversions) */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** ticks() - the physical count: under the deterministic clock of 1 GHz, instructions */
static inline u64 ticks(void)
{
	u64 value;

	asm volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(value)::"memory");
	return value;
}

/** psci() - a call to who starts and ends CPUs here */
static inline u64 psci(u64 fid, u64 a1, u64 a2, u64 a3)
{
	return platform.is_bare ? smc(fid, a1, a2, a3).x0 : hvc(fid, a1, a2, a3).x0;
}

/* A call of which the compiler keeps nothing that SMCCC lets the other side change. */
static inline u64 call(u64 fid)
{
	register u64 x0 asm("x0") = fid;

	asm volatile("hvc #0"
		     : "+r"(x0)::"x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
		       "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return x0;
}

#define MEASURE(row_name, unit, operation)                                                         \
	do {                                                                                       \
		for (int i_ = -WARM_UP; i_ < SAMPLES; i_++) {                                      \
			u64 start_ = ticks();                                                      \
			operation;                                                                 \
			u64 end_ = ticks();                                                        \
			if (i_ >= 0)                                                               \
				samples[i_] = (u32)(end_ - start_);                                \
		}                                                                                  \
		row_add(row_name, samples, unit);                                                  \
	} while (0)

#define SETTLE 64 /* until another CPU is back where it waits or sleeps */
#define BEGIN 20000 /* until another CPU or VM has begun, or has printed */

/** settle() - @turns YIELDs: at each QEMU lets the other CPUs run until they wait, too */
static inline void settle(u32 turns)
{
	while (turns--)
		cpu_relax();
}

/* ---- interrupts (interrupts.c) ---- */

/** taken - how many interrupts were taken; taken_at - ticks at the vector of the last one */
extern volatile u64 taken, taken_at;

/** gic_start() - the distributor; gic_start_cpu() - what CPU @cpu has to itself */
void gic_start(void);
void gic_start_cpu(u64 cpu);

/** gic_start_spi() - enable the shared interrupt @intid for CPU 0; edge: it is latched */
void gic_start_spi(u32 intid, bool edge);

/** send_sgi() - software interrupt 1 to the CPUs of the list */
static inline void send_sgi(u64 targets)
{
	asm volatile(
		"msr icc_sgi1r_el1, %0\n\tisb" ::"r"(1UL << ICC_SGI1R_EL1_INTID_SHIFT | targets)
		: "memory");
}

/** on_interrupt() - what CPU 0 does in its handler besides; NULL: nothing */
extern void (*on_interrupt)(u32 intid);

/* ---- the second CPU (second.c) ---- */

enum second_mode {
	SECOND_WAITS, /* executes YIELD */
	SECOND_SLEEPS, /* is in WFI */
	SECOND_WORKS, /* calls second_work each time that second_request changes */
	SECOND_OFF
};

extern volatile u64 second_request;
extern void (*second_work)(void);

/** second_start() - start CPU 1; false when it does not come */
bool second_start(void);

/** second_set() - what CPU 1 does from now on */
void second_set(enum second_mode mode);

/* ---- what each system has of its own ---- */

void native_rows(void);
void strata_rows(void);
void strata_switch(bool is_second);
void strata_alone(void);
void strata_round(bool is_second);
void strata_sleep(void) __attribute__((noreturn));
void kvm_rows(void);
void kvm_switch(void);
void xen_rows(void);
void xen_switch(void);
void xen_events(bool is_second);

/** power_off() - end this VM or machine */
void power_off(void) __attribute__((noreturn));

#endif
