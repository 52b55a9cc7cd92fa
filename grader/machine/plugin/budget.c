/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the harness sees of the instructions that a machine executes, as a TCG plugin: their number,
 * with the vCPU held at the translation block in which the budget runs out, and what the probes in
 * VMs report.
 *
 * The counter lives in a page that the harness maps too, and so does the limit, which the harness
 * may change whenever the machine is stopped. When the limit is reached the vCPU thread writes one
 * byte to the notify pipe and sleeps on the resume pipe: meanwhile the harness asks QEMU to stop,
 * so that the stop is pending before the first instruction after the limit could be executed.
 *
 * A block that is entered a thousand times in a row, and does not branch to itself, faults and is the
 * vector of its own exception. That is held at once and not at the limit: an exception costs the emulator
 * as much as a thousand instructions. A guest may live like that, and the harness can allow it.
 *
 * The same of a guest that EL2 enters again and again where it left it, and which then executes nothing
 * but what it leaves for: its PC is not moved behind an access that was emulated, say.
 *
 * A block is counted when it is entered. A block left early by an exception counts whole: the
 * number is an upper bound, and the same one in every run under icount.
 *
 * EL2 owns the VMs' memory and could change there what a probe wrote. Therefore a result counts as
 * it is when the probe stores it: the last store of an entry, at a known place of the probe's code,
 * copies the entry out of physical memory before another instruction can run. The code that runs
 * at the probe's addresses must be the probe's, each time that it is translated. And after a trip to
 * EL2 a probe must go on where it was, or at its exception vectors, having left by an instruction
 * that can trap: EL2 neither moves a probe about nor steps it from instruction to instruction. From
 * its vectors it returns to where the exception came. No synchronous exception interrupts a report:
 * it would change what the probe is about to say. After an interrupt all general-purpose registers
 * are as they were. Code of a guest that is not its probe's is held to the same: EL2 may have
 * brought it.
 *
 * Among several vCPUs nobody can say for certain which one came back. There two things are watched: a
 * block in which nothing can trap is not left for a synchronous exception, and nobody comes back into
 * a report who was not interrupted there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

#define PROGRAM_MAX 8
#define PROGRAM_BYTES 0x10000
#define SLOT_MAX 2
#define ENTRY_MAX 4096
#define ENTRY_WORDS 8
#define CPU_MAX 8
#define PAGE_MAX 1024
#define PAGE_MASK 0xfffUL
#define LEFT_MAX 64
#define NESTED_MAX 32 /* interrupts nest by their priorities: 32 */
#define REGISTERS 31 /* x0 to x30 */
#define SUSPECT_MAX 8
#define SYNCHRONOUS 0x400 /* EL2's vector for that, from an AArch64 guest */
#define BRANCH 1 /* not for EL2, but by a branch, for code that is not the probe's */
#define CHANGED 2 /* beside the vector: the probe was changed meanwhile */
/* So often EL2 may, on several CPUs, take memory away in which another one runs: to map it anew. */
#define STEPS_MAX 4
#define SUSPECTS_MAX 1

/* The code of a probe, at the addresses where it runs. Offsets count from base. */
struct program {
	uint64_t base;
	uint64_t bytes;
	uint64_t report; /* where an entry begins: the first instruction of report() */
	uint64_t commit; /* the store that ends an entry */
	uint64_t finish; /* the instruction that a probe executes at its end, if that counts */
	uint64_t vectors; /* its exception vectors, 2 KiB */
	uint64_t eret; /* the instruction that returns from them */
	uint64_t landing; /* where that may lead instead of back */
	uint64_t slots[SLOT_MAX]; /* instructions that the probe itself replaces */
	uint32_t text[PROGRAM_BYTES / 4];
};

/* Why a vCPU is held. */
enum reason {
	NOT_HELD,
	AT_LIMIT,
	IN_LOOP,
	FINISHED,
	IN_VAIN,
};

