/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which locks EL2 takes while it holds which, as a TCG plugin: grader/oracle/locks.py reads it.
 *
 * spin_lock() is an exchange with acquire: LDAXR and STXR of one word, one right behind the other; no
 * other code of EL2 has this pair. It has taken the lock if the word was 0. spin_unlock() is a STLR of
 * WZR. The lock's name stands behind the word (struct spinlock).
 *
 * Each pair of locks is written when it is first seen: the names of the outer and of the inner one,
 * and where that was taken.
 */
#include <stdio.h>

#include "el2.h"

#define LDAXR 0x885ffc00U
#define LDAXR_FIXED 0xfffffc00U
#define STXR 0x88007c00U
#define STXR_FIXED 0xffe0fc00U
#define STLR_WZR 0x889ffc1fU
#define STLR_WZR_FIXED 0xfffffc1fU
#define RN (0x1fU << 5)

#define HELD_MAX 16
#define PAIR_MAX 256

static FILE *out;
static struct {
	u64 locks[HELD_MAX];
	unsigned count;
	int was_free; /* the word that this CPU's LDAXR has read last was 0 */
} held[PLAT_CPU_MAX];
static struct {
	const char *outer, *inner;
	u64 pc;
} pairs[PAIR_MAX];
static unsigned pair_count;

static const char *name_of(u64 lock)
{
	const struct spinlock *spinlock = at(lock, sizeof(*spinlock));
	const char *name = spinlock ? at((u64)spinlock->name, 1) : NULL;

	return name ? name : "a lock without a name";
}

static void note_pair(u64 outer_lock, u64 inner_lock, u64 pc)
{
	const char *outer = name_of(outer_lock), *inner = name_of(inner_lock);

	for (unsigned i = 0; i < pair_count; i++) {
		if (pairs[i].outer == outer && pairs[i].inner == inner && pairs[i].pc == pc)
			return;
	}
	if (pair_count < PAIR_MAX) {
		pairs[pair_count].outer = outer;
		pairs[pair_count].inner = inner;
		pairs[pair_count++].pc = pc;
	}
	fprintf(out, "%s\t%s\t%#lx\n", outer, inner, (unsigned long)pc);
	fflush(out);
}

static void looks(unsigned cpu, uint32_t info, u64 vaddr, void *data)
{
	const u32 *taken = at(vaddr, sizeof(*taken));

	(void)info;
	(void)data;
	held[running_cpu(cpu)].was_free = taken && !*taken;
}

static void takes(unsigned cpu, uint32_t info, u64 vaddr, void *data)
{
	unsigned self = running_cpu(cpu);

	if (!held[self].was_free || !qemu_plugin_mem_is_store(info))
		return;
	held[self].was_free = 0;
	for (unsigned i = 0; i < held[self].count; i++)
		note_pair(held[self].locks[i], vaddr, (u64)data);
	if (held[self].count < HELD_MAX)
		held[self].locks[held[self].count++] = vaddr;
}

static void gives(unsigned cpu, uint32_t info, u64 vaddr, void *data)
{
	unsigned self = running_cpu(cpu), kept = 0;

	(void)info;
	(void)data;
	for (unsigned i = 0; i < held[self].count; i++) {
		if (held[self].locks[i] != vaddr)
			held[self].locks[kept++] = held[self].locks[i];
	}
	held[self].count = kept;
}

static void translated(plugin_id id, struct plugin_block *block)
{
	u64 pc = qemu_plugin_tb_vaddr(block);
	const u32 *ahead = at(pc - 4, sizeof(*ahead)); /* a page may end between LDAXR and STXR */
	u32 before = ahead ? *ahead : 0;

	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++, pc += 4) {
		struct plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
		u32 word = word_of(insn);

		if (!is_el2(pc, insn))
			return;
		/* QEMU 7.2 takes a callback for reads for one for writes. */
		if ((word & LDAXR_FIXED) == LDAXR)
			qemu_plugin_register_vcpu_mem_cb(insn, looks, PLUGIN_NO_REGISTERS,
							 PLUGIN_READ_WRITE, NULL);
		if ((word & STXR_FIXED) == STXR && (before & LDAXR_FIXED) == LDAXR &&
		    !((word ^ before) & RN))
			qemu_plugin_register_vcpu_mem_cb(insn, takes, PLUGIN_NO_REGISTERS,
							 PLUGIN_WRITE, (void *)pc);
		if ((word & STLR_WZR_FIXED) == STLR_WZR)
			qemu_plugin_register_vcpu_mem_cb(insn, gives, PLUGIN_NO_REGISTERS,
							 PLUGIN_WRITE, NULL);
		before = word;
	}
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_info *info, int argc, char **argv)
{
	const struct number numbers[] = {
		{"image_start", &image_start},
		{"image_end", &image_end},
		{"ram", &ram_bytes},
	};

	(void)info;
	for (int i = 0; i < argc; i++) {
		take_number(argv[i], numbers, ARRAY_SIZE(numbers));
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	}
	if (!out || !image_end || !ram_bytes)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
