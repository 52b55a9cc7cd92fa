// SPDX-License-Identifier: MIT
/*
 * The SMMU's driver against an SMMU that is as lazy as hardware may be, written from the manual.
 *
 * It takes commands when it likes, and what they are to make it forget it forgets at CMD_SYNC. It
 * caches every STE, context descriptor and translation that a device's access brings in, and forgets
 * none untold. It refuses unknown commands and stops at them, and has too little room for events now
 * and then. Devices make accesses at random, between any two of the driver's stores that are in order.
 * What each should reach, and who is to be charged with it, is kept in a model beside.
 */
#include <stdarg.h>
#include <string.h>

#include "bundle.h"
#include "check.h"
#include "guest_memory.h"
#include "internal.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "vcpu.h"

/* Of sys/mman.h, which has other things by names of the kit's. */
void *mmap(void *address, size_t bytes, int protection, int flags, int file, long offset);

#define VMS 6
#define STREAMS 24 /* that are attached and detached; others are nobody's */
#define OPERATIONS 60000
#define FREQUENCY 1000u
#define PAGE0 0x40000000UL

/* ---- the model: whose streams are, and what they were charged with ---- */

static struct vm machine_vms[VMS];
static bool has_space[VMS];
static int owner_of[SMMU_STREAM_COUNT]; /* -1: nobody */
static bool may_change[SMMU_STREAM_COUNT]; /* the driver is attaching or detaching it */
static u64 charged[VMS]; /* events that are in the queue, or were */

/* ---- the SMMU ---- */

static u32 idr0, idr1, idr5, cr0, cr2, irq_ctrl, gerror, gerrorn, strtab_cfg;
static u64 strtab_base, cmdq_base, eventq_base;
static u32 cmdq_prod, cmdq_cons, eventq_prod, eventq_cons, seen_prod;
static bool is_eager, event_pulse, error_pulse, has_gbpa;
static unsigned commands_taken, syncs, refused_commands, quiet;
static bool refuse_next, marks_overflow;
static u32 bad_position; /* of a command that was found illegal, and stays so */
static u64 overflows;
static bool are_tame; /* devices that have an owner keep to what is mapped, and others are quiet */
static u64 now = 5;

struct cached_ste {
	bool is_cached, is_doomed;
	u64 words[8];
};

struct cached_cd {
	bool is_cached, is_doomed;
	u64 words[8];
};

/* A translation that some access brought in: which table it came from. */
struct cached_walk {
	bool is_doomed;
	u32 stage, tag;
	u64 root;
};

static struct cached_ste stes[SMMU_STREAM_COUNT];
static struct cached_cd cds[SMMU_STREAM_COUNT];
static struct cached_walk walks[64];
static unsigned walk_count;

static u64 field(u64 value, unsigned high, unsigned low)
{
	return value >> low & (high - low == 63 ? ~0UL : (1UL << (high - low + 1)) - 1);
}

static void doom_walks(u32 stage, u32 tag, bool all)
{
	for (unsigned i = 0; i < walk_count; i++)
		walks[i].is_doomed |= all || (walks[i].stage == stage && walks[i].tag == tag);
}

static void forget_doomed(void)
{
	unsigned kept = 0;

	for (u32 i = 0; i < SMMU_STREAM_COUNT; i++) {
		if (stes[i].is_doomed)
			stes[i] = (struct cached_ste){0};
		if (cds[i].is_doomed)
			cds[i] = (struct cached_cd){0};
	}
	for (unsigned i = 0; i < walk_count; i++) {
		if (!walks[i].is_doomed)
			walks[kept++] = walks[i];
	}
	walk_count = kept;
}

/* Return: false if this is no command that an SMMU of this kind knows. */
static bool execute(const u64 *command)
{
	u32 stream = (u32)field(command[0], 63, 32);

	switch (field(command[0], 7, 0)) {
	case 0x03:
		CHECK(field(command[1], 63, 1) == 0 && stream < SMMU_STREAM_COUNT);
		stes[stream].is_doomed = true; /* perhaps not what hangs below it */
		return true;
	case 0x04:
		CHECK(field(command[1], 4, 0) == 31);
		for (u32 i = 0; i < SMMU_STREAM_COUNT; i++)
			stes[i].is_doomed = cds[i].is_doomed = true;
		return true;
	case 0x05:
		CHECK(stream < SMMU_STREAM_COUNT);
		cds[stream].is_doomed = true;
		return true;
	case 0x11:
		CHECK(field(command[0], 47, 32) == 0);
		doom_walks(1, (u32)field(command[0], 63, 48), false);
		return idr0 & 2;
	case 0x28:
		doom_walks(2, (u32)field(command[0], 47, 32), false);
		return idr0 & 1;
	case 0x30:
		doom_walks(0, 0, true);
		return true;
	case 0x46:
		CHECK(field(command[0], 63, 8) == 0 && command[1] == 0);
		forget_doomed();
		syncs++;
		return true;
	default:
		return false;
	}
}

