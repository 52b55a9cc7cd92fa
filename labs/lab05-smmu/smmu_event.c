// SPDX-License-Identifier: MIT
/*
 * Refused accesses: whose they are, how many, and when it is enough.
 *
 * The SMMU writes a record of each into the event queue, and pulses one interrupt for all of them.
 * A pulse says that there is something in the queue, not how much: it is drained. StreamID, device,
 * VM: every record has one owner, who is charged with it.
 *
 * One access of 4 bytes is a record, so a stray transfer of 4 KiB is a thousand, and a device can be
 * told to go on for ever. A stream that has used up its budget of records in a window is cut off:
 * its STE says abort, which refuses in silence. It stays so until the device is detached, when its VM
 * ends or is reset. The console is told of the first access of a kind to a page, and of the end.
 * Manual: IHI 0070, "Event queue recorded faults and events".
 */
#include "console.h"
#include "exercise.h"
#include "internal.h"
#include "lib/printf.h"
#include "page_alloc.h"
#include "vcpu.h"

/**
 * event_decode() - see internal.h
 *
 * Exercise 5.5: word 0 has the kind in [7:0] and the StreamID in [63:32], word 1 whether it was a
 * read (EVENT_RNW) and whether stage 2 refused it (EVENT_S2), word 2 the address.
 */
EXERCISE(5.5)
struct smmu_fault event_decode(const u64 words[EVENT_WORDS])
{
	TODO(5.5);
}

const char *event_kind_text(u32 kind)
{
	switch (kind) {
	case EVENT_BAD_STREAMID:
		return "it is beyond the stream table";
	case EVENT_BAD_STE:
		return "it is nobody's";
	case EVENT_STE_FETCH:
	case EVENT_CD_FETCH:
	case EVENT_WALK_ABORT:
		return "the SMMU cannot read its tables";
	case EVENT_BAD_CD:
		return "its context descriptor is wrong";
	case EVENT_TRANSLATION:
		return "nothing is mapped there";
	case EVENT_ADDRESS_SIZE:
		return "there is no such address";
	case EVENT_ACCESS:
	case EVENT_PERMISSION:
		return "it is not permitted there";
	default:
		return "for another reason";
	}
}

static inline bool has_address(const struct smmu_fault *fault)
{
	return fault->kind >= EVENT_TRANSLATION;
}

static void event_say(const struct smmu_fault *fault, const struct vm *vm)
{
	char where[32] = "";

	if (has_address(fault))
		snprintf(where, sizeof(where), " %s 0x%lx",
			 fault->is_write ? "write to" : "read of", fault->address);
	console_printf("%s: device %02x:%02x.%u: DMA%s refused: %s (event 0x%02x)\n",
		       vm ? vm->name : "no VM", fault->stream >> 8, fault->stream >> 3 & 31,
		       fault->stream & 7, where, event_kind_text(fault->kind), fault->kind);
}

/**
 * stream_is_over_budget() - see internal.h
 *
 * Exercise 5.5: a window begins with an event, and ends a second / STREAM_WINDOWS_PER_SECOND later.
 * window_count counts the events of this one, window_told begins at 0. STREAM_BUDGET are allowed.
 */
EXERCISE(5.5)
bool stream_is_over_budget(struct smmu_stream *stream, u64 now)
{
	TODO(5.5);
}

/* Whether @fault is more than the last one going on: a few of those are worth a line each. */
static bool is_news(const struct smmu_stream *stream, const struct smmu_fault *fault)
{
	const struct smmu_fault *last = &stream->last;

	if (stream->window_told == 0)
		return true;
	return stream->window_told < STREAM_LINES &&
	       (fault->kind != last->kind || fault->is_write != last->is_write ||
		fault->address / PAGE_SIZE != last->address / PAGE_SIZE);
}

/*
 * Word 0 alone changes: V with a Config that refuses and records nothing. What is beyond the table has
 * no STE; it is not told of any more. Refusing costs nobody a record, but a device that is no bus
 * master does not even ask.
 */
static void stream_quarantine(struct smmu_stream *stream, const struct smmu_fault *fault)
{
	stream->state = STREAM_QUARANTINED;
	if (fault->stream < SMMU_STREAM_COUNT)
		ste_write_first(fault->stream, STE_V | STE_CONFIG_ABORT);
	device_cut_off(fault->stream);
	console_printf("%s: device %02x:%02x.%u: cut off, more than %u refused accesses\n",
		       stream->vm ? stream->vm->name : "no VM", fault->stream >> 8,
		       fault->stream >> 3 & 31, fault->stream & 7, STREAM_BUDGET);
}

/**
 * event_charge() - account for @fault, which has been read from the queue at @now
 *
 * Exercise 5.5: its stream, or the last one for a StreamID beyond the table, counts it; so does the
 * VM that owns the stream. While the stream is not quarantined its budget is charged, and if @fault
 * is_news(), compared with `last`, it is told (event_say()) and counted in window_told; then it is
 * the `last`. One too many: stream_quarantine(), unless its STE is just CHANGING.
 */
EXERCISE(5.5)
static void event_charge(const struct smmu_fault *fault, u64 now)
{
	TODO(5.5);
}

/* Whose accesses they were nobody knows. Who filled the queue does: over its budget it is cut off. */
void events_lost(void)
{
	u64 now = counter_read();

	smmu.overflows++;
	if (smmu.overflow_told &&
	    now - smmu.overflow_told < counter_frequency() / STREAM_WINDOWS_PER_SECOND)
		return;
	smmu.overflow_told = now;
	console_printf(
		"SMMU: the event queue was full: some refused accesses are charged to nobody\n");
}

/**
 * smmu_drain_events() - see internal.h
 *
 * Exercise 5.5: the records from smmu.events.cons to EVENTQ_PROD, and until there are none: the SMMU
 * adds more meanwhile, and pulses for those that it adds after the last look only. PROD is read
 * before the records (smmu_barrier()), and they before EVENTQ_CONS gives their room back. When OVFLG
 * of PROD differs from smmu.events.prod, which keeps what PROD was the last time, records were lost:
 * events_lost(). CONS gets the flag as it is, which acknowledges that ("Event queue overflow").
 */
EXERCISE(5.5)
void smmu_drain_events(void)
{
	TODO(5.5);
}