/* Shared with grader/machine/budget.py and grader/oracle/witness.py. */
struct shared {
	_Atomic uint64_t retired;
	_Atomic uint64_t limit;
	_Atomic uint64_t
		reached; /* enum reason, from the moment of a hold until the next limit is set */
	_Atomic uint64_t pc; /* first instruction of the block that would cross the limit */
	_Atomic uint64_t cpu;
	_Atomic uint64_t loops_allowed; /* exception loops are nobody's concern any more */
	uint64_t foreign_pc; /* the first instruction that ran in a probe's place and is not its */
	uint64_t foreign_word;
	uint64_t foreign_count;
	uint64_t
		moved_from; /* the block that a probe left for EL2, and the place where it went on */
	uint64_t moved_to;
	uint64_t moved_how; /* as in struct left, and CHANGED */
	uint64_t moved_count;
	_Atomic uint64_t entry_count;
	_Atomic uint64_t finish_count; /* probes that came to their end */
	uint64_t finish_wanted; /* with so many the machine is held */
	uint64_t vcpu_count;
	uint64_t program_count;
	uint64_t el2_start; /* EL2's image, and in it the vectors; 0: nobody knows */
	uint64_t el2_end;
	uint64_t el2_vectors;
	uint64_t retired_by[CPU_MAX]; /* of @retired, how much by each CPU; written by its thread */
	uint64_t entries[ENTRY_MAX][ENTRY_WORDS];
	struct program programs[PROGRAM_MAX];
};

#define LOOPS_MAX 1000
#define ENTRIES_MAX 2000

enum owner {
	GUEST,
	EL2,
	EXIT_SYNCHRONOUS, /* EL2's vectors for exceptions from a lower level */
	EXIT_INTERRUPT,
};

struct block {
	uint64_t pc;
	uint64_t insns;
	int may_repeat; /* it can lead to itself without an exception */
	enum owner owner;
	int cannot_trap; /* neither can what follows: no reason to be left for EL2 but an interrupt */
	const struct program *program; /* NULL: EL2, or a guest that is not watched */
	uint64_t host_page; /* where its code lies in the emulator's memory */
	uint64_t foreign_pc;
	uint64_t foreign_word;
};

/* What comes of a CPU's entries into guests. */
struct entries {
	enum owner side; /* whose block ran last: a guest's or EL2's */
	enum owner exit; /* the vector by which the guest was left last */
	uint64_t pc; /* where it was entered last */
	uint64_t retired; /* by this CPU, at the end of the block there */
	unsigned in_vain; /* entries in a row that brought no guest any further */
};

/* A place at which a probe was left, for EL2 or for code that is not the probe's. */
struct left {
	const struct block *block;
	uint64_t how; /* EL2's vector, as an offset, or BRANCH */
	int has_x; /* else the emulator does not tell */
	uint64_t x[REGISTERS];
	uint64_t entry[ENTRY_WORDS]; /* what was there of the entry */
};

static struct shared *shared;
static const char *ram;
static uint64_t ram_base, ram_bytes;
static uint64_t last_pc[CPU_MAX]; /* of blocks */
static unsigned loops[CPU_MAX]; /* how often the last one was entered in a row */
static struct entries entries_of[CPU_MAX];
static uint64_t el2_offset; /* from EL2's addresses to the emulator's, which has RAM in one piece */
static const struct block *inside[CPU_MAX]; /* the block of a probe that a CPU is in */
static struct left left; /* where the one VM was, until it comes back; or nobody came back to it */
static struct left nested[NESTED_MAX]; /* where exceptions came that its vectors have not returned from */
static unsigned nested_count;
static uint64_t entry_end; /* of the last entry of the one VM, in RAM; 0: there was none yet */
static struct left lefts[LEFT_MAX]; /* of several: where interrupts came in or before a report */
static unsigned left_count;
static uint64_t suspects[SUSPECT_MAX]; /* pages of code whose next report somebody came back into */
static unsigned suspect_count, suspect_total, steps;
static unsigned cpus_seen; /* a bit each: they ran code of probes */
static atomic_flag several_lock = ATOMIC_FLAG_INIT; /* for the lines since @lefts */
static uint64_t pages[PAGE_MAX]; /* of the guest, from which code of probes has run */
static unsigned page_count;
static int one_thread; /* runs all CPUs: instructions are the machine's clock */
static int notify_fd = -1;
static int resume_fd = -1;