static void take_commands(unsigned most)
{
	u32 size = 1U << field(cmdq_base, 4, 0);
	u64 *ring = (u64 *)(cmdq_base & 0x000fffffffffffe0UL);

	while (most-- && cr0 & 8 && !((gerror ^ gerrorn) & 1) &&
	       cmdq_prod != (cmdq_cons & (2 * size - 1))) {
		u32 cons = cmdq_cons & (2 * size - 1);
		const u64 *command = ring + 2 * (cons & (size - 1));
		bool is_sync = field(command[0], 7, 0) == 0x46;

		if (refuse_next && !is_sync && bad_position == ~0U) {
			bad_position = cons;
			refuse_next = false;
		}
		if (is_sync && bad_position == cons)
			bad_position = ~0U;
		if (bad_position != cons && execute(command)) {
			cmdq_cons = (cons + 1) & (2 * size - 1);
			commands_taken++;
			continue;
		}
		refused_commands++;
		cmdq_cons = cons | 1 << 24;
		gerror ^= 1;
		error_pulse = true;
	}
}

static void record(u32 stream, u32 kind, bool is_read, bool is_stage2, u64 address)
{
	u32 size = 1U << field(eventq_base, 4, 0);
	u64 *ring = (u64 *)(eventq_base & 0x000fffffffffffe0UL);
	u64 *entry = ring + 4 * (eventq_prod & (size - 1));

	if (!(cr0 & 4))
		return;
	if (((eventq_prod ^ eventq_cons) & (2 * size - 1)) == size) {
		if (marks_overflow && (eventq_prod ^ eventq_cons) >> 31 == 0) {
			eventq_prod ^= 1U << 31;
			overflows++;
		} else if (!marks_overflow && !((gerror ^ gerrorn) & 4)) {
			gerror ^= 4; /* as QEMU tells it */
			error_pulse = true;
			overflows++;
		}
		return;
	}
	entry[0] = kind | (u64)stream << 32;
	entry[1] = (u64)is_read << 35 | (u64)is_stage2 << 39;
	entry[2] = address;
	entry[3] = check_random();
	event_pulse |= ((eventq_prod ^ eventq_cons) & (2 * size - 1)) == 0;
	eventq_prod = ((eventq_prod + 1) & (2 * size - 1)) | (eventq_prod & 1U << 31);
	if (stream < SMMU_STREAM_COUNT && owner_of[stream] >= 0)
		charged[owner_of[stream]]++;
}

static void fetch(struct cached_ste *to, const u64 *from)
{
	for (int i = 0; i < 8; i++)
		to->words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	to->is_cached = true;
}

/* The root that the tag of @stage leads to: what was cached first, whatever the configuration says now. */
static u64 cached_root(u32 stage, u32 tag, u64 root)
{
	for (unsigned i = 0; i < walk_count; i++) {
		if (walks[i].stage == stage && walks[i].tag == tag)
			return walks[i].root;
	}
	CHECK(walk_count < 64);
	walks[walk_count++] = (struct cached_walk){.stage = stage, .tag = tag, .root = root};
	return root;
}

enum outcome {
	REACHES, /* a root */
	REFUSED, /* with an event */
	SILENT,
};

/* What an access of @stream comes to, and through which root; decoded independently of the driver. */
static enum outcome access_root(u32 stream, u64 *root, u32 *stage)
{
	const u64 *table = (const u64 *)(strtab_base & 0x000fffffffffffc0UL);
	struct cached_ste *ste = &stes[stream & 0xff];
	struct cached_cd *cd = &cds[stream & 0xff];
	const u64 *w = ste->words;

