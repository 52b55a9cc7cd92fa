// SPDX-License-Identifier: MIT
/*
 * Timers of vCPUs that move between CPUs, with real threads, under ThreadSanitizer.
 *
 * Three threads are CPUs. Each takes one vCPU after the other, loads its timers, lets its guest write
 * CNTV and CNTP, saves them, and takes its timer interrupt: for deadlines that it has armed, of
 * vCPUs that meanwhile run elsewhere, or are reset. In the end no deadline is lost or on two queues,
 * and the line of each CNTP is what its registers say.
 */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "lib/types.h"

/* The registers of a CPU, by their numbers below. */
enum {
	cntpct_el0,
	cntv_ctl_el0,
	cntv_cval_el0,
	cntp_ctl_el0,
	cnthp_ctl_el2,
	cnthp_cval_el2,
	cntvoff_el2,
	cntkctl_el1,
	REGISTERS
};

static __thread u64 registers[REGISTERS];
static u64 now;

static u64 register_read(int number)
{
	u64 count = __atomic_add_fetch(&now, 1, __ATOMIC_RELAXED);
	u64 value = number == cntpct_el0 ? count : registers[number];

	if (number == cntv_ctl_el0 && count - registers[cntvoff_el2] >= registers[cntv_cval_el0])
		value |= 4; /* ISTATUS */
	return value;
}

static void isb(void)
{
}

#define read_sysreg(name) register_read(name)
#define write_sysreg(name, value) (registers[name] = (value))

#include "deadline.c"
#include "ptimer.c"
#include "vtimer.c"

#define CPUS 3
#define VCPUS 6
#define ROUNDS 20000
#define SOON 400 /* ticks */

/*
 * vtimer_expired() may look at what another CPU is saving or resetting: whole words, each read once.
 * If it guesses wrong it raises a line that is withdrawn at the next entry (vgic_resample()); a
 * deadline that is really due is armed again by that save. A lock would cost each world switch. All
 * four are named, since ThreadSanitizer may have lost the stack of the one that came first.
 */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race_top:vtimer_expired\nrace_top:vtimer_save\nrace_top:vtimer_stop\n"
	       "race_top:vtimer_reset\n";
}

struct cpu cpus[PLAT_CPU_MAX];
static struct vm vm;
static struct vcpu vcpus[VCPUS];
static u32 is_taken[VCPUS];
static bool lines[VCPUS]; /* of CNTP; vgic.lock protects them */
static u32 raised;

static __thread struct cpu *here;
static __thread u64 random_state;

/* ---- what the layers around it would be ---- */

struct cpu *this_cpu(void)
{
	return here;
}

u64 counter_read(void)
{
	return register_read(cntpct_el0);
}

u64 counter_frequency(void)
{
	return 1000;
}

void console_lose_patience(void)
{
}

void vgic_set_line(struct vcpu *vcpu, u32 intid, bool level)
{
	spin_lock(&vm.vgic.lock);
	if (intid == PLAT_INTID_CNTP)
		lines[vcpu->index] = level;
	raised += level;
	spin_unlock(&vm.vgic.lock);
}

void vgic_map_hw(struct vcpu *vcpu, u32 intid, u32 pintid, bool (*is_asserted)(struct vcpu *))
{
	CHECK(intid == pintid);
}

bool vgic_is_live(struct vcpu *vcpu, u32 intid)
{
	return false;
}

void gic_set_active(u32 intid, bool active)
{
}

/* ---- what happens ---- */

static u64 draw(u64 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1du % below;
}

static void write_cntp(struct vcpu *vcpu)
{
	struct sysreg_access access = {.is_write = true, .value = register_read(cntpct_el0)};

	access.value += draw(SOON);
	cntp_cval(vcpu, &access);
	access.value = draw(4);
	cntp_ctl(vcpu, &access);
}

static void run(struct vcpu *vcpu)
{
	vcpu->cpu = here;
	here->vcpu = vcpu;
	vtimer_load(vcpu);
	for (u64 n = draw(4); n; n--) {
		registers[cntv_cval_el0] = register_read(cntpct_el0) + draw(SOON);
		registers[cntv_ctl_el0] = draw(4);
		write_cntp(vcpu);
		cnthp_interrupt(here, PLAT_INTID_CNTHP);
	}
	vtimer_save(vcpu);
	here->vcpu = NULL;
}

static void *cpu_main(void *cpu)
{
	here = cpu;
	random_state = (check_seed() + here->index) * 0x9e3779b97f4a7c15u | 1;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct vcpu *vcpu = &vcpus[draw(VCPUS)];

		if (!__atomic_exchange_n(&is_taken[vcpu->index], 1, __ATOMIC_ACQUIRE)) {
			if (draw(50))
				run(vcpu);
			else
				vtimer_reset(vcpu);
			__atomic_store_n(&is_taken[vcpu->index], 0, __ATOMIC_RELEASE);
		}
		cnthp_interrupt(here, PLAT_INTID_CNTHP);
	}
	return NULL;
}

static void check_queue(struct cpu *cpu)
{
	struct list *node;
	u64 last = 0;

	list_for_each (node, &cpu->deadlines) {
		const struct deadline *deadline = container_of(node, struct deadline, node);

		CHECK(deadline->cpu == cpu && node->next->prev == node);
		CHECK(deadline->ticks >= last);
		last = deadline->ticks;
	}
}

/* Nobody moves any more, and all that was armed is due. */
static void check_end(void)
{
	for (unsigned i = 0; i < CPUS; i++)
		check_queue(&cpus[i]);
	now += 10 * SOON;
	for (unsigned i = 0; i < CPUS; i++) {
		here = &cpus[i];
		cnthp_interrupt(here, PLAT_INTID_CNTHP);
		CHECK(list_is_empty(&cpus[i].deadlines));
	}
	for (unsigned v = 0; v < VCPUS; v++) {
		const struct vtimer *timers = &vcpus[v].vtimer;

		CHECK(!deadline_is_armed(&timers->cntv.deadline));
		CHECK(!deadline_is_armed(&timers->cntp.deadline));
		CHECK(lines[v] == (timers->cntp.ctl == CNT_CTL_ENABLE));
	}
}

int main(void)
{
	pthread_t threads[CPUS];

	vm.vcpu_count = VCPUS;
	for (u32 v = 0; v < VCPUS; v++) {
		vm.vcpus[v] = &vcpus[v];
		vcpus[v].vm = &vm;
		vcpus[v].index = v;
	}
	CHECK(vtimer_vm_create(&vm) == 0);
	for (u32 i = 0; i < CPUS; i++) {
		cpus[i].index = i;
		here = &cpus[i];
		deadline_init_cpu(here);
	}
	for (u32 i = 0; i < CPUS; i++)
		CHECK(!pthread_create(&threads[i], NULL, cpu_main, &cpus[i]));
	for (u32 i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	check_end();
	CHECK(raised > 0);
	return check_finish();
}
