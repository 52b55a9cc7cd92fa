// SPDX-License-Identifier: MIT
/*
 * Virtual interrupts between vCPUs that run, and move, on several CPUs, with real threads, under
 * ThreadSanitizer.
 *
 * Three threads are CPUs, each with list registers that no other thread can reach. Each loads one of
 * four vCPUs, whose guest acknowledges, completes, sends SGIs to the others, asks what is pending at
 * another one, and routes an SPI elsewhere; then it saves the vCPU, for another CPU to load. A fourth
 * thread is the device behind the SPI: it raises its line, and the guest's handler lowers it. What must
 * hold: each SGI is acknowledged behind its sending, by itself or with later ones; no interrupt of the
 * device is lost; who asks another CPU waits holding no lock.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "check.h"
#include "el2_boot.h"
#include "internal.h"
#include "lib/bits.h"
#include "page_alloc.h"

#define CPUS 3
#define VCPUS 4
#define LRS 2 /* fewer than may be pending: the others have to wait in memory */
#define SGIS 4
#define SPI 40
#define ROUNDS 6000
#define PATIENCE_SECONDS 60

struct cpu cpus[PLAT_CPU_MAX];
static struct vm vm;
static struct vcpu vcpus[VCPUS];
static u32 is_taken[VCPUS];
static u32 sent[VCPUS][SGIS], seen[VCPUS][SGIS]; /* seen: as many as had been sent then */
static u32 asks; /* the device wants its interrupt handled */
static u32 is_over, sgis, served, settled;

static __thread struct cpu *here;
static __thread u64 random_state;
static __thread u64 lrs[LRS];
static __thread u64 lrs_hcr;

/* ---- what the layers around it would be ---- */

struct cpu *this_cpu(void)
{
	return here;
}

/* A CPU looks at its requests again and again: nobody needs to be woken. */
void vcpu_wake(struct vcpu *vcpu)
{
}

bool vcpu_kick(const struct vcpu *vcpu)
{
	return false;
}

bool vcpu_is_off(struct vcpu *vcpu)
{
	return false;
}

pa_t page_alloc_zeroed(unsigned order)
{
	return PA((u64)calloc(1, PAGE_SIZE << order));
}

void page_free(pa_t pa, unsigned order)
{
	free((void *)pa.pa);
}

int stage2_map(struct vm *map, ipa_t ipa, pa_t pa, u64 bytes, unsigned prot)
{
	return 0;
}

void cpu_relax(void)
{
	__atomic_fetch_add(&settled, 1, __ATOMIC_RELAXED);
	sched_yield();
}

static u64 fake_read_lr(unsigned n)
{
	return lrs[n];
}

static void fake_write_lr(unsigned n, u64 value)
{
	CHECK(n < LRS);
	lrs[n] = value;
}

static u64 fake_read_hcr(void)
{
	return lrs_hcr;
}

static void fake_write_hcr(u64 value)
{
	lrs_hcr = value;
}

static u64 fake_vmcr(void)
{
	return ICH_VMCR_EL2_VENG1 | 0xf8UL << ICH_VMCR_EL2_VPMR_SHIFT;
}

static void fake_save(struct vgic_cpu *to)
{
	to->vmcr = fake_vmcr();
	to->ap0r = to->ap1r = 0;
}

static void fake_load(const struct vgic_cpu *from)
{
}

static void fake_set_active(u32 intid, bool active)
{
	CHECK(!"a physical interrupt is touched");
}

static struct gic_driver fake = {
	.version = 3,
	.intid_mask = 0xffffff,
	.lr_count = LRS,
	.completes_hw = true,
	.read_lr = fake_read_lr,
	.write_lr = fake_write_lr,
	.read_hcr = fake_read_hcr,
	.write_hcr = fake_write_hcr,
	.read_vmcr = fake_vmcr,
	.save = fake_save,
	.load = fake_load,
	.set_active = fake_set_active,
};
struct gic_driver *gic = &fake;

/* ---- guests ---- */

static u64 draw(u64 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1du % below;
}

/* Acknowledge what is pending in a list register, handle it, complete it. Return: whether one was. */
static bool take_interrupt(struct vcpu *vcpu)
{
	for (unsigned n = 0; n < LRS; n++) {
		u32 intid = lrs[n] & ICH_LR_EL2_VINTID_MASK;

		if (!(lrs[n] & ICH_LR_EL2_STATE_PENDING))
			continue;
		lrs[n] = (lrs[n] & ~ICH_LR_EL2_STATE_PENDING) | ICH_LR_EL2_STATE_ACTIVE;
		if (intid < SGIS) {
			seen[vcpu->index][intid] =
				__atomic_load_n(&sent[vcpu->index][intid], __ATOMIC_ACQUIRE);
		} else {
			CHECK(intid == SPI);
			vgic_set_line(vcpu, SPI, false);
			__atomic_store_n(&asks, 0, __ATOMIC_RELEASE);
		}
		yield_sometimes();
		/* vgic_set_line() may have folded and found it active: then it is refilled as such. */
		if ((lrs[n] & ICH_LR_EL2_VINTID_MASK) == intid)
			lrs[n] &= ~ICH_LR_EL2_STATE_ACTIVE;
		return true;
	}
	return false;
}

static void send_sgi(struct vcpu *vcpu)
{
	u64 to = draw(VCPUS), intid = draw(SGIS);
	struct sysreg_access access = {
		.is_write = true,
		.value = intid << ICC_SGI1R_EL1_INTID_SHIFT | BIT(to),
	};

	__atomic_fetch_add(&sent[to][intid], 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&sgis, 1, __ATOMIC_RELAXED);
	CHECK(icc_sgi1r(vcpu, &access) == TRAP_SKIP_INSN);
}

