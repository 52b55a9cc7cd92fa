/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SMMU's half of layer 5 share: its registers, its queues, and the formats of
 * what it reads and writes in memory. Offsets, fields and section titles as in IHI 0070.
 */
#ifndef STRATA_LAYER5_INTERNAL_H
#define STRATA_LAYER5_INTERNAL_H

#include "lib/bits.h"
#include "lib/types.h"
#include "platform/qemu_virt.h"
#include "registry.h"
#include "smmu.h"
#include "spinlock.h"
#include "sysreg.h"

/* ---- registers ("Register formats") ---- */

#define SMMU_IDR0 0x000
#define SMMU_IDR1 0x004
#define SMMU_IDR5 0x014
#define SMMU_CR0 0x020
#define SMMU_CR0ACK 0x024
#define SMMU_CR1 0x028
#define SMMU_CR2 0x02c
#define SMMU_GBPA 0x044
#define SMMU_IRQ_CTRL 0x050
#define SMMU_IRQ_CTRLACK 0x054
#define SMMU_GERROR 0x060
#define SMMU_GERRORN 0x064
#define SMMU_GERROR_IRQ_CFG0 0x068
#define SMMU_STRTAB_BASE 0x080
#define SMMU_STRTAB_BASE_CFG 0x088
#define SMMU_CMDQ_BASE 0x090
#define SMMU_CMDQ_PROD 0x098
#define SMMU_CMDQ_CONS 0x09c
#define SMMU_EVENTQ_BASE 0x0a0
#define SMMU_EVENTQ_IRQ_CFG0 0x0b0
#define SMMU_EVENTQ_PROD 0x100a8 /* on the second page of 64 KiB */
#define SMMU_EVENTQ_CONS 0x100ac

#define IDR0_S2P BIT(0)
#define IDR0_S1P BIT(1)
#define IDR0_TTF_AARCH64 BIT(3)
#define IDR0_COHACC BIT(4)
#define IDR0_STALL_MODEL_FORCED BIT(25)
#define IDR0_TTENDIAN_BIG_ONLY 3 /* of bits 22:21 */
#define IDR1_SIDSIZE(idr1) bits_get(idr1, 5, 0) /* bits of a StreamID */
#define IDR1_EVENTQS(idr1) bits_get(idr1, 20, 16) /* log2 of the most events, and of commands */
#define IDR1_CMDQS(idr1) bits_get(idr1, 25, 21)
#define IDR1_PRESET (BIT(29) | BIT(30)) /* queues or tables that are where they are */
#define IDR5_GRAN4K BIT(4)

#define CR0_SMMUEN BIT(0)
#define CR0_EVENTQEN BIT(2)
#define CR0_CMDQEN BIT(3)
#define CR1_WRITE_BACK_SHARED 0xd75 /* tables and queues: inner shareable, write-back cacheable */
#define CR2_RECINVSID BIT(1)
#define CR2_PTM BIT(2)
#define GBPA_ABORT BIT(20)
#define GBPA_UPDATE BIT(31)
#define IRQ_CTRL_GERROR BIT(0)
#define IRQ_CTRL_EVENTQ BIT(2)
#define GERROR_CMDQ BIT(0)
#define GERROR_EVENTQ_ABT BIT(2)

#define BASE_ALLOCATE BIT(62) /* hint for caches, of a base register */
#define CMDQ_CONS_ERR_SHIFT 24
#define CMDQ_CONS_ERR_MASK 0x7f
#define EVENTQ_OVERFLOW BIT(31) /* OVFLG of PROD, OVACKFLG of CONS */

#ifdef __aarch64__
static inline u32 smmu_read32(u32 offset)
{
	return mmio_read32(PLAT_SMMU_BASE + offset);
}

static inline void smmu_write32(u32 offset, u64 value)
{
	mmio_write32(PLAT_SMMU_BASE + offset, (u32)value);
}

