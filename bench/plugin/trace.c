/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens when, as a TCG plugin: exits and entries, which vCPU a CPU has loaded, what each vCPU
 * is doing, interrupts from their line to their completion, deadlines, idle CPUs.
 *
 * The machine is not changed and not told. EL2 maps itself one to one, and the emulator has a
 * machine's RAM in one piece, so the host's address of one instruction of EL2 gives that of every
 * object; the headers of the kit say what is in it. What EL2 stores into its objects is looked at
 * when it is stored. Of a guest three things are watched: WFI, and the instructions by which it
 * acknowledges and completes an interrupt, which trap nowhere.
 *
 * Time: with -icount shift=0 an instruction takes a nanosecond of the machine's clock, and the clock
 * jumps when all CPUs wait. The plugin counts instructions, and asks for the clock when a CPU goes on
 * after a wait. QEMU answers that question in the middle of a block only to a thread that is not a
 * vCPU's, and then as of the beginning of the CPU's time slice; so the later of both times counts.
 *
 * Written is one struct record after the other; bench/trace.py reads them.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "el2.h"

#define WFI 0xd503207f
/* IHI 0069: ICC_IAR<n>_EL1 and ICC_EOIR<n>_EL1 of groups 0 and 1, without the register's number. */
#define IAR0 0xd538c800
#define IAR1 0xd538cc00
#define EOIR0 0xd518c820
#define EOIR1 0xd518cc20
#define RT 0x1fU
/* GICv2: GICV, where a guest finds GICC: GICC_IAR, GICC_EOIR. */
#define GICV_IAR (PLAT_GICV_BASE + 0x0c)
#define GICV_EOIR (PLAT_GICV_BASE + 0x10)

#define NOBODY 0xffff
#define NEVER (~0UL)

enum kind {
	EXIT, /* @value: vector, as an offset; @who: the guest that is left */
	/*
	 * @value: ESR_EL2 of the exit, if it was a synchronous one; @number: page of the last fault of
	 * stage 2; @who: the guest entered
	 */
	ENTRY,
	IDLE, /* @value, @number: as for ENTRY */
	AWAKE,
	LOADED,
	STATE, /* @value: enum vcpu_state; @number: the CPU */
	IRQ, /* @number: INTID; @value: IRQ_* */
	LIST_REGISTER, /* @number: which; @value */
	ACKNOWLEDGE,
	COMPLETE,
	DEADLINE, /* @number: enum deadline_of; @value: ticks, NEVER: disarmed */
	NAME, /* @number: 0 or 8; @value: these bytes of a VM's name */
	FULL,
};

enum {
	IRQ_LINE = 1,
	IRQ_LATCH = 2,
	IRQ_ACTIVE = 4,
	IRQ_ENABLED = 8
};
enum deadline_of {
	OF_CNTV,
	OF_CNTP,
	OF_SLICE
};

struct record {
	u64 time; /* of the machine's clock, in nanoseconds */
	u64 executed; /* instructions, by this CPU alone */
	u8 kind; /* enum kind */
	u8 cpu;
	u16 who; /* VM << 8 | vCPU */
	u32 number;
	u64 value;
};

/* An object of EL2, and what was last recorded of it. */
struct object {
	u64 address, bytes;
	u16 who;
	enum {
		AN_EMPTY,
		A_TABLE,
		A_VM,
		A_VCPU,
		SPIS
	} kind;
	u8 state, runs_on;
	u64 lr[VGIC_LR_MAX];
	u64 armed[2];
	u8 irqs[GUEST_INTID_COUNT];
};

#define OBJECT_MAX 600
#define PAGES 0x10000 /* of a table by which most stores are left alone at once */

static struct object objects[OBJECT_MAX];
static unsigned object_count;
static u8 watched[PAGES];
static int stale; /* VMs or vCPUs have come or gone */

static u64 vectors, vms_at, cpus_at;
static u64 from, until, record_max, record_count;
static FILE *out;
static int gic;

static u64 retired, jumped;
static u64 block_start[PLAT_CPU_MAX]; /* @retired when the block began that runs */
static u64 own_start[PLAT_CPU_MAX], own[PLAT_CPU_MAX]; /* the same of each CPU alone */
static int waited[PLAT_CPU_MAX], idle[PLAT_CPU_MAX];
static u16 loaded[PLAT_CPU_MAX];
static u64 slice_armed[PLAT_CPU_MAX];

/* ---- the clock ------------------------------------------------------------------------------- */

