// SPDX-License-Identifier: MIT
/*
 * Every encoding of MRS and MSR with op0 2 and 3, at EL1: registers that encodings.h does not list
 * are UNDEFINED, registers that the ID registers announce answer, a fresh vCPU finds reset values,
 * and no VM reads what another one wrote. To be packed as two VMs: one holds a random pattern in
 * all registers, the other its complement, so each bit that EL2 does not switch shows.
 *
 * Generated code writes and reads all registers at once: an instruction that is tried by itself
 * costs an exception, which would change some of them.
 */
#include "probe.h"

#include "encodings.h"

#define OP0_COUNT 2
#define ENCODINGS (OP0_COUNT << 14) /* op0[0], op1, CRn, CRm, op2 */
#define FOUND_MAX 1024
#define SHOWN_MAX 16
#define LAYERS 5
#define ROUNDS 4

/** struct found - a register that answers; @flags: R, W and VOLATILE, KEEP of its entry */
struct found {
	u32 number;
	u32 flags;
	u64 layer;
	u64 mask;
	u64 original;
};

static struct found found[FOUND_MAX];
static u32 found_count;
static u32 code[2 * FOUND_MAX + 1] __attribute__((aligned(64)));
static u64 shown;

static u32 number_of(const struct encoding *e, unsigned crm, unsigned op2)
{
	return (e->op0 & 1u) << 14 | (u32)e->op1 << 11 | (u32)e->crn << 7 | crm << 3 | op2;
}

/* The fields of an instruction word, which begin with op0. */
static u32 insn_fields(u32 number)
{
	return 2u << 19 | number << 5;
}

static u32 insn_mrs(u32 number)
{
	return 0xd5200000u | insn_fields(number);
}

static u32 insn_msr(u32 number)
{
	return 0xd5000000u | insn_fields(number);
}

static bool is_announced(u32 field)
{
	u64 value[2] = {0, 0};
	unsigned low = ID_FIELD_LOW(field);

	if (field == ALWAYS)
		return true;
	insn_try(MODE_EL1H, INSN_MRS(3, 0, 0, ID_FIELD_CRM(field), ID_FIELD_OP2(field)), value);
	return bits_get(value[0], low + 3, low) >= ID_FIELD_LEAST(field);
}

/* By number: the index in encodings[], + 1; and what the entry allows and demands. */
static u8 entry_of[ENCODINGS];
static u8 allowed[ARRAY_SIZE(encodings)], demanded[ARRAY_SIZE(encodings)];

static void index_encodings(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(encodings); i++) {
		const struct encoding *e = &encodings[i];
		bool announced = is_announced(e->feature);

		allowed[i] = announced || (e->flags & MAY) ? e->flags & RW : 0;
		demanded[i] = announced && !(e->flags & MAY) ? e->flags & RW : 0;
		for (unsigned crm = e->crm; crm <= e->crm_last; crm++) {
			for (unsigned op2 = e->op2; op2 <= e->op2_last; op2++)
				entry_of[number_of(e, crm, op2)] = (u8)(i + 1);
		}
	}
}

/* With FEAT_IDST exceptions of reads from the ID space say so (ID_AA64MMFR2_EL1.IDS). */
static bool was_undefined(u32 insn)
{
	if ((insn & 0xfff8f800) == 0xd5380000 && ESR_EC(exception_seen.esr) == ESR_EC_SYSREG)
		return true;
	return exception_seen.esr == ESR_UNDEFINED;
}

/** struct tally - how often a property was violated, and by which instruction first */
struct tally {
	u64 count, first;
};

static void note(struct tally *tally, const char *text, u32 insn, u64 value)
{
	if (!tally->count++)
		tally->first = insn;
	if (shown++ < SHOWN_MAX)
		print("vm %u: 0x%x (op1 %u, c%u, c%u, %u) %s 0x%lx\n", guest.vm, insn,
		      insn >> 16 & 7, insn >> 12 & 15, insn >> 8 & 15, insn >> 5 & 7, text, value);
}

/* ---- what answers ---- */

struct tallies {
	struct tally strange, hidden;
	struct tally missing[LAYERS], not_reset[LAYERS], lost[LAYERS];
};

static struct tallies tallies;

/* One access of one encoding, and whether it answered. */
static bool answers(u32 number, u32 access, u64 value[2])
{
	u32 insn = access == R ? insn_mrs(number) : insn_msr(number);
	unsigned entry = entry_of[number];

	if (insn_try(MODE_EL1H, insn, value)) {
		if (!was_undefined(insn))
			note(&tallies.strange, "raises", insn, exception_seen.esr);
		if (entry && (demanded[entry - 1] & access))
			note(&tallies.missing[encodings[entry - 1].layer],
			     "is announced, not there", insn, 0);
		return false;
	}
	if (!entry || !(allowed[entry - 1] & access))
		note(&tallies.hidden, "is hidden and answers", insn, value[0]);
	return true;
}

/* What can be read is written with what it held, all else with 0. */
static void look_at(u32 number)
{
	const struct encoding *e = entry_of[number] ? &encodings[entry_of[number] - 1] : NULL;
	u64 value[2] = {0, 0};
	u32 access = 0;

	if (answers(number, R, value))
		access |= R;
	if (answers(number, W, value))
		access |= W;
	if (!access || found_count == FOUND_MAX)
		return;
	found[found_count++] = (struct found){
		.number = number,
		.flags = access | (e ? e->flags & (VOLATILE | KEEP) : 0),
		.layer = e ? e->layer : 1,
		.mask = e ? e->mask : ALL,
		.original = value[0],
	};
}

