// SPDX-License-Identifier: MIT
/*
 * Rings that the SMMU shares with us, and the command queue, of which we are the producer.
 *
 *	 bit 31            log2_count      0
 *	| flags, 0 | ... | wrap |  index    |	PROD and CONS
 *
 * Equal indexes mean empty when the wrap bits are equal too, and full when they are not. smmu.lock is
 * held: one CPU at a time writes commands and waits for them.
 * Manual: IHI 0070, "SMMU circular queues", "Commands", "Command errors".
 */
#include "console.h"
#include "exercise.h"
#include "internal.h"
#include "mailbox.h"

static inline u32 position_mask(const struct smmu_queue *queue)
{
	return (2U << queue->log2_count) - 1; /* index and wrap bit */
}

/** queue_is_empty() - Exercise 5.2: see internal.h */
EXERCISE(5.2)
bool queue_is_empty(const struct smmu_queue *queue, u32 prod, u32 cons)
{
	TODO(5.2);
}

/** queue_is_full() - Exercise 5.2: see internal.h */
EXERCISE(5.2)
bool queue_is_full(const struct smmu_queue *queue, u32 prod, u32 cons)
{
	TODO(5.2);
}

/** queue_next() - Exercise 5.2: see internal.h */
EXERCISE(5.2)
u32 queue_next(const struct smmu_queue *queue, u32 position)
{
	TODO(5.2);
}

u64 *queue_entry(const struct smmu_queue *queue, u32 position)
{
	u32 index = position & ((1U << queue->log2_count) - 1);

	return queue->entries + (u64)index * queue->words;
}

/* ---- commands ---- */

/**
 * command_take_error() - see internal.h
 *
 * Exercise 5.2: if GERROR's CMDQ_ERR is active, the SMMU has stopped at the command at CMDQ_CONS and
 * says why in its ERR field. Tell it on the console, count it in smmu.command_errors, remember it in
 * smmu.has_lost_command. Put a CMD_SYNC in its place, which does no harm, and have the SMMU go on by
 * acknowledging this error and no other: the new command is in memory before.
 */
EXERCISE(5.2)
void command_take_error(void)
{
	TODO(5.2);
}

/*
 * Look again at CMDQ_CONS after a while: into @cons. An SMMU that takes nothing for a second would
 * have devices reach what they may not any more.
 */
static void command_wait(u64 start, u32 *cons)
{
	command_take_error();
	if (counter_read() - start > counter_frequency())
		panic("the SMMU does not complete its commands");
	cpu_relax();
	*cons = smmu_read32(SMMU_CMDQ_CONS);
}

/**
 * smmu_issue() - see internal.h
 *
 * Exercise 5.2: while the queue is full, command_wait(). The words of the command, and all that was
 * stored before, are in memory before CMDQ_PROD says that there is a command.
 */
EXERCISE(5.2)
void smmu_issue(struct smmu_command command)
{
	TODO(5.2);
}

/** commands_complete() - Exercise 5.2: issue CMD_SYNC, and command_wait() until the queue is empty */
EXERCISE(5.2)
static void commands_complete(void)
{
	TODO(5.2);
}

/* After an error nobody knows what is still cached: all of it goes, by commands without operands. */
void smmu_sync(void)
{
	commands_complete();
	if (!smmu.has_lost_command)
		return;
	smmu.has_lost_command = false;
	smmu_issue(command_cfgi_all());
	smmu_issue(command_tlbi_all());
	commands_complete();
	if (smmu.has_lost_command)
		panic("the SMMU does not forget what it cached");
}