/* glib's, as QEMU has it */
struct byte_array {
	uint8_t *data;
	unsigned length;
};

/*
 * The general-purpose registers of a CPU, at the start of a block. The interface for plugins has
 * registers only from QEMU 9.0 on; the function behind it is older. Sets has_x to 0 if the emulator
 * does not tell. The flags are lost: QEMU clears them where an exception begins.
 */
static void read_registers(unsigned cpu, struct left *place)
{
	static int (*read_register)(void *cpu, struct byte_array *to, int number);
	static void *(*get_cpu)(int index);
	static struct byte_array *(*set_size)(struct byte_array *array, unsigned length);
	static struct byte_array *array;

	if (!array) {
		struct byte_array *(*new_array)(void);

		*(void **)&read_register = dlsym(RTLD_DEFAULT, "aarch64_cpu_gdb_read_register");
		*(void **)&get_cpu = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
		*(void **)&set_size = dlsym(RTLD_DEFAULT, "g_byte_array_set_size");
		*(void **)&new_array = dlsym(RTLD_DEFAULT, "g_byte_array_new");
		place->has_x = 0;
		if (!read_register || !get_cpu || !set_size || !new_array)
			return;
		array = new_array();
	}
	set_size(array, 0);
	for (int i = 0; i < REGISTERS; i++)
		read_register(get_cpu((int)cpu), array, i);
	place->has_x = array->length == sizeof(place->x);
	if (place->has_x)
		memcpy(place->x, array->data, sizeof(place->x));
}

static void hold(unsigned cpu, const struct block *block, enum reason reason)
{
	uint64_t expected = NOT_HELD;
	char byte = 'B';

	if (!atomic_compare_exchange_strong(&shared->reached, &expected, reason))
		return;
	atomic_store(&shared->pc, block->pc);
	atomic_store(&shared->cpu, cpu);
	while (write(notify_fd, &byte, 1) < 0 && errno == EINTR)
		;
	while (read(resume_fd, &byte, 1) < 0 && errno == EINTR)
		;
}

static uint32_t insn_at(const struct block *block, uint64_t pc)
{
	return block->program->text[(pc - block->program->base) / 4];
}

static uint64_t end_of(const struct block *block)
{
	return block->pc + 4 * block->insns;
}

static int is_in(uint64_t value, uint64_t start, uint64_t bytes)
{
	return value - start < bytes;
}

static int is_slot(const struct program *program, uint64_t offset)
{
	return offset == program->slots[0] || offset == program->slots[1];
}

/* Whether an instruction of a guest can be the reason of a synchronous exception to EL2: load or
 * store, SIMD, HVC and the like, system instruction; UDF, if there is nothing at the guest's vector;
 * or whatever a probe has put into a slot. */
static int can_trap(const struct block *block, uint64_t pc)
{
	uint32_t word = insn_at(block, pc);

	return (word & 0x0a000000) == 0x08000000 || (word & 0x0e000000) == 0x0e000000 ||
	       word >> 25 == 0xd4 >> 1 || word >> 16 == 0 || is_slot(block->program, pc - block->program->base);
}

static uint64_t branch_target(uint64_t pc, uint32_t word, unsigned low, unsigned bits)
{
	int64_t offset = (int64_t)((uint64_t)word << (64 - low - bits)) >> (64 - bits);

	return pc + 4 * (uint64_t)offset;
}

static int is_indirect(uint32_t word)
{
	return (word & 0xfe000000) == 0xd6000000; /* BR, BLR, RET, ERET */
}