/* ---- generated code ---- */

static bool is_changed(const struct found *f)
{
	return (f->flags & W) && !(f->flags & KEEP);
}

/* MRS x1 and STR x1, [x0], #8 of all that can be read. */
static void read_all(u64 *values)
{
	unsigned n = 0;

	for (u32 i = 0; i < found_count; i++) {
		if (!(found[i].flags & R))
			continue;
		code[n++] = insn_mrs(found[i].number) | 1;
		code[n++] = 0xf8008401;
	}
	code[n++] = 0xd65f03c0; /* RET */
	code_changed((u64)code, n * 4);
	((void (*)(u64 *))(u64)code)(values);
}

/* LDR x1, [x0], #8 and MSR x1 of all that are changed. */
static void write_all(const u64 *values)
{
	unsigned n = 0;

	for (u32 i = 0; i < found_count; i++) {
		if (!is_changed(&found[i]))
			continue;
		code[n++] = 0xf8408401;
		code[n++] = insn_msr(found[i].number) | 1;
	}
	code[n++] = 0xd65f03c0;
	code_changed((u64)code, n * 4);
	((void (*)(const u64 *))(u64)code)(values);
}

/* ---- two VMs ---- */

static u64 values[FOUND_MAX], own[FOUND_MAX], now[FOUND_MAX];

static u64 pattern(u32 number)
{
	u64 x = (number + 1) * 0x9e3779b97f4a7c15UL ^ seed_number();

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9UL;
	x ^= x >> 32;
	return guest.vm & 1 ? ~x : x;
}

static void write_patterns(void)
{
	unsigned n = 0;

	for (u32 i = 0; i < found_count; i++) {
		if (is_changed(&found[i]))
			values[n++] = (found[i].original & ~found[i].mask) |
				      (pattern(found[i].number) & found[i].mask);
	}
	write_all(values);
}

static void write_originals(void)
{
	unsigned n = 0;

	for (u32 i = 0; i < found_count; i++) {
		if (is_changed(&found[i]))
			values[n++] = found[i].original;
	}
	write_all(values);
}

static void compare(void)
{
	unsigned n = 0;

	for (u32 i = 0; i < found_count; i++) {
		if (!(found[i].flags & R))
			continue;
		if (own[n] != now[n] && !(found[i].flags & VOLATILE))
			note(&tallies.lost[found[i].layer], "does not keep its value, differs in",
			     insn_mrs(found[i].number), own[n] ^ now[n]);
		n++;
	}
}

static void two_vms(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		write_patterns();
		read_all(own);
		vm_yield();
		read_all(now);
		write_originals();
		compare();
	}
}

/* ---- what a fresh vCPU finds ---- */

/* Registers that an exception changes, read before the first. */
static u64 changed_early(void)
{
	return sysreg_read(spsr_el1) | sysreg_read(elr_el1) | sysreg_read(esr_el1) |
	       sysreg_read(far_el1) | sysreg_read(sp_el0);
}

/* All others that are listed, before anything is written. */
static void check_reset(u32 number)
{
	const struct encoding *e = &encodings[entry_of[number] - 1];
	u64 value[2];

	if ((e->flags & (VOLATILE | KEEP | EARLY)) || (e->flags & RW) != RW ||
	    insn_try(MODE_EL1H, insn_mrs(number), value))
		return;
	if ((value[0] & e->mask) != e->reset)
		note(&tallies.not_reset[e->layer], "is not reset, but", insn_mrs(number), value[0]);
}

/*
 * VM 0 fills what is listed and gives way: VM 1 begins while the registers of the one that left may
 * still be there.
 */
static void begin(void)
{
	report_equal("a fresh vCPU finds 0 in SPSR_EL1, ELR_EL1, ESR_EL1, FAR_EL1, SP_EL0",
		     changed_early(), 0);
	sysreg_write(cpacr_el1, 0x03330000); /* the guest itself forbids none: SMEN, FPEN, ZEN */
	isb();
	index_encodings();
	for (u32 number = 0; number < ENCODINGS; number++) {
		if (entry_of[number])
			check_reset(number);
	}
	for (u32 number = 0; number < ENCODINGS; number++) {
		if (entry_of[number])
			look_at(number);
	}
	write_patterns();
	vm_yield();
	write_originals();
	found_count = 0;
}

static void scan(void)
{
	for (u32 number = 0; number < ENCODINGS; number++)
		look_at(number);
}

static void tell(const struct tally *tally, const char *text)
{
	report(tally->count == 0, text, tally->first, 0);
}

void probe(void)
{
	begin();
	scan();
	report(found_count > 100 && found_count < FOUND_MAX,
	       "between 100 and 1024 registers answer", found_count, 100);
	two_vms();
	tell(&tallies.strange, "each access answers or is UNDEFINED");
	tell(&tallies.hidden, "what no ID register announces is UNDEFINED");
	tell(&tallies.missing[1], "what ID registers announce answers");
	tell(&tallies.missing[3], "what they announce answers, of layer 3");
	tell(&tallies.missing[4], "what they announce answers, of layer 4");
	tell(&tallies.not_reset[1], "a fresh vCPU finds reset values");
	tell(&tallies.not_reset[3], "a fresh vCPU finds reset values, of layer 3");
	tell(&tallies.not_reset[4], "a fresh vCPU finds reset values, of layer 4");
	tell(&tallies.lost[1], "what one VM writes no other reads");
	tell(&tallies.lost[3], "what one VM writes no other reads, of layer 3");
	tell(&tallies.lost[4], "what one VM writes no other reads, of layer 4");
}