	CHECK(cr0 & 1);
	if (stream >= 1U << strtab_cfg)
		return REFUSED;
	if (!ste->is_cached)
		fetch(ste, table + 8 * stream);
	if (!(w[0] & 1))
		return REFUSED;
	switch (field(w[0], 3, 1)) {
	case 0:
		return SILENT;
	case 5:
		CHECK(idr0 & 2);
		CHECK(w[1] == (1UL << 2 | 1UL << 4 | 3UL << 6 | 1UL << 44));
		CHECK(!w[2] && !w[3]);
		if (!cd->is_cached)
			fetch((struct cached_ste *)cd, (const u64 *)(w[0] & 0x000fffffffffffc0UL));
		CHECK(cd->words[0] & 1UL << 31 && cd->words[0] & 1UL << 41);
		CHECK(field(cd->words[0], 14, 6) == (0 | 1 << 2 | 1 << 4 | 3 << 6));
		CHECK(cd->words[0] & 1UL << 30 && field(cd->words[0], 46, 45) == 3);
		CHECK(field(cd->words[0], 34, 32) == field(idr5, 2, 0) &&
		      field(cd->words[0], 44, 44) == 0);
		CHECK(field(cd->words[0], 5, 0) == 32);
		CHECK(cd->words[3] == 0xff04);
		*stage = 1;
		*root = cached_root(1, (u32)field(cd->words[0], 63, 48), cd->words[1]);
		return REACHES;
	case 6:
		CHECK(idr0 & 1);
		CHECK(w[1] == 1UL << 44);
		CHECK(field(w[2], 37, 32) == 32 && field(w[2], 39, 38) == 1);
		CHECK(field(w[2], 47, 40) == (1 | 1 << 2 | 3 << 4 | 0));
		CHECK(field(w[2], 50, 48) == field(idr5, 2, 0) && field(w[2], 51, 51) == 1);
		CHECK(field(w[2], 58, 57) == 2 && field(w[2], 63, 59) == 0);
		*stage = 2;
		*root = cached_root(2, (u32)field(w[2], 15, 0), w[3]);
		return REACHES;
	default:
		CHECK(!"a Config that nobody asked for");
		return SILENT;
	}
}

/* ---- devices ---- */

static u64 told, cut_off, masters_lost;

static void stray_accesses(void);

/* One access of a device: it reaches its owner's memory, or nothing. */
static void device_access(u32 stream)
{
	u64 root = 0;
	u32 stage = 0;
	bool is_read = check_below(2);
	int owner = stream < SMMU_STREAM_COUNT ? owner_of[stream] : -1;

	switch (access_root(stream, &root, &stage)) {
	case REACHES:
		CHECK(stream < SMMU_STREAM_COUNT);
		CHECK(owner >= 0 && has_space[owner]);
		CHECK(root == machine_vms[owner].dma.table.root.pa);
		if (are_tame || check_below(4))
			break;
		/* not mapped */
		record(stream, 0x10, is_read, stage == 2, check_random());
		break;
	case REFUSED:
		if (stream < SMMU_STREAM_COUNT)
			CHECK(owner < 0 || may_change[stream]);
		record(stream, stream < SMMU_STREAM_COUNT ? 0x04 : 0x02, is_read, false, 0);
		break;
	case SILENT:
		CHECK(smmu.streams[stream].state == STREAM_QUARANTINED || may_change[stream]);
		break;
	}
}

static u64 before[STREAMS][8];

/* Words 1 to 7 of an STE change while the SMMU sees none: V was 0, and is not cached as 1. */
static void watch_stes(void)
{
	for (u32 i = 0; i < STREAMS; i++) {
		const u64 *words = stream_table[i].words;

		if (memcmp(words + 1, before[i] + 1, 56))
			CHECK(!(before[i][0] & 1) && !(stes[i].words[0] & 1));
		memcpy(before[i], words, 64);
	}
}

/* The device is quiet while it is attached or detached: that is what the contract asks for. */
static u32 pick_stream(void)
{
	u32 stream = (u32)check_below(check_below(40) ? STREAMS : 300);

	return stream < SMMU_STREAM_COUNT && may_change[stream] ? 299 : stream;
}

static void stray_accesses(void)
{
	u32 stream;

	if (cr0 & 1)
		watch_stes();
	if (quiet || !(cr0 & 1) || check_below(3))
		return;
	stream = pick_stream();
	if (are_tame && (stream >= SMMU_STREAM_COUNT || owner_of[stream] < 0))
		return;
	quiet++;
	device_access(stream);
	quiet--;
}

/* ---- what the driver calls ---- */

u32 smmu_read32(u32 offset)
{
	stray_accesses();
	switch (offset) {
	case 0x00:
		return idr0;
	case 0x04:
		return idr1;
	case 0x14:
		return idr5;
	case 0x24:
		return cr0;
	case 0x44:
		return has_gbpa ? 1U << 20 : 0;
	case 0x54:
		return irq_ctrl;
	case 0x60:
		return gerror;
	case 0x64:
		return gerrorn;
	case 0x9c:
		take_commands((unsigned)check_below(is_eager ? 8 : 2));
		return cmdq_cons;
	case 0x100a8:
		CHECK(cr0 & 4);
		seen_prod = eventq_prod;
		return seen_prod;
	default:
		CHECK(!"a register that a driver need not read");
		return 0;
	}
}