/* Whether the instruction at @last can lead to @pc by itself. */
static int insn_leads_to(uint64_t last, uint32_t word, uint64_t pc)
{
	if ((word & 0x7c000000) == 0x14000000) /* B, BL */
		return pc == branch_target(last, word, 0, 26);
	if ((word & 0xfe000000) == 0x54000000 || (word & 0x7e000000) == 0x34000000) /* B.c, CBZ */
		return pc == last + 4 || pc == branch_target(last, word, 5, 19);
	if ((word & 0x7e000000) == 0x36000000) /* TBZ */
		return pc == last + 4 || pc == branch_target(last, word, 5, 14);
	return is_indirect(word) || pc == last + 4; /* BR, BLR, RET, ERET: anywhere */
}

static int leads_to(const struct block *block, uint64_t pc)
{
	uint64_t last = end_of(block) - 4;

	return insn_leads_to(last, insn_at(block, last), pc);
}

static int same_page(uint64_t a, uint64_t b)
{
	return !((a ^ b) & ~PAGE_MASK);
}

/* Whether nothing in a block can trap, and what it leads to lies in its own page, which is mapped. */
static int cannot_trap(const struct block *block)
{
	uint64_t last = end_of(block) - 4;
	uint32_t word = insn_at(block, last);

	for (uint64_t pc = block->pc; pc <= last; pc += 4)
		if (can_trap(block, pc))
			return 0;
	if (!same_page(block->pc, end_of(block)) || is_indirect(word))
		return 0;
	if ((word & 0x7c000000) == 0x14000000)
		return same_page(block->pc, branch_target(last, word, 0, 26));
	if ((word & 0xfe000000) == 0x54000000 || (word & 0x7e000000) == 0x34000000)
		return same_page(block->pc, branch_target(last, word, 5, 19));
	return (word & 0x7e000000) != 0x36000000 ||
	       same_page(block->pc, branch_target(last, word, 5, 14));
}

static int page_is_new(uint64_t page)
{
	for (unsigned i = 0; i < page_count; i++)
		if (pages[i] == page)
			return 0;
	if (page_count < PAGE_MAX)
		pages[page_count++] = page;
	return 1;
}

/* Whether EL2 was entered for an interrupt: IRQ, FIQ or SError of a guest. */
static int is_interrupt(uint64_t how)
{
	return how > SYNCHRONOUS && how & 0x180;
}

/*
 * Whether an interrupt behind the block can be followed by @pc. It comes when the block is done: the
 * register that an indirect branch takes has its value then. ERET: nested_top() says where to.
 */
static int goes_to(const struct left *place, uint64_t pc)
{
	uint32_t word = insn_at(place->block, end_of(place->block) - 4);
	unsigned target = word >> 5 & 31;

	if (place->has_x && is_indirect(word) && target < REGISTERS && target != 30)
		return pc == place->x[target];
	if (place->has_x && (word & 0xfffffc1f) == 0xd65f0000) /* RET */
		return target < REGISTERS && pc == place->x[target];
	return leads_to(place->block, pc);
}

/* Whether a probe that was left there can rightly go on at the start of this block. */
static int may_go_on(const struct left *place, const struct block *block, int new_page)
{
	const struct block *from = place->block;
	uint64_t pc = block->pc;
	int within = is_in(pc, from->pc, 4 * from->insns + 1);

	if (place->how == BRANCH)
		return within || leads_to(from, pc);
	if (is_interrupt(place->how))
		return within || goes_to(place, pc);
	if (within && pc > from->pc && can_trap(from, pc - 4))
		return 1;
	if (within && pc < end_of(from) && can_trap(from, pc))
		return 1;
	return new_page && (within || leads_to(from, pc)); /* it was not mapped yet */
}

/* Whether an address is in report(), up to the store that ends the entry. */
static int in_report(const struct program *program, uint64_t pc)
{
	return is_in(pc - program->base, program->report, program->commit - program->report + 4);
}

/* Whether something else than an interrupt came amid a report, whose data is there before the first. */
static int amid_report(const struct block *block, int new_page)
{
	return !is_interrupt(left.how) && !new_page && in_report(block->program, block->pc);
}

