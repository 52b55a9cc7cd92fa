/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exact count of retired instructions, all CPUs and exception levels, idling not counted: a TCG
 * plugin that adds one for each executed instruction and prints "RETIRED n" on standard error at
 * the end.
 */
#include <stdio.h>

#include "qemu_plugin.h"

static uint64_t retired;

static void executed(unsigned cpu, void *data)
{
	(void)cpu;
	(void)data;
	retired++;
}

static void translated(plugin_id id, struct plugin_block *block)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++)
		qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_tb_get_insn(block, i), executed,
						       PLUGIN_NO_REGISTERS, NULL);
}

static void finished(plugin_id id, void *data)
{
	(void)id;
	(void)data;
	fprintf(stderr, "RETIRED %llu\n", (unsigned long long)retired);
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_info *info, int argc, char **argv)
{
	(void)info;
	(void)argc;
	(void)argv;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finished, NULL);
	return 0;
}