static int64_t (*clock_ns)(int clock);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked;
static u64 answer;

static void *tell_time(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!asked)
			pthread_cond_wait(&changed, &lock);
		answer = (u64)clock_ns(1); /* QEMU_CLOCK_VIRTUAL */
		asked = 0;
		pthread_cond_broadcast(&changed);
	}
	return NULL;
}

/* A CPU goes on after a wait, in which the clock may have jumped. */
static void ask_for_time(unsigned cpu)
{
	if (!clock_ns)
		return;
	pthread_mutex_lock(&lock);
	asked = 1;
	pthread_cond_broadcast(&changed);
	while (asked)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	if (answer > block_start[cpu] + jumped)
		jumped = answer - block_start[cpu];
}

/* ---- records --------------------------------------------------------------------------------- */

static struct record before[PLAT_CPU_MAX]; /* what each CPU was doing when the part begins */

static void write_record(const struct record *entry)
{
	struct record last = *entry;

	if (record_count > record_max)
		return;
	if (record_count++ == record_max)
		last.kind = FULL;
	fwrite(&last, sizeof(last), 1, out);
}

static int tells_what_a_cpu_does(enum kind kind)
{
	return kind == EXIT || kind == ENTRY || kind == IDLE || kind == AWAKE;
}

static void record(unsigned cpu, u64 insn, enum kind kind, u16 who, u32 number, u64 value)
{
	struct record entry = {block_start[cpu] + insn + jumped,
			       own_start[cpu] + insn,
			       (u8)kind,
			       (u8)cpu,
			       who,
			       number,
			       value};

	if (entry.time >= until)
		return;
	/* What was so before is needed to know what is so at @from; of most, the last one is enough. */
	if (entry.time < from && tells_what_a_cpu_does(kind))
		before[cpu] = entry;
	else if (entry.time >= from || (kind != ACKNOWLEDGE && kind != COMPLETE))
		write_record(&entry);
	if (entry.time < from || !before[cpu].time)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(before); i++) {
		if (before[i].time)
			write_record(&before[i]);
		before[i].time = 0;
	}
}

/* ---- objects of EL2 -------------------------------------------------------------------------- */

static struct object *watch(u64 address, size_t bytes, int kind, u16 who)
{
	struct object *object;

	if (object_count == OBJECT_MAX || !at(address, bytes))
		return NULL;
	object = &objects[object_count++];
	*object = (struct object){.address = address, .bytes = bytes, .who = who};
	object->kind = kind;
	object->state = 0xff;
	object->armed[OF_CNTV] = object->armed[OF_CNTP] = NEVER;
	for (u64 page = address >> 12; page <= (address + bytes - 1) >> 12; page++)
		watched[page % PAGES] = 1;
	return object;
}

static void look_at_irqs(unsigned cpu, u64 insn, struct object *object, u64 array, u32 first,
			 u32 last)
{
	for (u32 i = first; i <= last; i++) {
		const struct vgic_irq *irq = at(array + i * sizeof(*irq), sizeof(*irq));
		u8 now;

		if (!irq)
			return;
		now = (u8)(irq->line_level * IRQ_LINE |
			   (irq->pending_latch | irq->latch_in_lr) * IRQ_LATCH |
			   irq->active * IRQ_ACTIVE | irq->enabled * IRQ_ENABLED);
		if (now == object->irqs[i])
			continue;
		object->irqs[i] = now;
		record(cpu, insn, IRQ, object->who, irq->intid, now);
	}
}

/* Only those of the array's elements that the store at @offset, in the array, can have changed. */
static void irqs_stored(unsigned cpu, u64 insn, struct object *object, u64 array, u64 offset,
			u64 bytes, u32 count)
{
	u32 last = (u32)((offset + bytes - 1) / sizeof(struct vgic_irq));

	look_at_irqs(cpu, insn, object, array, (u32)(offset / sizeof(struct vgic_irq)),
		     last < count ? last : count - 1);
}

static u64 ticks_of(const struct deadline *deadline)
{
	return deadline->cpu ? deadline->ticks : NEVER;
}

static void look_at_deadline(unsigned cpu, u64 insn, u64 *known, u16 who, enum deadline_of of,
			     u64 now)
{
	if (*known == now)
		return;
	*known = now;
	record(cpu, insn, DEADLINE, who, of, now);
}

