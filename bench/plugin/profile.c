/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instructions EL2 executes for an exit, by call path, as a TCG plugin.
 *
 * A machine runs the payload, which measures one row after the other and says each by row_add().
 * Exits are alike if they leave the same block of the guest by the same vector on the same CPU; of
 * all that are alike the executions of each block of EL2 are counted, apart for each chain of calls
 * that leads there. A call is a BL or BLR, and ends with the RET that goes behind it. When row_add()
 * begins, what was counted is written down, and counting begins anew: a line "exit", for exits that
 * are alike, "call", for a chain of calls, or "block"; "row" ends them. bench/profile.py reads them.
 */
#include <stdio.h>

#include "el2.h"

#define MARK_WORDS 4
#define ALIKE_MAX 256
#define NODE_MAX 4096
#define COUNT_MAX 0x10000
#define NOT_AT_EL2 0xffffffff

/* How a block ends. */
enum end {
	GOES_ON,
	CALLS,
	RETURNS
};

struct block {
	u64 pc, insns;
	int el2;
	enum end end;
};

struct alike {
	u64 vector, from, esr, times, insns;
	unsigned cpu;
};

/* A function that was called by another: a chain of calls ends here. */
struct node {
	u32 parent;
	u64 function, returns_to;
};

struct count {
	u64 pc, insns, times;
	u32 alike, node;
};

static u64 vectors, cpus_at;
static u64 marks[MARK_WORDS];
static FILE *out;

static struct alike alike[ALIKE_MAX];
static struct node nodes[NODE_MAX];
static struct count counts[COUNT_MAX];
static u32 alike_count, node_count;

static u32 current[PLAT_CPU_MAX]; /* the exit that the CPU is in */
static u32 node[PLAT_CPU_MAX];
static const struct block *last[PLAT_CPU_MAX];
static u64 guest_pc[PLAT_CPU_MAX];

static u32 find_alike(u64 vector, u64 from, unsigned cpu)
{
	for (u32 i = 0; i < alike_count; i++)
		if (alike[i].vector == vector && alike[i].from == from && alike[i].cpu == cpu)
			return i;
	if (alike_count == ALIKE_MAX)
		return NOT_AT_EL2;
	alike[alike_count] = (struct alike){.vector = vector, .from = from, .cpu = cpu};
	return alike_count++;
}

static u32 find_node(u32 parent, u64 function, u64 returns_to)
{
	for (u32 i = 0; i < node_count; i++)
		if (nodes[i].parent == parent && nodes[i].function == function &&
		    nodes[i].returns_to == returns_to)
			return i;
	if (node_count == NODE_MAX)
		return parent;
	nodes[node_count] = (struct node){parent, function, returns_to};
	return node_count++;
}

static void count(const struct block *block, u32 exit, u32 where)
{
	u64 hash = (block->pc >> 2) * 31 + exit * 7919UL + where * 104729UL;

	for (u32 probe = 0; probe < COUNT_MAX; probe++) {
		struct count *slot = &counts[(hash + probe) % COUNT_MAX];

		if (!slot->times)
			*slot = (struct count){block->pc, block->insns, 0, exit, where};
		if (slot->pc == block->pc && slot->insns == block->insns && slot->alike == exit &&
		    slot->node == where) {
			slot->times++;
			return;
		}
	}
}

static void follow_calls(unsigned cpu, const struct block *block)
{
	const struct block *before = last[cpu];
	u64 behind = before->pc + 4 * before->insns;

	if (before->end == CALLS && block->pc != behind)
		node[cpu] = find_node(node[cpu], block->pc, behind);
	while (before->end == RETURNS && node[cpu]) {
		u64 returns_to = nodes[node[cpu]].returns_to;

		node[cpu] = nodes[node[cpu]].parent;
		if (returns_to == block->pc)
			break;
	}
}

static u64 esr_on(unsigned cpu)
{
	const struct cpu *here = at(cpus_at + cpu * sizeof(*here), sizeof(*here));
	const struct vcpu *vcpu = here ? at((u64)(uintptr_t)here->vcpu, sizeof(*vcpu)) : NULL;

	return vcpu ? vcpu->exit.esr : 0;
}