void smmu_write32(u32 offset, u64 value)
{
	stray_accesses();
	CHECK(value >> 32 == 0);
	switch (offset) {
	case 0x20:
		CHECK(!(value & 1) || (value & 12) == 12);
		if (value & 1)
			CHECK(syncs > 0 && irq_ctrl == 5);
		cr0 = (u32)value;
		return;
	case 0x28:
		CHECK(!cr0 && value == 0xd75);
		return;
	case 0x2c:
		CHECK(!(cr0 & 1));
		cr2 = (u32)value;
		CHECK(cr2 == 6);
		return;
	case 0x44:
		CHECK(value == (1UL << 31 | 1UL << 20));
		return;
	case 0x50:
		irq_ctrl = (u32)value;
		return;
	case 0x64:
		CHECK(smmu.lock.taken);
		gerrorn = (u32)value;
		return;
	case 0x88:
		CHECK(!(cr0 & 1));
		strtab_cfg = (u32)value;
		return;
	case 0x98:
		if (!(cr0 & 8))
			CHECK(value == 0);
		cmdq_prod = (u32)value;
		take_commands((unsigned)check_below(3));
		return;
	case 0x9c:
		CHECK(!(cr0 & 8));
		cmdq_cons = (u32)value;
		return;
	case 0x100a8:
		CHECK(!(cr0 & 4));
		eventq_prod = (u32)value;
		return;
	case 0x100ac:
		CHECK(!(cr0 & 4) || (value ^ seen_prod) >> 31 == 0);
		eventq_cons = (u32)value;
		return;
	default:
		CHECK(!"a register that a driver need not write");
	}
}

void smmu_write64(u32 offset, u64 value)
{
	u64 address = value & 0x000fffffffffffe0UL;
	u64 entries = 1UL << field(value, 4, 0);

	switch (offset) {
	case 0x68:
	case 0xb0:
		CHECK(value == 0);
		return;
	case 0x80:
		CHECK(!(cr0 & 1) && address % (SMMU_STREAM_COUNT * 64) == 0);
		strtab_base = value;
		return;
	case 0x90:
		CHECK(!(cr0 & 8) && address % (entries * 16) == 0);
		cmdq_base = value;
		return;
	case 0xa0:
		CHECK(!(cr0 & 4) && address % (entries * 32) == 0);
		eventq_base = value;
		return;
	default:
		CHECK(!"a register that a driver need not write");
	}
}

void smmu_barrier(void)
{
	stray_accesses();
}

u64 counter_read(void)
{
	now += check_below(40) ? 0 : 1;
	return now;
}

u64 counter_frequency(void)
{
	return FREQUENCY;
}

void cpu_relax(void)
{
	take_commands(2);
}