/* The vCPU's members that are small. */
static void look_at_vcpu(unsigned cpu, u64 insn, struct object *object)
{
	const struct vcpu *vcpu = at(object->address, sizeof(*vcpu));
	u8 runs_on;

	if (!vcpu)
		return;
	/* A CPU that takes a vCPU from another one may say RUNNING before it says where. */
	runs_on = (u8)(((u64)(uintptr_t)vcpu->cpu - cpus_at) / sizeof(struct cpu));
	if (object->state != (u8)vcpu->state ||
	    (vcpu->state == VCPU_RUNNING && object->runs_on != runs_on)) {
		object->state = (u8)vcpu->state;
		object->runs_on = runs_on;
		record(cpu, insn, STATE, object->who, runs_on, object->state);
	}
	for (u32 i = 0; i < VGIC_LR_MAX; i++) {
		if (object->lr[i] == vcpu->vgic.lr[i])
			continue;
		object->lr[i] = vcpu->vgic.lr[i];
		record(cpu, insn, LIST_REGISTER, object->who, i, object->lr[i]);
	}
	look_at_deadline(cpu, insn, &object->armed[OF_CNTV], object->who, OF_CNTV,
			 ticks_of(&vcpu->vtimer.cntv.deadline));
	look_at_deadline(cpu, insn, &object->armed[OF_CNTP], object->who, OF_CNTP,
			 ticks_of(&vcpu->vtimer.cntp.deadline));
}

static void record_name(unsigned cpu, const struct vm *vm, u16 who)
{
	u64 part[2];

	memcpy(part, vm->name, sizeof(part));
	record(cpu, 0, NAME, who, 0, part[0]);
	record(cpu, 0, NAME, who, 8, part[1]);
}

static void watch_vcpu(unsigned cpu, u64 address, u16 who)
{
	struct object *object = watch(address, sizeof(struct vcpu), A_VCPU, who);

	if (!object)
		return;
	look_at_vcpu(cpu, 0, object);
	look_at_irqs(cpu, 0, object, address + offsetof(struct vcpu, vgic.private_irqs), 0,
		     GIC_PRIVATE_COUNT - 1);
}

static void watch_vm(unsigned cpu, u64 address, u32 index)
{
	const struct vm *vm = at(address, sizeof(*vm));

	if (!vm)
		return;
	record_name(cpu, vm, (u16)(index << 8));
	watch(address, sizeof(*vm), A_VM, (u16)(index << 8));
	for (u32 i = 0; i < VCPU_MAX; i++)
		watch_vcpu(cpu, (u64)(uintptr_t)vm->vcpus[i], (u16)(index << 8 | i));
	watch((u64)(uintptr_t)vm->vgic.spis, VGIC_SPI_COUNT * sizeof(struct vgic_irq), SPIS,
	      (u16)(index << 8));
}

/* Find all VMs and vCPUs, as often as one has come or gone. */
static void look_around(unsigned cpu)
{
	struct vm *const *table = at(vms_at, VM_MAX * sizeof(*table));

	stale = 0;
	object_count = 0;
	memset(watched, 0, sizeof(watched));
	watch(vms_at, VM_MAX * sizeof(*table), A_TABLE, NOBODY);
	watch(cpus_at, PLAT_CPU_MAX * sizeof(struct cpu), A_TABLE, NOBODY);
	for (u32 i = 0; table && i < VM_MAX; i++)
		watch_vm(cpu, (u64)(uintptr_t)table[i], i);
}

static u16 whose(u64 address)
{
	for (unsigned i = 0; i < object_count; i++)
		if (objects[i].kind == A_VCPU && objects[i].address == address)
			return objects[i].who;
	return NOBODY;
}

static void look_at_cpus(unsigned cpu, u64 insn)
{
	for (unsigned i = 0; i < ARRAY_SIZE(loaded); i++) {
		const struct cpu *other = at(cpus_at + i * sizeof(*other), sizeof(*other));
		u16 who;

		if (!other)
			return;
		who = whose((u64)(uintptr_t)other->vcpu);
		if (loaded[i] != who) {
			loaded[i] = who;
			record(cpu, insn, LOADED, who, i, 0);
		}
		look_at_deadline(cpu, insn, &slice_armed[i], (u16)i, OF_SLICE,
				 ticks_of(&other->slice));
	}
}

