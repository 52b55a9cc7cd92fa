/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of QEMU's interface for TCG plugins that the plugins here use. QEMU's headers are not
 * part of its Debian package, so the prototypes stand here; they are the same from version 1 of the
 * interface (QEMU 7.2) to 4 (QEMU 10) but for one function. The version comes from the compiler's
 * command line.
 */
#ifndef STRATA_QEMU_PLUGIN_H
#define STRATA_QEMU_PLUGIN_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;

enum plugin_registers {
	PLUGIN_NO_REGISTERS
};
enum plugin_access {
	PLUGIN_READ = 1,
	PLUGIN_WRITE = 2,
	PLUGIN_READ_WRITE = 3
};

struct plugin_block;
struct plugin_insn;
struct plugin_address;
struct plugin_info;

typedef void (*translated_fn)(plugin_id id, struct plugin_block *block);
typedef void (*executed_fn)(unsigned cpu, void *data);
typedef void (*accessed_fn)(unsigned cpu, uint32_t info, uint64_t vaddr, void *data);
typedef void (*ended_fn)(plugin_id id, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translated_fn fn);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct plugin_block *block, executed_fn fn,
						 enum plugin_registers flags, void *data);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct plugin_insn *insn, executed_fn fn,
						   enum plugin_registers flags, void *data);
extern void qemu_plugin_register_vcpu_mem_cb(struct plugin_insn *insn, accessed_fn fn,
					     enum plugin_registers flags, enum plugin_access access,
					     void *data);
extern void qemu_plugin_register_atexit_cb(plugin_id id, ended_fn fn, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct plugin_block *block);
extern uint64_t qemu_plugin_tb_vaddr(const struct plugin_block *block);
extern struct plugin_insn *qemu_plugin_tb_get_insn(const struct plugin_block *block, size_t index);
extern void *qemu_plugin_insn_haddr(const struct plugin_insn *insn);
extern unsigned qemu_plugin_mem_size_shift(uint32_t info);
extern _Bool qemu_plugin_mem_is_store(uint32_t info);
extern struct plugin_address *qemu_plugin_get_hwaddr(uint32_t info, uint64_t vaddr);
extern _Bool qemu_plugin_hwaddr_is_io(const struct plugin_address *address);
extern uint64_t qemu_plugin_hwaddr_phys_addr(const struct plugin_address *address);

#if PLUGIN_API_VERSION >= 3
extern size_t qemu_plugin_insn_data(const struct plugin_insn *insn, void *data, size_t size);

/** word_of() - the instruction's encoding */
static inline uint32_t word_of(const struct plugin_insn *insn)
{
	uint32_t word = 0;

	qemu_plugin_insn_data(insn, &word, sizeof(word));
	return word;
}
#else
extern const void *qemu_plugin_insn_data(const struct plugin_insn *insn);

static inline uint32_t word_of(const struct plugin_insn *insn)
{
	uint32_t word;

	memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
	return word;
}
#endif

EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

#define PLUGIN_CPU_MAX 8

/**
 * running_cpu() - the index of the CPU that runs, in a callback that was told @cpu
 *
 * QEMU 10 translates a block for all CPUs and puts into it, where CPUs take turns in one thread, the
 * index of the CPU that happened to be the first to run it. So the emulator's own variable counts.
 */
#if PLUGIN_API_VERSION >= 4
static inline unsigned running_cpu(unsigned cpu)
{
	static void *cpus[PLUGIN_CPU_MAX];
	static void *(*get_cpu)(int index);
	static __thread void **current;

	if (!current) {
		current = dlsym(RTLD_DEFAULT, "current_cpu");
		*(void **)&get_cpu = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
		for (int i = 0; get_cpu && i < PLUGIN_CPU_MAX; i++)
			cpus[i] = get_cpu(i);
	}
	for (unsigned i = 0; current && i < PLUGIN_CPU_MAX; i++)
		if (cpus[i] && cpus[i] == *current)
			return i;
	return cpu;
}
#else
static inline unsigned running_cpu(unsigned cpu)
{
	return cpu;
}
#endif

#endif