void console_printf(const char *fmt, ...)
{
	char line[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	told += strstr(line, "refused: ") != NULL;
	cut_off += strstr(line, "cut off") != NULL;
	if (getenv("STRATA_TALK"))
		fputs(line, stderr);
}

void device_cut_off(u32 stream)
{
	CHECK(stream >= SMMU_STREAM_COUNT || smmu.streams[stream].state == STREAM_QUARANTINED);
	masters_lost++;
}

void panic(const char *fmt, ...)
{
	fprintf(stderr, "panic: %s\n", fmt);
	CHECK(!"panic");
	abort();
}

/* ---- memory and tables, of which only roots count here ---- */

static u64 next_root = 0x1000;

int pgtable_init(struct pgtable *table, const struct pgtable_format *format, unsigned input_bits,
		 bool concatenate)
{
	CHECK(!concatenate && input_bits == 32);
	*table = (struct pgtable){
		.format = format, .root = PA(next_root), .input_bits = 32, .start_level = 1};
	next_root += 0x1000;
	return are_tame || check_below(20) ? 0 : -ENOMEM;
}

static u64 mapped_until[VMS];

int pgtable_map(struct pgtable *table, u64 address, pa_t pa, u64 bytes, unsigned prot)
{
	struct vm *vm = table->owner;
	long index = vm - machine_vms;

	CHECK(address == mapped_until[index] && pa.pa == address + 0x1000000000UL + (u64)index);
	CHECK(prot == (PROT_READ | PROT_WRITE));
	mapped_until[index] += bytes;
	return are_tame || check_below(60) ? 0 : -ENOMEM;
}

int pgtable_lookup(const struct pgtable *table, u64 address, struct pgtable_leaf *leaf)
{
	u64 size = address % MIB(2) ? KIB(4) : check_below(2) ? MIB(2) : KIB(4);

	for (int i = 0; i < VMS; i++) {
		if (table == &machine_vms[i].stage2.table)
			*leaf = (struct pgtable_leaf){
				.pa = PA(address + 0x1000000000UL + (u64)i),
				.size = size,
			};
	}
	return 0;
}

/* Nobody can come to a table that is freed: no STE, nothing cached. */
void pgtable_destroy(struct pgtable *table)
{
	for (unsigned i = 0; i < walk_count; i++)
		CHECK(walks[i].root != table->root.pa);
	for (u32 i = 0; i < SMMU_STREAM_COUNT; i++) {
		const u64 *word = stes[i].words;

		if (stes[i].is_cached && (word[0] & 0xf) == 0xd)
			CHECK(word[3] != table->root.pa);
		if (stes[i].is_cached && (word[0] & 0xf) == 0xb && cds[i].is_cached)
			CHECK(cds[i].words[1] != table->root.pa);
	}
	table->root = PA(PAGE_NONE);
}

u64 pgtable_stage1_leaf(unsigned prot)
{
	return prot;
}

unsigned pgtable_stage1_prot(u64 descriptor)
{
	return (unsigned)descriptor;
}

u64 pgtable_stage2_leaf(unsigned prot)
{
	return prot;
}

unsigned pgtable_stage2_prot(u64 descriptor)
{
	return (unsigned)descriptor;
}

pa_t page_alloc_zeroed(unsigned order)
{
	(void)order;
	return PA(PAGE_NONE);
}

void page_free(pa_t pa, unsigned order)
{
	(void)pa;
	(void)order;
}

static void *guest_page(struct vm *vm, ipa_t address)
{
	(void)address;
	return vm;
}

const struct guest_memory registry_memories[] = {{.page = guest_page}};

/* The linker's symbol behind the table. */
static void __attribute__((used, noinline)) define_registry_end(void)
{
	__asm__(".globl registry_memories_end\n"
		".set registry_memories_end, registry_memories + %c0" ::"i"(
			sizeof(registry_memories)));
}

/* ---- formats and rings ---- */

static void test_rings(void)
{
	for (u32 log2 = 0; log2 <= 19; log2++) {
		u64 words[1];
		struct smmu_queue queue = {.entries = words, .log2_count = log2, .words = 4};
		u32 size = 1U << log2, prod = (u32)check_random() & (2 * size - 1), used = 0;
		u32 junk = (u32)check_random() & ~(2 * size - 1), cons = prod;

		for (int i = 0; i < 2000; i++) {
			CHECK(queue_is_empty(&queue, prod | junk, cons) == (used == 0));
			CHECK(queue_is_full(&queue, prod, cons | junk) == (used == size));
			CHECK(queue_entry(&queue, prod | junk) == words + 4 * (prod % size));
			if (used < size && (used == 0 || check_below(2))) {
				prod = queue_next(&queue, prod);
				used++;
			} else {
				cons = queue_next(&queue, cons | junk);
				used--;
			}
			CHECK(prod < 2 * size && cons < 2 * size);
			CHECK(((prod - cons) & (2 * size - 1)) == used);
		}
	}
}

/* The command queue alone: nothing else of the driver is written yet. */
static void test_commands(void)
{
	static u64 ring[1 << COMMAND_LOG2][COMMAND_WORDS]
		__attribute__((aligned((8 * COMMAND_WORDS) << COMMAND_LOG2)));
	static struct cpu cpu;

	smmu.commands = (struct smmu_queue){
		.entries = ring[0], .log2_count = COMMAND_LOG2, .words = COMMAND_WORDS};
	cmdq_base = (u64)ring | COMMAND_LOG2;
	idr0 = 3;
	cr0 = 8;
	for (int i = 0; i < 20000; i++) {
		u32 stream = (u32)check_below(SMMU_STREAM_COUNT), tag = 1 + (u32)check_below(9);
		u64 was_refused = smmu.command_errors;

		is_eager = check_below(2);
		refuse_next = !check_below(50);
		stes[stream].is_cached = cds[stream].is_cached = true;
		cached_root(2, tag, tag);
		spin_lock(&smmu.lock);
		smmu_issue(command_cfgi_ste(stream));
		smmu_issue(command_cfgi_cd(stream));
		smmu_issue(command_tlbi_vmid(tag));
		smmu_sync();
		spin_unlock(&smmu.lock);
		CHECK(cmdq_prod == (cmdq_cons & 0x1ff) && !smmu.has_lost_command);
		CHECK(!stes[stream].is_cached && !cds[stream].is_cached && !walk_count);
		CHECK(!refuse_next || smmu.command_errors > was_refused);
		refuse_next = false;
		if (error_pulse)
			CHECK(smmu_error_irq(&cpu, PLAT_SMMU_ERROR_INTID) == IRQ_HANDLED);
		error_pulse = false;
		CHECK(gerror == gerrorn && smmu.command_errors == refused_commands);
	}
	CHECK(refused_commands > 0);
}

static void test_event_decoding(void)
{
	for (int i = 0; i < 2000; i++) {
		u64 words[4] = {check_random(), check_random(), check_random(), check_random()};
		struct smmu_fault fault = event_decode(words);

		CHECK(fault.kind == (words[0] & 0xff) && fault.stream == words[0] >> 32);
		CHECK(fault.is_write == !(words[1] >> 35 & 1) &&
		      fault.is_stage2 == (words[1] >> 39 & 1));
		CHECK(fault.address == words[2]);
		CHECK(event_kind_text(fault.kind)[0]);
	}
}

static void test_formats(void)
{
	for (int i = 0; i < 2000; i++) {
		struct pgtable table = {
			.root = PA(check_random() & 0xfffffffff000UL),
			.input_bits = (unsigned)(32 + check_below(17)),
		};
		u32 tag = (u32)check_random() & 0xffff, size = (u32)check_below(6);
		struct smmu_ste ste;
		struct smmu_cd cd, *place = (void *)(check_random() & 0xfffffffffc0UL);

		table.start_level = table.input_bits > 39 ? 0 : 1;
		ste = ste_stage2(&table, tag, size);
		CHECK(ste.words[0] == 0xd && ste.words[3] == table.root.pa && ste_is_sound(&ste));
		CHECK(field(ste.words[2], 15, 0) == tag && field(ste.words[2], 31, 16) == 0);
		CHECK(field(ste.words[2], 37, 32) == 64 - table.input_bits);
		CHECK(field(ste.words[2], 39, 38) == (table.start_level ? 1 : 2));
		CHECK(field(ste.words[2], 50, 48) == size);
		ste.words[2] &= ~(1UL << (check_below(2) ? 51 : 58));
		CHECK(!ste_is_sound(&ste));
		ste = ste_stage1(place);
		CHECK(ste.words[0] == ((u64)place | 0xb) && ste_is_sound(&ste));
		ste.words[0] = 1 | check_below(5) << 1;
		CHECK(!ste_is_sound(&ste));
		cd = cd_stage1(&table, tag, size);
		CHECK(field(cd.words[0], 63, 48) == tag && field(cd.words[0], 47, 47) == 1);
		CHECK(field(cd.words[0], 5, 0) == 64 - table.input_bits);
		CHECK(field(cd.words[0], 34, 32) == size && cd.words[1] == table.root.pa &&
		      !cd.words[2]);
	}
}

/* The budget: never more than STREAM_BUDGET in a window that the events themselves begin. */
static void test_budget(void)
{
	for (int run = 0; run < 200; run++) {
		struct smmu_stream stream = {0};
		u64 at = check_random(), start = at, count = 0;
		u64 step = check_below(40);

		for (int i = 0; i < 500; i++) {
			at += check_below(step + 1);
			if (!count || at - start >= FREQUENCY / STREAM_WINDOWS_PER_SECOND) {
				start = at;
				count = 0;
			}
			count++;
			CHECK(stream_is_over_budget(&stream, at) == (count > STREAM_BUDGET));
			CHECK(stream.window_count == count);
		}
	}
}

/* ---- all of it ---- */

static struct bundle_header *bundle;

static void power_on(bool stage2)
{
	static struct cpu cpu;

	memset(&smmu, 0, sizeof(smmu));
	memset(stream_table, 0, sizeof(stream_table));
	memset(before, 0, sizeof(before));
	memset(stes, 0, sizeof(stes));
	memset(cds, 0, sizeof(cds));
	for (u32 i = 0; i < SMMU_STREAM_COUNT; i++)
		owner_of[i] = -1;
	walk_count = syncs = 0;
	cr0 = check_below(2) ? 0 : 0xc;
	cmdq_prod = cmdq_cons = 0;
	irq_ctrl = 5;
	gerrorn = 0;
	gerror = (u32)check_below(2) << 2;
	idr0 = 0x0d401018 | (stage2 ? check_below(2) * 2 + 1 : 2);
	idr1 = 0x02730010;
	idr5 = 0x70 | (u32)check_below(6);
	has_gbpa = check_below(2);
	marks_overflow = stage2;
	overflows = refused_commands = 0;
	bad_position = ~0U;
	bundle->flags = 0;
	CHECK(smmu_init_cpu(&cpu) == 0 && !smmu_is_present());
	bundle->flags = BUNDLE_SMMU | (check_below(2) && !stage2 ? BUNDLE_SMMU_STAGE1 : 0);
	cpu.index = 1;
	CHECK(smmu_init_cpu(&cpu) == 0 && !smmu_is_present());
	cpu.index = 0;
	CHECK(smmu_init_cpu(&cpu) == 0 && smmu_is_present());
	CHECK(smmu.use_stage2 == stage2 && cr0 == 0xd && gerror == gerrorn);
}

static void test_power_on(void)
{
	for (int i = 0; i < 2000; i++)
		power_on(i % 2);
}

static void test_unusable(void)
{
	static const struct {
		u32 idr0, idr1, idr5;
	} wrong[] = {
		{0x0d401018, 0x02730010, 0x74}, /* no stage */
		{0x0d401016, 0x02730010, 0x74}, /* tables of AArch32 alone */
		{0x0d40100a, 0x02730010, 0x74}, /* not coherent */
		{0x0d60101a, 0x02730010, 0x74}, /* big endian */
		{0x0e40101a, 0x02730010, 0x74}, /* stalls */
		{0x0d40101a, 0x22730010, 0x74}, /* queues preset */
		{0x0d40101a, 0x42730010, 0x74}, /* tables preset */
		{0x0d40101a, 0x02730007, 0x74}, /* few streams */
		{0x0d40101a, 0x00f30010, 0x74}, /* few commands */
		{0x0d40101a, 0x026a0010, 0x74}, /* few events */
		{0x0d40101a, 0x02730010, 0x64}, /* no 4 KiB */
	};
	static struct cpu cpu;

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		memset(&smmu, 0, sizeof(smmu));
		idr0 = wrong[i].idr0;
		idr1 = wrong[i].idr1;
		idr5 = wrong[i].idr5;
		bundle->flags = BUNDLE_SMMU;
		CHECK(smmu_init_cpu(&cpu) == 0 && !smmu_is_present());
		CHECK(smmu_create_space(&machine_vms[0]) == -ENODEV);
		CHECK(smmu_attach_stream(&machine_vms[0], 8) == -ENODEV);
	}
}