static void block_executed(unsigned told, void *data)
{
	unsigned cpu = running_cpu(told);
	const struct block *block = data;
	u64 vector = block->pc - vectors;

	if (cpu >= PLAT_CPU_MAX)
		return;
	if (!block->el2) {
		guest_pc[cpu] = block->pc;
		current[cpu] = NOT_AT_EL2;
		return;
	}
	if (vector >= 0x400 && vector < 0x600 && vector % 0x80 == 0) {
		current[cpu] = find_alike(vector, guest_pc[cpu], cpu);
		node[cpu] = 0;
	} else if (current[cpu] != NOT_AT_EL2) {
		follow_calls(cpu, block);
	}
	last[cpu] = block;
	if (current[cpu] == NOT_AT_EL2)
		return;
	alike[current[cpu]].insns += block->insns;
	count(block, current[cpu], node[cpu]);
}

/* The vCPU that comes back is not the one that left when the exit ends in a switch. */
static void eret_executed(unsigned told, void *data)
{
	unsigned cpu = running_cpu(told);

	(void)data;
	if (cpu >= PLAT_CPU_MAX || current[cpu] == NOT_AT_EL2)
		return;
	alike[current[cpu]].times++;
	if (alike[current[cpu]].vector == 0x400 && !alike[current[cpu]].esr)
		alike[current[cpu]].esr = esr_on(cpu);
	current[cpu] = NOT_AT_EL2;
}

static void row_ends(unsigned cpu, void *data)
{
	(void)cpu;
	(void)data;
	for (u32 i = 0; i < alike_count; i++)
		fprintf(out, "exit %u %#lx %#lx %u %lu %lu\n", i, alike[i].vector, alike[i].esr,
			alike[i].cpu, alike[i].times, alike[i].insns);
	for (u32 i = 0; i < node_count; i++)
		fprintf(out, "call %u %u %#lx\n", i, nodes[i].parent, nodes[i].function);
	for (u32 i = 0; i < COUNT_MAX; i++)
		if (counts[i].times)
			fprintf(out, "block %u %u %#lx %lu %lu\n", counts[i].alike, counts[i].node,
				counts[i].pc, counts[i].insns, counts[i].times);
	fprintf(out, "row\n");
	fflush(out);
	memset(counts, 0, sizeof(counts));
	alike_count = 0;
	for (unsigned i = 0; i < PLAT_CPU_MAX; i++)
		current[i] = NOT_AT_EL2;
}

static enum end end_of(uint32_t word)
{
	if ((word & 0xfc000000) == 0x94000000 || (word & 0xfffffc1f) == 0xd63f0000) /* BL, BLR */
		return CALLS;
	return (word & 0xfffffc1f) == 0xd65f0000 ? RETURNS : GOES_ON;
}

static int is_mark(struct plugin_block *block, size_t index, size_t count)
{
	if (index + MARK_WORDS > count)
		return 0;
	for (size_t i = 0; i < MARK_WORDS; i++)
		if (word_of(qemu_plugin_tb_get_insn(block, index + i)) != marks[i])
			return 0;
	return 1;
}

static void translated(plugin_id id, struct plugin_block *block)
{
	size_t insns = qemu_plugin_tb_n_insns(block);
	struct block *known = calloc(1, sizeof(*known));

	(void)id;
	if (!known)
		abort();
	known->pc = qemu_plugin_tb_vaddr(block);
	known->insns = insns;
	known->el2 = is_el2(known->pc, qemu_plugin_tb_get_insn(block, 0));
	known->end = end_of(word_of(qemu_plugin_tb_get_insn(block, insns - 1)));
	qemu_plugin_register_vcpu_tb_exec_cb(block, block_executed, PLUGIN_NO_REGISTERS, known);
	for (size_t i = 0; i < insns; i++) {
		struct plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);

		if (known->el2 && word_of(insn) == ERET)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, eret_executed,
							       PLUGIN_NO_REGISTERS, NULL);
		if (!known->el2 && is_mark(block, i, insns))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, row_ends, PLUGIN_NO_REGISTERS,
							       NULL);
	}
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_info *info, int argc, char **argv)
{
	const struct number numbers[] = {
		{"image_start", &image_start}, {"image_end", &image_end},
		{"vectors", &vectors},	       {"cpus", &cpus_at},
		{"ram", &ram_bytes},	       {"mark0", &marks[0]},
		{"mark1", &marks[1]},	       {"mark2", &marks[2]},
		{"mark3", &marks[3]},
	};

	(void)info;
	for (int i = 0; i < argc; i++) {
		take_number(argv[i], numbers, ARRAY_SIZE(numbers));
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	}
	if (!out || !image_end || !vectors || !cpus_at || !ram_bytes || !marks[0])
		return -1;
	node_count = 1; /* the first one: the vector itself */
	for (unsigned i = 0; i < PLAT_CPU_MAX; i++)
		current[i] = NOT_AT_EL2;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
