/* SPDX-License-Identifier: MIT */
/*
 * A probe is a function `void probe(void)` that says by report() what it observed.
 *
 * The harness, outside the machine, reads each result when the last word of probe_entry is stored,
 * and never again; the text on the console is for people. All variation comes from probe_seed,
 * which the harness patches into the image, so nobody knows a result beforehand.
 */
#ifndef GUEST_PROBE_H
#define GUEST_PROBE_H

#include "cpu.h"
#include "exception.h"
#include "hypercall.h"
#include "lib/guest_map.h"

/** struct probe_entry - one result; layout shared with the harness, aligned to lie in one page */
struct probe_entry {
	u64 name; /* link address of the text */
	u64 passed;
	u64 observed;
	u64 expected;
	u64 vm;
	u64 pad[2];
	u64 number; /* 1 for the first; stored last */
} __attribute__((aligned(64)));

/* An entry whose text begins so must fail, and is for the harness alone. */
#define PROBE_BAIT '!'

/** probe_entry - the last result */
extern struct probe_entry probe_entry;

/**
 * probe_seed, probe_vm - the harness writes them into the image: the seed of all random numbers,
 * and which of its VMs this is, whatever the hypervisor says
 */
extern volatile u64 probe_seed, probe_vm;

/** struct guest - what the runtime knows of this VM, from STRATA_VM_INFO */
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

/**
 * report() - one property; @observed and @expected are for the text of a failure
 *
 * It prints its text, which exits to EL2: once a character, by hypercall or by a store to the PL011
 * (console_use_pl011()). Who counts exits or needs an interrupt to wait reports afterwards.
 */
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

/** seed_number() - the same in all VMs of a run, different with another probe_seed */
u64 seed_number(void);

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

/** has_stage2() - whether addresses are the VM's own; with layer 1 alone they are physical */
bool has_stage2(void);

#endif