static bool is_owner_of_any(int vm)
{
	for (u32 i = 0; i < SMMU_STREAM_COUNT; i++) {
		if (owner_of[i] == vm)
			return true;
	}
	return false;
}

/* A VM that lacks memory is not begun: what it has got is taken away again. */
static void fill_space(int index)
{
	struct vm *vm = &machine_vms[index];
	int more;

	do
		more = space_fill(vm);
	while (more > 0);
	if (more == 0 && has_space[index])
		CHECK(mapped_until[index] == vm->ram_base + vm->ram_bytes);
	if (more) {
		CHECK(more == -ENOMEM);
		smmu_destroy_space(vm);
		has_space[index] = false;
	}
}

static void toggle_space(int index)
{
	struct vm *vm = &machine_vms[index];

	if (!has_space[index]) {
		mapped_until[index] = vm->ram_base;
		CHECK(space_fill(vm) == 0);
		has_space[index] = smmu_create_space(vm) == 0;
		CHECK(vm->stage2.is_pinned == has_space[index]);
		fill_space(index);
	} else if (!is_owner_of_any(index)) {
		smmu_destroy_space(vm);
		has_space[index] = false;
		CHECK(!vm->stage2.is_pinned);
		smmu_destroy_space(vm);
	}
}

static void attach(u32 stream, int index)
{
	may_change[stream] = true;
	owner_of[stream] = index;
	CHECK(smmu_attach_stream(&machine_vms[index], stream) == 0);
	CHECK(smmu.streams[stream].state == STREAM_ATTACHED);
	may_change[stream] = false;
}