static inline void smmu_write64(u32 offset, u64 value)
{
	mmio_write64(PLAT_SMMU_BASE + offset, value);
}

/** smmu_barrier() - accesses to memory shared with the SMMU are done before later ones, registers too */
static inline void smmu_barrier(void)
{
	dsb_ish();
}
#else
/* Supplied by a host test. */
u32 smmu_read32(u32 offset);
void smmu_write32(u32 offset, u64 value);
void smmu_write64(u32 offset, u64 value);
void smmu_barrier(void);
#endif

/* ---- queues ("Command and Event queues") ---- */

#define COMMAND_LOG2 8
#define COMMAND_WORDS 2
#define EVENT_LOG2 11 /* a stray transfer of 4 KiB is 1,025 events */
#define EVENT_WORDS 4

/**
 * struct smmu_queue - a ring in memory that the SMMU shares with us
 * @entries: 2^@log2_count of @words 64-bit words each, aligned to its size
 * @prod, @cons: where the next entry is written and read: an index with one bit more than it needs,
 *	which tells full from empty. Ours is kept here, the SMMU's is read from its register; of the
 *	event queue @prod is what was read last, with its flag
 */
struct smmu_queue {
	u64 *entries;
	u32 log2_count;
	u32 words;
	u32 prod, cons;
};

/** queue_is_empty() - whether nothing is between @cons and @prod; other bits of them are ignored */
bool queue_is_empty(const struct smmu_queue *queue, u32 prod, u32 cons);

/** queue_is_full() - whether @prod is a whole round ahead of @cons */
bool queue_is_full(const struct smmu_queue *queue, u32 prod, u32 cons);

/** queue_next() - the position behind @position, with nothing in other bits */
u32 queue_next(const struct smmu_queue *queue, u32 position);

/** queue_entry() - the words at @position */
u64 *queue_entry(const struct smmu_queue *queue, u32 position);

/* ---- commands ("Commands") ---- */

struct smmu_command {
	u64 words[COMMAND_WORDS];
};

#define CMD_CFGI_STE 0x03
#define CMD_CFGI_STE_RANGE 0x04
#define CMD_CFGI_CD 0x05
#define CMD_TLBI_NH_ASID 0x11
#define CMD_TLBI_S12_VMALL 0x28
#define CMD_TLBI_NSNH_ALL 0x30
#define CMD_SYNC 0x46

#define CMD_CFGI_LEAF 1
#define CMD_CFGI_RANGE_ALL 31

/** command_cfgi_ste() - forget what is cached of the STE of @stream */
static inline struct smmu_command command_cfgi_ste(u32 stream)
{
	return (struct smmu_command){{CMD_CFGI_STE | (u64)stream << 32, CMD_CFGI_LEAF}};
}

/** command_cfgi_all() - forget all STEs and context descriptors */
static inline struct smmu_command command_cfgi_all(void)
{
	return (struct smmu_command){{CMD_CFGI_STE_RANGE, CMD_CFGI_RANGE_ALL}};
}

/** command_cfgi_cd() - forget the context descriptor that the STE of @stream leads to */
static inline struct smmu_command command_cfgi_cd(u32 stream)
{
	return (struct smmu_command){{CMD_CFGI_CD | (u64)stream << 32, CMD_CFGI_LEAF}};
}

/** command_tlbi_asid() - forget stage-1 translations tagged @asid, of VMID 0 */
static inline struct smmu_command command_tlbi_asid(u32 asid)
{
	return (struct smmu_command){{CMD_TLBI_NH_ASID | (u64)asid << 48, 0}};
}

/** command_tlbi_vmid() - forget translations of both stages tagged @vmid */
static inline struct smmu_command command_tlbi_vmid(u32 vmid)
{
	return (struct smmu_command){{CMD_TLBI_S12_VMALL | (u64)vmid << 32, 0}};
}