static void moved(const struct block *from, uint64_t how, uint64_t to)
{
	if (!shared->moved_count++) {
		shared->moved_from = from ? from->pc : 0;
		shared->moved_how = how;
		shared->moved_to = to;
	}
}

/* ---- several vCPUs ---- */

/* Whether an interrupt behind this block can find its vCPU in a report. */
static int leads_into_report(const struct block *block)
{
	const struct program *program = block->program;
	uint64_t start = program->base + program->report, last = end_of(block) - 4;

	return (block->pc <= program->base + program->commit && end_of(block) > start) ||
	       (!is_indirect(insn_at(block, last)) && leads_to(block, start));
}

/* One of several is left for EL2. */
static void one_left(const struct block *block, uint64_t how)
{
	unsigned most = cpus_seen & (cpus_seen - 1) ? STEPS_MAX : 0;

	if (is_interrupt(how) && leads_into_report(block))
		lefts[left_count++ % LEFT_MAX] = (struct left){.block = block, .how = how};
	if (how == SYNCHRONOUS && block->cannot_trap && ++steps > most)
		moved(block, how, 0);
}

/* Whether somebody was interrupted where one of several goes on; each of them comes back once. */
static int was_interrupted(const struct block *block)
{
	for (unsigned i = 0; i < LEFT_MAX; i++) {
		if (!lefts[i].block || !may_go_on(&lefts[i], block, 0))
			continue;
		lefts[i].block = NULL;
		return 1;
	}
	return 0;
}

/* One of several comes from EL2. The report is judged when its number is known: the first may be the
 * first to need the memory. */
static void one_entered(const struct block *block)
{
	if (was_interrupted(block) || !in_report(block->program, block->pc))
		return;
	if (suspect_count < SUSPECT_MAX)
		suspects[suspect_count++] = block->host_page;
}

static void one_committed(const struct block *block, uint64_t number)
{
	unsigned most = cpus_seen & (cpus_seen - 1) ? SUSPECTS_MAX : 0;

	unsigned kept = 0;

	for (unsigned i = 0; i < suspect_count; i++) {
		if (suspects[i] != block->host_page)
			suspects[kept++] = suspects[i];
		else if (number && ++suspect_total > most)
			moved(NULL, SYNCHRONOUS, block->program->base + block->program->report);
	}
	suspect_count = kept;
}

static void lock_several(void)
{
	while (atomic_flag_test_and_set_explicit(&several_lock, memory_order_acquire))
		;
}

static void unlock_several(void)
{
	atomic_flag_clear_explicit(&several_lock, memory_order_release);
}

/* ---- one, and all of them ---- */

static int is_vector(const struct block *block)
{
	uint64_t offset = block->pc - block->program->base - block->program->vectors;

	return offset < 0x800 && offset % 0x80 == 0;
}

static int is_eret(const struct block *block)
{
	return insn_at(block, end_of(block) - 4) == 0xd69f03e0;
}

/* Whether the block ends with the return from an exception that the probe's vectors took. */
static int returns(const struct block *block)
{
	return end_of(block) - 4 == block->program->base + block->program->eret;
}

/* Its vectors take an exception, which came there. */
static void nest(const struct left *place)
{
	if (nested_count < NESTED_MAX)
		nested[nested_count] = *place;
	nested_count++;
}

/* Where the exception came from whose handler returns. */
static struct left unnest(void)
{
	struct left place = {0};

	if (nested_count && --nested_count < NESTED_MAX)
		place = nested[nested_count];
	return place;
}

/* Why a probe is left for this block. */
static uint64_t reason_for(const struct block *from, const struct block *next)
{
	uint64_t how = next->pc & 0x7ff;

	if (how >= SYNCHRONOUS && how % 0x80 == 0)
		return how;
	return leads_to(from, next->pc) ? BRANCH : SYNCHRONOUS; /* of the guest: other vectors */
}