static void toggle_stream(u32 stream, int index)
{
	struct vm *vm = &machine_vms[index];
	int owner = owner_of[stream];

	may_change[stream] = true;
	if (owner >= 0 && check_below(2)) {
		CHECK(smmu_attach_stream(vm, stream) == -EBUSY);
	} else if (owner >= 0 && owner != index) {
		smmu_detach_stream(vm, stream);
		CHECK(smmu.streams[stream].vm == &machine_vms[owner]);
	} else if (owner >= 0) {
		smmu_detach_stream(vm, stream);
		owner_of[stream] = -1;
		CHECK(!smmu.streams[stream].vm);
	} else if (!has_space[index]) {
		CHECK(smmu_attach_stream(vm, stream) == -EINVAL);
	} else {
		attach(stream, index);
	}
	may_change[stream] = false;
}

/* No device is taken back before the machine is off, and none makes an event. */
static void test_attaching(void)
{
	are_tame = true;
	for (int run = 0; run < 400; run++) {
		power_on(run % 2);
		for (int i = 0; i < VMS; i++) {
			machine_vms[i].dma = (struct dma_space){0};
			has_space[i] = false;
			toggle_space(i);
		}
		for (u32 stream = 0; stream < STREAMS; stream++)
			attach(stream, (int)check_below(VMS));
		for (int i = 0; i < 100; i++)
			device_access((u32)check_below(STREAMS));
	}
}