/** command_tlbi_all() - forget all translations but EL2's */
static inline struct smmu_command command_tlbi_all(void)
{
	return (struct smmu_command){{CMD_TLBI_NSNH_ALL, 0}};
}

/** command_sync() - with nothing to tell of its completion but CMDQ_CONS */
static inline struct smmu_command command_sync(void)
{
	return (struct smmu_command){{CMD_SYNC, 0}};
}

/** command_take_error() - if the SMMU stopped at a command that it does not take, have it go on */
void command_take_error(void);

/**
 * smmu_issue() - put @command into the command queue, wait for room; smmu.lock is held
 *
 * The SMMU may execute it at any time from now on. That it has is known after smmu_sync().
 */
void smmu_issue(struct smmu_command command);

/**
 * smmu_sync() - CMD_SYNC, and wait until it is consumed; smmu.lock is held
 *
 * Then all commands before it are complete, and so are the transactions that used what they made the
 * SMMU forget ("CMD_SYNC"). A command that the SMMU does not take is replaced and reported.
 */
void smmu_sync(void);

/* ---- stream table entries and context descriptors ("Stream Table Entry", "Context Descriptor") ---- */

#define STE_WORDS 8
#define CD_WORDS 8

struct smmu_ste {
	u64 words[STE_WORDS];
} __attribute__((aligned(64)));

struct smmu_cd {
	u64 words[CD_WORDS];
} __attribute__((aligned(64)));

#define STE_V BIT(0)
#define STE_CONFIG_ABORT (0UL << 1)
#define STE_CONFIG_STAGE1 (5UL << 1)
#define STE_CONFIG_STAGE2 (6UL << 1)
#define STE_CONFIG_MASK (7UL << 1)
/* Word 1 */
#define STE_S1CIR_WB (1UL << 2)
#define STE_S1COR_WB (1UL << 4)
#define STE_S1CSH_INNER (3UL << 6)
#define STE_SHCFG_INCOMING (1UL << 44)
/* Word 2 */
#define STE_S2T0SZ_SHIFT 32
#define STE_S2SL0_SHIFT 38
#define STE_S2IR0_WB (1UL << 40)
#define STE_S2OR0_WB (1UL << 42)
#define STE_S2SH0_INNER (3UL << 44)
#define STE_S2PS_SHIFT 48
#define STE_S2AA64 BIT(51)
#define STE_S2R BIT(58)
/* Word 0 of a context descriptor */
#define CD_IR0_WB (1UL << 8)
#define CD_OR0_WB (1UL << 10)
#define CD_SH0_INNER (3UL << 12)
#define CD_EPD1 BIT(30)
#define CD_V BIT(31)
#define CD_IPS_SHIFT 32
#define CD_AA64 BIT(41)
#define CD_R BIT(45)
#define CD_A BIT(46)
#define CD_ASET BIT(47)
#define CD_ASID_SHIFT 48

/** ste_stage2() - the STE of a stream whose addresses go through @table as stage 2, tagged @vmid */
struct smmu_ste ste_stage2(const struct pgtable *table, u32 vmid, u32 address_size);

/** ste_stage1() - the STE of a stream whose addresses go through the table of @cd as stage 1 */
struct smmu_ste ste_stage1(const struct smmu_cd *cd);

/** cd_stage1() - the context descriptor of @table, tagged @asid */
struct smmu_cd cd_stage1(const struct pgtable *table, u32 asid, u32 address_size);

/**
 * ste_is_sound() - whether the SMMU may be shown @ste: fields that it answers with what nobody wants
 *
 * A stage-2 STE without S2AA64 asks for tables of 32-bit Arm; QEMU 10 ends at it. Its R says that a
 * fault is an event.
 */
bool ste_is_sound(const struct smmu_ste *ste);

/**
 * ste_write_first() - change word 0 of the STE of @stream, and have the SMMU forget what it cached
 *
 * smmu.lock is held. On return no transaction uses what was there before.
 */