static void probe_left(unsigned cpu, const struct block *next)
{
	const struct block *from = inside[cpu];

	inside[cpu] = NULL;
	if (shared->vcpu_count > 1) {
		lock_several();
		one_left(from, reason_for(from, next));
		unlock_several();
		return;
	}
	left.block = from;
	left.how = reason_for(from, next);
	left.has_x = 0;
	if (is_interrupt(left.how) && !is_eret(from)) /* that may lead to other code, which came to nothing */
		read_registers(cpu, &left);
	if (entry_end)
		memcpy(left.entry, ram + entry_end - sizeof(left.entry), sizeof(left.entry));
	if (returns(from)) {
		struct left place = unnest();

		left.block = place.block ? place.block : from;
		left.how = place.block ? place.how : left.how;
	}
}

/* After an interrupt: the registers are as they were; amid a report the entry, too. */
static int are_kept(unsigned cpu, const struct block *block)
{
	struct left now;

	if (!left.has_x)
		return 1;
	if (entry_end && in_report(block->program, block->pc) &&
	    memcmp(ram + entry_end - sizeof(left.entry), left.entry, sizeof(left.entry)))
		return 0;
	read_registers(cpu, &now);
	return !memcmp(now.x, left.x, sizeof(now.x));
}

/* The one VM's vCPU runs a probe's code, and did not before. */
static void probe_entered(unsigned cpu, const struct block *block)
{
	int new_page = page_is_new(block->pc & ~PAGE_MASK);

	if (block->pc == block->program->base) { /* the VM begins anew: its memory too */
		page_count = nested_count = 0;
		entry_end = 0;
		left.block = NULL;
		return;
	}
	if (is_vector(block))
		nest(&left);
	else if (!left.block || !may_go_on(&left, block, new_page) || amid_report(block, new_page))
		moved(left.block, left.how, block->pc);
	if (left.block && !are_kept(cpu, block))
		moved(left.block, left.how | CHANGED, block->pc);
	left.block = NULL;
}

/* From one block of the probe to the next. */
static void probe_goes_on(const struct block *from, const struct block *block)
{
	struct left place = {.block = from, .how = BRANCH};

	if (returns(from))
		place = unnest();
	if (is_vector(block)) /* right behind a return: the next exception comes to the same place */
		nest(&place);
	else if (returns(from) && place.block &&
		 block->pc != block->program->base + block->program->landing &&
		 !may_go_on(&place, block, 1))
		moved(place.block, place.how, block->pc);
}

static void watch(unsigned cpu, const struct block *block)
{
	const struct block *from = inside[cpu];

	if (!block->program) {
		if (from)
			probe_left(cpu, block);
		return;
	}
	inside[cpu] = block;
	if (shared->vcpu_count == 1) {
		if (from)
			probe_goes_on(from, block);
		else
			probe_entered(cpu, block);
	} else if (!from) {
		lock_several();
		cpus_seen |= 1U << cpu;
		one_entered(block);
		unlock_several();
	}
}

/* Exceptions that lead to the instruction which raises the next one. */
static void watch_loop(unsigned cpu, const struct block *block)
{
	if (block->pc != last_pc[cpu] || block->may_repeat) {
		last_pc[cpu] = block->pc;
		loops[cpu] = 0;
	} else if (++loops[cpu] == LOOPS_MAX && !atomic_load(&shared->loops_allowed)) {
		hold(cpu, block, IN_LOOP);
	}
}

/*
 * Entries into a guest that bring it no further: at once there is the next exit, or one by the block
 * that was entered. A retried access comes once or twice, an emulated one goes on behind it, a loop has
 * another block. An interrupt may come at any time and says nothing, unless it is there again before a
 * single block of the guest.
 */
static void watch_entries(unsigned cpu, const struct block *block)
{
	struct entries *entries = &entries_of[cpu];
	uint64_t retired = shared->retired_by[cpu];

	if (block->owner == entries->side)
		return;
	if (block->owner == GUEST) {
		if (block->pc != entries->pc)
			entries->in_vain = 0;
		else if (entries->exit == EXIT_SYNCHRONOUS)
			entries->in_vain++;
		entries->pc = block->pc;
		entries->retired = retired;
		entries->side = GUEST;
	} else {
		if (entries->side == EL2)
			entries->in_vain++; /* a vector again, and nothing of a guest in between */
		else if (retired - block->insns != entries->retired)
			entries->in_vain = 0;
		entries->exit = block->owner;
		entries->side = EL2;
	}
	if (entries->in_vain == ENTRIES_MAX && !atomic_load(&shared->loops_allowed)) {
		entries->in_vain = 0;
		hold(cpu, block, IN_VAIN);
	}
}