static void use_registers(struct vcpu *vcpu)
{
	static const struct irq_bank pending = {IRQ_PENDING, BANK_SET, 0, 0, GIC_PRIVATE_COUNT};
	static const struct irq_bank route = {IRQ_ROUTE, BANK_PLAIN, 0, GIC_PRIVATE_COUNT,
					      GUEST_INTID_COUNT};

	spin_lock(&vm.device_lock);
	if (draw(2))
		vmm_irq_bank_read(&vcpus[draw(VCPUS)], &pending, 0, 4);
	else
		vmm_irq_bank_write(vcpu, &route, 8 * SPI, 8, draw(VCPUS));
	spin_unlock(&vm.device_lock);
}

static void enter(struct vcpu *vcpu)
{
	while (__atomic_fetch_and(&vcpu->requests, ~(u32)REQ_VGIC, __ATOMIC_ACQUIRE) & REQ_VGIC)
		vgic_flush(vcpu);
}

/* A completion that EL2 wants to know of, or a list that is longer than the list registers. */
static void maintenance(struct vcpu *vcpu)
{
	spin_lock(&vm.vgic.lock);
	vgic_pull(vcpu);
	spin_unlock(&vm.vgic.lock);
}

static void load(struct vcpu *vcpu)
{
	vcpu->cpu = here;
	here->vcpu = vcpu;
	vcpu->state = VCPU_RUNNING;
	vgic_vcpu_load(vcpu);
	enter(vcpu);
}

static void save(struct vcpu *vcpu)
{
	vgic_vcpu_save(vcpu);
	vcpu->state = VCPU_RUNNABLE;
	here->vcpu = NULL;
}

static void run(struct vcpu *vcpu)
{
	load(vcpu);
	for (u64 n = 1 + draw(8); n; n--) {
		if (take_interrupt(vcpu))
			maintenance(vcpu);
		else if (draw(4))
			send_sgi(vcpu);
		else
			use_registers(vcpu);
		enter(vcpu);
	}
	save(vcpu);
}

static void *cpu_main(void *cpu)
{
	here = cpu;
	random_state = (check_seed() + here->index) * 0x9e3779b97f4a7c15u | 1;
	for (u32 round = 0; round < ROUNDS || !__atomic_load_n(&is_over, __ATOMIC_RELAXED);
	     round++) {
		struct vcpu *vcpu = &vcpus[draw(VCPUS)];

		if (__atomic_exchange_n(&is_taken[vcpu->index], 1, __ATOMIC_ACQUIRE))
			continue;
		run(vcpu);
		__atomic_store_n(&is_taken[vcpu->index], 0, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The device, on a CPU without vCPUs. */
static void raise_interrupts(void)
{
	for (u32 n = 0; n < ROUNDS / 20; n++) {
		time_t late = time(NULL) + PATIENCE_SECONDS;

		__atomic_store_n(&asks, 1, __ATOMIC_RELEASE);
		vgic_set_line(&vcpus[0], SPI, true);
		while (__atomic_load_n(&asks, __ATOMIC_ACQUIRE)) {
			CHECK(time(NULL) < late);
			sched_yield();
		}
		served++;
	}
}

static void create(void)
{
	vm.vcpu_count = VCPUS;
	for (u32 v = 0; v < VCPUS; v++) {
		vm.vcpus[v] = &vcpus[v];
		vcpus[v].vm = &vm;
		vcpus[v].index = v;
		vcpus[v].vmpidr = v;
		vcpus[v].cpu = here;
		vcpus[v].state = VCPU_RUNNABLE;
	}
	CHECK(vgic_vm_create(&vm) == 0);
	vm.vgic.ctlr = GICD_CTLR_ENABLE_GRP1;
	for (u32 v = 0; v < VCPUS; v++) {
		vgic_vcpu_reset(&vcpus[v]);
		vcpus[v].vgic.vmcr = fake_vmcr();
		for (u32 intid = 0; intid < SGIS; intid++) {
			struct vgic_irq *irq = vgic_irq_find(&vcpus[v], intid);

			irq->enabled = irq->group1 = true;
			irq->priority = 0x80;
		}
	}
	vgic_irq_find(&vcpus[0], SPI)->enabled = true;
	vgic_irq_find(&vcpus[0], SPI)->group1 = true;
	vgic_irq_find(&vcpus[0], SPI)->priority = 0x80;
}

int main(void)
{
	pthread_t threads[CPUS];

	here = &cpus[CPUS];
	for (u32 i = 0; i <= CPUS; i++)
		cpus[i].index = i;
	create();
	for (u32 i = 0; i < CPUS; i++)
		CHECK(!pthread_create(&threads[i], NULL, cpu_main, &cpus[i]));
	raise_interrupts();
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	for (u32 i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	for (u32 v = 0; v < VCPUS; v++) {
		load(&vcpus[v]);
		while (take_interrupt(&vcpus[v])) {
			maintenance(&vcpus[v]);
			enter(&vcpus[v]);
		}
		save(&vcpus[v]);
		for (u32 intid = 0; intid < SGIS; intid++)
			CHECK(seen[v][intid] == sent[v][intid]);
	}
	printf("%u SGIs, %u of the device, %u waits: ", sgis, served, settled);
	CHECK(sgis > 1000 && settled > 0);
	return check_finish();
}