static void stored_into(unsigned cpu, u64 insn, struct object *object, u64 offset, u64 bytes)
{
	u64 irqs = offsetof(struct vcpu, vgic.private_irqs);

	switch (object->kind) {
	case A_TABLE:
		if (object->address == vms_at)
			stale = 1;
		else
			look_at_cpus(cpu, insn);
		break;
	case A_VM:
		if (offset - offsetof(struct vm, vcpus) < sizeof(((struct vm *)0)->vcpus) ||
		    offset == offsetof(struct vm, vgic.spis))
			stale = 1;
		break;
	case A_VCPU:
		if (offset < offsetof(struct vcpu, state))
			break; /* the frame, mostly */
		if (offset - irqs < sizeof(((struct vcpu *)0)->vgic.private_irqs))
			irqs_stored(cpu, insn, object, object->address + irqs, offset - irqs, bytes,
				    GIC_PRIVATE_COUNT);
		else
			look_at_vcpu(cpu, insn, object);
		break;
	case SPIS:
		irqs_stored(cpu, insn, object, object->address, offset, bytes, VGIC_SPI_COUNT);
		break;
	default:
		break;
	}
}

/* QEMU 7.2 calls for what a load reads, too, though it was asked about stores. */
static void el2_stored(unsigned told, uint32_t info, uint64_t vaddr, void *insn)
{
	unsigned cpu = running_cpu(told);
	u64 bytes = 1UL << qemu_plugin_mem_size_shift(info);

	if (cpu >= PLAT_CPU_MAX || !watched[(vaddr >> 12) % PAGES] ||
	    !qemu_plugin_mem_is_store(info))
		return;
	for (unsigned i = 0; i < object_count; i++)
		if (vaddr - objects[i].address < objects[i].bytes) {
			stored_into(cpu, (u64)(uintptr_t)insn, &objects[i],
				    vaddr - objects[i].address, bytes);
			return;
		}
}

/* ---- instructions ---------------------------------------------------------------------------- */

static u16 left_by[PLAT_CPU_MAX];

static struct vcpu_exit exit_of(u16 who)
{
	for (unsigned i = 0; i < object_count; i++)
		if (objects[i].kind == A_VCPU && objects[i].who == who) {
			const struct vcpu *vcpu = at(objects[i].address, sizeof(*vcpu));

			return vcpu ? vcpu->exit : (struct vcpu_exit){0};
		}
	return (struct vcpu_exit){0};
}

static u32 page_of(const struct vcpu_exit *exit)
{
	return (u32)(exit->address >> 12);
}

static void vector_executed(unsigned told, void *vector)
{
	unsigned cpu = running_cpu(told);

	if (cpu >= PLAT_CPU_MAX)
		return;
	left_by[cpu] = loaded[cpu];
	record(cpu, 0, EXIT, loaded[cpu], 0, (u64)(uintptr_t)vector);
}

static void eret_executed(unsigned told, void *insn)
{
	unsigned cpu = running_cpu(told);
	struct vcpu_exit exit;

	if (cpu >= PLAT_CPU_MAX)
		return;
	exit = exit_of(left_by[cpu]); /* before objects of a VM that has ended are forgotten */
	if (stale || !object_count)
		look_around(cpu);
	look_at_cpus(cpu, (u64)(uintptr_t)insn);
	record(cpu, (u64)(uintptr_t)insn, ENTRY, loaded[cpu], page_of(&exit), exit.esr);
}

static void el2_waits(unsigned told, void *insn)
{
	unsigned cpu = running_cpu(told);
	struct vcpu_exit exit;

	if (cpu >= PLAT_CPU_MAX)
		return;
	if (stale)
		look_around(cpu);
	waited[cpu] = idle[cpu] = 1;
	exit = exit_of(left_by[cpu]);
	record(cpu, (u64)(uintptr_t)insn, IDLE, NOBODY, page_of(&exit), exit.esr);
}

static void guest_waits(unsigned told, void *insn)
{
	unsigned cpu = running_cpu(told);

	(void)insn;
	if (cpu < PLAT_CPU_MAX)
		waited[cpu] = 1;
}

static void guest_acknowledges(unsigned told, void *insn)
{
	unsigned cpu = running_cpu(told);

	if (cpu < PLAT_CPU_MAX)
		record(cpu, (u64)(uintptr_t)insn, ACKNOWLEDGE, loaded[cpu], 0, 0);
}

static void guest_completes(unsigned told, void *insn)
{
	unsigned cpu = running_cpu(told);

	if (cpu < PLAT_CPU_MAX)
		record(cpu, (u64)(uintptr_t)insn, COMPLETE, loaded[cpu], 0, 0);
}