/* Add to the machine's counter; what it was. A locked addition costs more than all else that is done
 * for a block, and where one thread runs all CPUs nobody adds at the same time. */
static uint64_t count(uint64_t insns)
{
	uint64_t before;

	if (!one_thread)
		return atomic_fetch_add_explicit(&shared->retired, insns, memory_order_relaxed);
	before = atomic_load_explicit(&shared->retired, memory_order_relaxed);
	atomic_store_explicit(&shared->retired, before + insns, memory_order_relaxed);
	return before;
}

static void tb_executed(unsigned told, void *data)
{
	unsigned cpu = running_cpu(told);
	const struct block *block = data;
	uint64_t before = count(block->insns);

	if (cpu < CPU_MAX)
		shared->retired_by[cpu] += block->insns;
	if (before + block->insns > atomic_load_explicit(&shared->limit, memory_order_relaxed))
		hold(cpu, block, AT_LIMIT);
	if (cpu >= CPU_MAX)
		return;
	watch_loop(cpu, block);
	watch_entries(cpu, block);
	if (shared->program_count)
		watch(cpu, block);
}

/* A program that other code was put into: nothing that it says counts any more. */
static void foreign_executed(unsigned cpu, void *data)
{
	const struct block *block = data;

	(void)cpu;
	if (!shared->foreign_count++) {
		shared->foreign_pc = block->foreign_pc;
		shared->foreign_word = block->foreign_word;
	}
}

/* The last store of an entry: the words before it are in memory, and still what the probe wrote. */
static void entry_committed(unsigned cpu, uint32_t info, uint64_t vaddr, void *data)
{
	const struct plugin_address *address = qemu_plugin_get_hwaddr(info, vaddr);
	uint64_t bytes = sizeof(shared->entries[0]);
	uint64_t end = address ? qemu_plugin_hwaddr_phys_addr(address) + 8 - ram_base : 0;
	uint64_t index = atomic_fetch_add(&shared->entry_count, 1);

	(void)cpu;
	if (index >= ENTRY_MAX || end < bytes || end > ram_bytes)
		return;
	memcpy(shared->entries[index], ram + end - bytes, bytes);
	entry_end = end;
	if (shared->vcpu_count > 1) {
		lock_several();
		one_committed(data, shared->entries[index][ENTRY_WORDS - 1]);
		unlock_several();
	}
}

static void probe_finished(unsigned cpu, void *data)
{
	if (atomic_fetch_add(&shared->finish_count, 1) + 1 == shared->finish_wanted)
		hold(running_cpu(cpu), data, FINISHED);
}

static int is_own(const struct program *program, uint64_t at, uint32_t word)
{
	return is_slot(program, at) || (at < program->bytes && word == program->text[at / 4]);
}

/* How many instructions of a block are this program's, from its start on. */
static uint64_t own_insns(const struct plugin_block *tb, struct block *block,
			  const struct program *program)
{
	uint64_t start = block->pc - program->base;

	for (uint64_t n = 0; n < block->insns; n++) {
		uint32_t word = word_of(qemu_plugin_tb_get_insn(tb, n));

		if (is_own(program, start + 4 * n, word))
			continue;
		block->foreign_pc = block->pc + 4 * n;
		block->foreign_word = word;
		return n;
	}
	return block->insns;
}

/*
 * The program that this block belongs to; NULL, with foreign_pc set, when it is none's there. Probes
 * have code in common: of several it is one whose end counts.
 */