void ste_write_first(u32 stream, u64 word);

/* ---- events ("Event queue recorded faults and events") ---- */

enum {
	EVENT_BAD_STREAMID = 0x02,
	EVENT_STE_FETCH = 0x03,
	EVENT_BAD_STE = 0x04,
	EVENT_STREAM_DISABLED = 0x06,
	EVENT_CD_FETCH = 0x09,
	EVENT_BAD_CD = 0x0a,
	EVENT_WALK_ABORT = 0x0b,
	EVENT_TRANSLATION = 0x10,
	EVENT_ADDRESS_SIZE = 0x11,
	EVENT_ACCESS = 0x12,
	EVENT_PERMISSION = 0x13,
};

#define EVENT_RNW BIT(35) /* of word 1 */
#define EVENT_S2 BIT(39)

/** event_decode() - what the record @words says */
struct smmu_fault event_decode(const u64 words[EVENT_WORDS]);

/** event_kind_text() - a refusal of @kind in a few words */
const char *event_kind_text(u32 kind);

#define STREAM_BUDGET 64 /* events of a stream in a window; more is a storm */
#define STREAM_WINDOWS_PER_SECOND 1
#define STREAM_LINES 8 /* on the console in a window */

/** stream_is_over_budget() - charge an event at count @now to @stream: whether it was one too many */
bool stream_is_over_budget(struct smmu_stream *stream, u64 now);

/** device_cut_off() - the device with the StreamID @stream is no bus master any more (assign.c) */
void device_cut_off(u32 stream);

/** events_lost() - count that records are missing, and tell it once in a window; smmu.lock is held */
void events_lost(void);

/** smmu_drain_events() - read all that is in the event queue; smmu.lock is held */
void smmu_drain_events(void);

/* ---- the DMA space of a VM ---- */

/** space_fill() - hook_vm_fill(): a piece of @vm's RAM into its DMA space; 0 if it has none */
int space_fill(struct vm *vm);

/** space_forget() - have the SMMU forget translations of @vm's devices; smmu.lock is held */
void space_forget(const struct vm *vm);

/** space_ste() - the STE of a stream of @vm, which has a DMA space */
struct smmu_ste space_ste(const struct vm *vm);

/* ---- the SMMU ---- */

/**
 * struct smmu - the machine's SMMU
 * @lock: protects queues, stream table and streams. Nests inside every lock of a VM, pci_lock and
 *	the console's nest inside
 * @use_stage2: DMA spaces are stage-2 tables; stage 1 otherwise
 * @address_size: of output addresses, as a PS field: what both SMMU and CPU have
 * @has_lost_command: one was not taken, so that what it was to invalidate is still cached
 * @command_errors: how many were not taken
 * @overflows: times that the event queue was full, so that events are missing
 * @overflow_told: physical count when the console was told of one, 0: never
 * @streams: by StreamID; the last one stands for all StreamIDs beyond the stream table
 */
struct smmu {
	struct spinlock lock;
	bool is_present;
	bool use_stage2;
	bool has_lost_command;
	u32 address_size;
	struct smmu_queue commands;
	struct smmu_queue events;
	u64 command_errors;
	u64 overflows;
	u64 overflow_told;
	struct smmu_stream streams[SMMU_STREAM_COUNT + 1];
};

extern struct smmu smmu;

/** stream_table - what the SMMU looks a StreamID up in */
extern struct smmu_ste stream_table[SMMU_STREAM_COUNT];

/** smmu_init_cpu() - on the CPU that starts first: find the SMMU and turn it on, or do without */
int smmu_init_cpu(struct cpu *cpu);

/** smmu_event_irq(), smmu_error_irq() - handlers of its two interrupts, both pulses */
enum irq_result smmu_event_irq(struct cpu *cpu, u32 intid);
enum irq_result smmu_error_irq(struct cpu *cpu, u32 intid);

#endif
