/* SPDX-License-Identifier: MIT */
/*
 * What a probe is made of: `void probe(void)`, which says what it saw by report().
 *
 * The results stand in memory (probe_report), which the harness reads from outside the machine;
 * the text on the console is for people. All variation comes from probe_seed, which the harness
 * patches into the image, so a result cannot be known beforehand.
 */
#ifndef GUEST_PROBE_H
#define GUEST_PROBE_H

#include "cpu.h"
#include "exception.h"
#include "hypercall.h"

#define PROBE_MAGIC 0x50524f42452d5631UL /* "PROBE-V1" */
#define PROBE_ENTRY_MAX 64

/** struct probe_report - the results; layout shared with the harness */
struct probe_report {
	u64 magic;
	u32 count;
	u32 passed;
	u32 done;
	u32 pad;
	struct {
		u64 name; /* link address of the text */
		u64 passed;
		u64 observed;
		u64 expected;
	} entries[PROBE_ENTRY_MAX];
};

extern struct probe_report probe_report;
extern volatile u64 probe_seed;

/** struct guest - what the runtime knows of this VM; where = RAM etc. from STRATA_VM_INFO */
struct guest {
	bool hypervisor; /* false: plain EL1 without Strata, hypercalls do nothing */
	u32 vm;
	u32 vcpu;
	u64 ram_base;
	u64 ram_bytes;
	u64 dtb;
};

extern struct guest guest;

/** probe() - the probe itself; returning from it is probe_finish() */
void probe(void);

/** report() - one property: @passed, and for the failure text what was @observed and @expected */
void report(bool passed, const char *text, u64 observed, u64 expected);

/** report_equal() - the property that @observed is @expected */
static inline void report_equal(const char *text, u64 observed, u64 expected)
{
	report(observed == expected, text, observed, expected);
}

/** probe_finish() - mark the results complete and power the VM off */
void probe_finish(void) __attribute__((noreturn));

/** print() - formatted text on the console (kit's conversions) */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** console_use_pl011() - from now on print through the PL011 instead of by hypercall */
void console_use_pl011(bool on);

/** random() - next number of a generator that starts from probe_seed and the VM's index */
u64 random(void);

/** link_address() - where @pointer, something of the image, was linked */
u64 link_address(const void *pointer);

/** free_memory() - first RAM address behind the image and its stack, page aligned */
u64 free_memory(void);

/** memory_end() - first address behind the free memory: the end of RAM, or the device tree there */
u64 memory_end(void);

/** ram_end() - first address behind RAM */
u64 ram_end(void);

/** has_stage2() - whether addresses are the VM's own; an image of layer 1 alone shows physical ones */
bool has_stage2(void);

#endif