static void take_interrupts(void)
{
	static struct cpu cpu;

	if (error_pulse) {
		error_pulse = false;
		CHECK(smmu_error_irq(&cpu, PLAT_SMMU_ERROR_INTID) == IRQ_HANDLED);
	}
	while (event_pulse && check_below(4)) {
		event_pulse = false;
		CHECK(smmu_event_irq(&cpu, PLAT_SMMU_EVENT_INTID) == IRQ_HANDLED);
	}
}

static void burst(u32 stream)
{
	for (u64 i = check_below(check_below(30) ? 20 : 3000); i; i--)
		device_access(stream);
}

static void test_life(bool stage2)
{
	power_on(stage2);
	for (int i = 0; i < OPERATIONS; i++) {
		int vm = (int)check_below(VMS);

		is_eager = check_below(2);
		now += check_below(1000) ? check_below(3) : FREQUENCY;
		switch (check_below(check_below(40) ? 7 : 8)) {
		case 0:
			toggle_space(vm);
			break;
		case 1:
		case 2:
			toggle_stream((u32)check_below(STREAMS), vm);
			break;
		case 3:
			burst((u32)check_below(STREAMS));
			break;
		case 7:
			refuse_next = true;
			break;
		default:
			take_interrupts();
		}
		/* A pulse comes when the queue is empty no more: what is left in it by then is left for good. */
		CHECK(event_pulse || !((eventq_prod ^ eventq_cons) << 1));
	}
	refuse_next = false;
	for (u32 i = 0; i < SMMU_STREAM_COUNT; i++) {
		if (owner_of[i] < 0)
			continue;
		may_change[i] = true;
		smmu_detach_stream(&machine_vms[owner_of[i]], i);
		may_change[i] = false;
		owner_of[i] = -1;
	}
	for (int i = 0; i < VMS; i++) {
		if (has_space[i])
			toggle_space(i);
		CHECK(!machine_vms[i].dma.stream_count);
		CHECK(machine_vms[i].dma.event_count == charged[i]);
	}
	while (event_pulse || error_pulse)
		take_interrupts();
	CHECK(eventq_prod == eventq_cons && gerror == gerrorn);
	CHECK(smmu.overflows == overflows && overflows > 0);
	CHECK(smmu.command_errors == refused_commands && refused_commands > 0);
	CHECK(told > 0 && cut_off > 0 && masters_lost == cut_off && commands_taken > 0);
}

static void test_life_by_stage1(void)
{
	test_life(false);
}

static void test_life_by_stage2(void)
{
	test_life(true);
}

int main(void)
{
	static const struct check_case cases[] = {
		{"5.2", "PROD and CONS tell a full ring from an empty one", test_rings},
		{"5.2", "a command is complete after smmu_sync(), or was told", test_commands},
		{"5.1", "an SMMU that lacks something is left alone", test_unusable},
		{"5.1", "one in any state comes to translation", test_power_on},
		{"5.3", "STE and context descriptor describe the table", test_formats},
		{"5.3", "a device reaches its VM's table while others come", test_attaching},
		{"5.5", "a record is decoded", test_event_decoding},
		{"5.5", "64 events of a window are allowed", test_budget},
		{"5.4", "streams come and go under DMA, by stage 2", test_life_by_stage2},
		{"5.4", "streams come and go under DMA, by stage 1", test_life_by_stage1},
	};

	/* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE */
	bundle = mmap((void *)PLAT_BUNDLE_BASE, 4096, 3, 0x100022, -1, 0);
	CHECK(bundle == (void *)PLAT_BUNDLE_BASE);
	for (int i = 0; i < VMS; i++) {
		struct vm *vm = &machine_vms[i];

		snprintf(vm->name, sizeof(vm->name), "vm%d", i);
		vm->index = (u32)i;
		vm->ram_base = PAGE0;
		vm->ram_bytes = MIB(4);
	}
	return check_cases(cases, ARRAY_SIZE(cases));
}