/* GICv2: the virtual CPU interface is memory. */
static void guest_accesses(unsigned cpu, uint32_t info, uint64_t vaddr, void *insn)
{
	const struct plugin_address *address = qemu_plugin_get_hwaddr(info, vaddr);
	u64 physical;

	if (!address || !qemu_plugin_hwaddr_is_io(address))
		return;
	physical = qemu_plugin_hwaddr_phys_addr(address);
	if (physical == GICV_IAR)
		guest_acknowledges(cpu, insn);
	else if (physical == GICV_EOIR)
		guest_completes(cpu, insn);
}

static void block_executed(unsigned told, void *insns)
{
	unsigned cpu = running_cpu(told);

	if (cpu >= PLAT_CPU_MAX)
		return;
	block_start[cpu] = retired;
	own_start[cpu] = own[cpu];
	retired += (u64)(uintptr_t)insns;
	own[cpu] += (u64)(uintptr_t)insns;
	if (!waited[cpu])
		return;
	waited[cpu] = 0;
	ask_for_time(cpu);
	if (idle[cpu])
		record(cpu, 0, AWAKE, NOBODY, 0, 0);
	idle[cpu] = 0;
}

static void watch_el2(struct plugin_insn *insn, u64 pc, void *index)
{
	uint32_t word = word_of(insn);
	u64 vector = pc - vectors;

	if (vector < 0x800 && vector >= 0x400 && vector % 0x80 == 0)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, vector_executed, PLUGIN_NO_REGISTERS,
						       (void *)(uintptr_t)vector);
	if (word == ERET)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, eret_executed, PLUGIN_NO_REGISTERS,
						       index);
	if (word == WFI)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, el2_waits, PLUGIN_NO_REGISTERS, index);
	qemu_plugin_register_vcpu_mem_cb(insn, el2_stored, PLUGIN_NO_REGISTERS, PLUGIN_WRITE,
					 index);
}

static void watch_guest(struct plugin_insn *insn, void *index)
{
	uint32_t word = word_of(insn), system = word & ~RT;

	if (word == WFI)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, guest_waits, PLUGIN_NO_REGISTERS,
						       index);
	if (system == IAR0 || system == IAR1)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, guest_acknowledges,
						       PLUGIN_NO_REGISTERS, index);
	if (system == EOIR0 || system == EOIR1)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, guest_completes, PLUGIN_NO_REGISTERS,
						       index);
	if (gic == 2)
		qemu_plugin_register_vcpu_mem_cb(insn, guest_accesses, PLUGIN_NO_REGISTERS,
						 PLUGIN_READ_WRITE, index);
}

static void translated(plugin_id id, struct plugin_block *block)
{
	u64 pc = qemu_plugin_tb_vaddr(block);
	size_t count = qemu_plugin_tb_n_insns(block);
	int el2 = is_el2(pc, qemu_plugin_tb_get_insn(block, 0));

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(block, block_executed, PLUGIN_NO_REGISTERS,
					     (void *)(uintptr_t)count);
	for (size_t i = 0; i < count; i++) {
		struct plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);

		if (el2)
			watch_el2(insn, pc + 4 * i, (void *)(uintptr_t)i);
		else
			watch_guest(insn, (void *)(uintptr_t)i);
	}
}

static void ended(plugin_id id, void *data)
{
	(void)id;
	(void)data;
	block_start[0] = retired;
	record(0, 0, AWAKE, NOBODY, 0, 0); /* the time of the end */
	fclose(out);
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_info *info, int argc, char **argv)
{
	const struct number numbers[] = {
		{"image_start", &image_start},
		{"image_end", &image_end},
		{"vectors", &vectors},
		{"vms", &vms_at},
		{"cpus", &cpus_at},
		{"ram", &ram_bytes},
		{"from", &from},
		{"until", &until},
		{"records", &record_max},
	};
	pthread_t thread;

	(void)info;
	for (int i = 0; i < argc; i++) {
		take_number(argv[i], numbers, ARRAY_SIZE(numbers));
		if (!strncmp(argv[i], "gic=", 4))
			gic = atoi(argv[i] + 4);
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "wb");
	}
	if (!out || !image_end || !vectors || !vms_at || !cpus_at || !ram_bytes)
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(loaded); i++) {
		loaded[i] = NOBODY;
		slice_armed[i] = NEVER;
	}
	*(void **)&clock_ns = dlsym(RTLD_DEFAULT, "qemu_clock_get_ns");
	if (clock_ns && pthread_create(&thread, NULL, tell_time, NULL))
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
