/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exact count of retired instructions, all CPUs and exception levels, idling not counted: a TCG
 * plugin that adds one for each executed instruction and prints "RETIRED n" on standard error at
 * the end. QEMU's headers are not part of its Debian package, so the prototypes stand here; the
 * version of the interface comes from the compiler's command line.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t plugin_id;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*fn)(plugin_id, void *));
extern size_t qemu_plugin_tb_n_insns(const void *block);
extern void *qemu_plugin_tb_get_insn(const void *block, size_t index);
extern void qemu_plugin_register_vcpu_insn_exec_cb(void *insn, void (*fn)(unsigned, void *),
						   int flags, void *data);
extern void qemu_plugin_register_atexit_cb(plugin_id id, void (*fn)(plugin_id, void *), void *data);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

static uint64_t retired;

static void executed(unsigned cpu, void *data)
{
	(void)cpu;
	(void)data;
	retired++;
}

static void translated(plugin_id id, void *block)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++)
		qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_tb_get_insn(block, i), executed, 0,
						       NULL);
}

static void finished(plugin_id id, void *data)
{
	(void)id;
	(void)data;
	fprintf(stderr, "RETIRED %llu\n", (unsigned long long)retired);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	(void)argc;
	(void)argv;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finished, NULL);
	return 0;
}