static const struct program *program_of(const struct plugin_block *tb, struct block *block)
{
	const struct program *found = NULL;

	for (unsigned i = 0; i < shared->program_count && i < PROGRAM_MAX; i++) {
		const struct program *program = &shared->programs[i];

		if (block->pc - program->base >= program->bytes)
			continue;
		if (own_insns(tb, block, program) < block->insns)
			continue;
		if (!found || program->finish < program->bytes)
			found = program;
	}
	if (found)
		block->foreign_pc = 0;
	return found;
}

/* Whose a block is. A guest may run at EL2's addresses, not in its memory; EL2 runs before any guest. */
static enum owner owner_of(uint64_t pc, const struct plugin_insn *first)
{
	uint64_t offset = (uintptr_t)qemu_plugin_insn_haddr(first) - pc;

	if (!is_in(pc, shared->el2_start, shared->el2_end - shared->el2_start))
		return GUEST;
	if (!el2_offset)
		el2_offset = offset;
	if (offset != el2_offset)
		return GUEST;
	switch (pc - shared->el2_vectors) {
	case SYNCHRONOUS:
	case SYNCHRONOUS + 0x200: /* from AArch32 */
		return EXIT_SYNCHRONOUS;
	case SYNCHRONOUS + 0x80:
	case SYNCHRONOUS + 0x280:
		return EXIT_INTERRUPT;
	default:
		return EL2;
	}
}

static void tb_translated(plugin_id id, struct plugin_block *tb)
{
	struct block *block = calloc(1, sizeof(*block));
	struct plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0);
	uint32_t last;
	uint64_t commit, finish;

	(void)id;
	if (!block)
		abort();
	block->pc = qemu_plugin_tb_vaddr(tb);
	block->insns = qemu_plugin_tb_n_insns(tb);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, tb_executed, PLUGIN_NO_REGISTERS, block);
	last = word_of(qemu_plugin_tb_get_insn(tb, block->insns - 1));
	block->may_repeat = insn_leads_to(end_of(block) - 4, last, block->pc);
	block->owner = owner_of(block->pc, first);
	block->program = program_of(tb, block);
	block->host_page = (uintptr_t)qemu_plugin_insn_haddr(first) & ~PAGE_MASK;
	commit = finish = block->insns;
	if (block->program) {
		block->cannot_trap = cannot_trap(block);
		commit = (block->program->base + block->program->commit - block->pc) / 4;
		finish = (block->program->base + block->program->finish - block->pc) / 4;
	}
	if (commit < block->insns)
		qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, commit),
						 entry_committed, PLUGIN_NO_REGISTERS, PLUGIN_WRITE,
						 block);
	if (finish < block->insns)
		qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_tb_get_insn(tb, finish),
						       probe_finished, PLUGIN_NO_REGISTERS, block);
	if (block->foreign_pc)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, foreign_executed, PLUGIN_NO_REGISTERS,
						     block);
}

static void *map_file(const char *path, int protection, size_t size)
{
	int fd = open(path, (protection & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	void *map;

	if (fd < 0)
		return NULL;
	map = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_info *info, int argc, char **argv)
{
	const char *ram_path = NULL;

	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "shared=", 7))
			shared = map_file(argv[i] + 7, PROT_READ | PROT_WRITE, sizeof(*shared));
		else if (!strncmp(argv[i], "ram=", 4))
			ram_path = argv[i] + 4;
		else if (!strncmp(argv[i], "base=", 5))
			ram_base = strtoull(argv[i] + 5, NULL, 0);
		else if (!strncmp(argv[i], "bytes=", 6))
			ram_bytes = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "notify=", 7))
			notify_fd = atoi(argv[i] + 7);
		else if (!strncmp(argv[i], "one_thread=", 11))
			one_thread = !strcmp(argv[i] + 11, "on");
		else if (!strncmp(argv[i], "resume=", 7))
			resume_fd = atoi(argv[i] + 7);
		else
			return -1;
	}
	if (ram_path)
		ram = map_file(ram_path, PROT_READ, ram_bytes);
	if (!shared || !ram || notify_fd < 0 || resume_fd < 0)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, tb_translated);
	return 0;
}
