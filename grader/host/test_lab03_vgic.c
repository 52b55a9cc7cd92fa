// SPDX-License-Identifier: MIT
/*
 * The virtual GIC against a model of the architecture.
 *
 * Below the code under test: a fake GIC, two CPUs whose virtual interfaces have up to four list
 * registers and behave as IHI 0069 says. Above it: guests that do random things to two vCPUs, which
 * move between the CPUs. Beside it: a model that knows nothing of list registers, only each
 * interrupt's state. After every action, what each loaded vCPU would acknowledge next must be what
 * the model says: nothing lost, nothing twice, highest priority first. The maintenance interrupt
 * may fire once an action, never again right after it was handled.
 */
#include <string.h>

#include "check.h"
#include "el2_boot.h"
#include "internal.h"
#include "lib/bits.h"
#include "page_alloc.h"

#define CPUS 2 /* and at most as many vCPUs */
#define LRS 4
#define ROUNDS 200000
#define IDLE 0x100
#define TIMER 27
#define NONE 1023
#define VMCR_VEOIM (1UL << 9) /* EOImode 1: priority drop and deactivation apart */

/* ---- what the layers around it would be ---- */

struct cpu cpus[PLAT_CPU_MAX];
static unsigned here;
static struct vm vm;
static struct vcpu vcpus[CPUS];
static unsigned vcpu_count;

struct cpu *this_cpu(void)
{
	return &cpus[here];
}

void vcpu_wake(struct vcpu *vcpu)
{
	if (vcpu->state == VCPU_BLOCKED)
		vcpu->state = VCPU_RUNNABLE;
}

bool vcpu_kick(const struct vcpu *vcpu)
{
	return vcpu->state == VCPU_RUNNING;
}

bool vcpu_is_off(struct vcpu *vcpu)
{
	return vcpu->state == VCPU_OFF;
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
	CHECK(map == &vm && ipa.ipa == GUEST_GICC_BASE && pa.pa == PLAT_GICV_BASE);
	CHECK_OF("3.8 vgic_vm_create(): one page of GICV, a device",
		 bytes == PAGE_SIZE && prot == (PROT_READ | PROT_WRITE | PROT_DEVICE));
	return 0;
}

/* ---- the fake GIC ---- */

static struct interface {
	u64 lr[LRS], hcr, vmcr;
	u32 ap[2];
	bool timer_active; /* the physical PPI */
} interfaces[CPUS];

static bool timer_line[CPUS]; /* of each vCPU */
static bool either_group; /* as QEMU, which raises VGrp0D when Group 1 is off; and as the manual */
static bool loading; /* the part of layer 4 in a world switch */

static u64 fake_read_lr(unsigned n)
{
	return interfaces[here].lr[n];
}

static void fake_write_lr(unsigned n, u64 value)
{
	CHECK(n < LRS);
	interfaces[here].lr[n] = value;
}

static u64 fake_read_hcr(void)
{
	return interfaces[here].hcr;
}

static void fake_write_hcr(u64 value)
{
	interfaces[here].hcr = value;
}

static u64 fake_read_vmcr(void)
{
	return interfaces[here].vmcr;
}

static void fake_save(struct vgic_cpu *to)
{
	to->vmcr = interfaces[here].vmcr;
	to->ap0r = interfaces[here].ap[0];
	to->ap1r = interfaces[here].ap[1];
}

static void fake_load(const struct vgic_cpu *from)
{
	interfaces[here].vmcr = from->vmcr;
	interfaces[here].ap[0] = (u32)from->ap0r;
	interfaces[here].ap[1] = (u32)from->ap1r;
}

static void fake_set_active(u32 intid, bool active)
{
	CHECK(intid == TIMER);
	CHECK(!active || loading); /* by layer 4 alone */
	interfaces[here].timer_active = active;
}

static struct gic_driver fake = {
	.intid_mask = 0xffffff,
	.lr_count = LRS,
	.read_lr = fake_read_lr,
	.write_lr = fake_write_lr,
	.read_hcr = fake_read_hcr,
	.write_hcr = fake_write_hcr,
	.read_vmcr = fake_read_vmcr,
	.save = fake_save,
	.load = fake_load,
	.set_active = fake_set_active,
};
struct gic_driver *gic = &fake;

static u32 lr_intid(u64 lr)
{
	return lr & ICH_LR_EL2_VINTID_MASK;
}

static u32 lr_priority(u64 lr)
{
	return lr >> ICH_LR_EL2_PRIORITY_SHIFT & 0xff;
}

static u32 lr_state(u64 lr)
{
	return (u32)(lr >> 62);
}

static u32 running_priority(const struct interface *i)
{
	u32 levels = i->ap[0] | i->ap[1];

	return levels ? (u32)__builtin_ctz(levels) << 3 : IDLE;
}

/* The list register that an acknowledge would take, or -1. */
static int fake_best(const struct interface *i)
{
	int best = -1;

	for (int n = 0; n < LRS; n++) {
		u64 lr = i->lr[n];
		bool group1 = lr & ICH_LR_EL2_GROUP;

		if (lr_state(lr) != 1 || !(i->hcr & ICH_HCR_EL2_EN) ||
		    !(i->vmcr & (group1 ? ICH_VMCR_EL2_VENG1 : ICH_VMCR_EL2_VENG0)) ||
		    lr_priority(lr) >= (i->vmcr >> ICH_VMCR_EL2_VPMR_SHIFT & 0xff) ||
		    lr_priority(lr) >= running_priority(i))
			continue;
		if (best < 0 || lr_priority(lr) < lr_priority(i->lr[best]) ||
		    (lr_priority(lr) == lr_priority(i->lr[best]) &&
		     lr_intid(lr) < lr_intid(i->lr[best])))
			best = n;
	}
	return best;
}

static void fake_deactivate(struct interface *i, u32 intid)
{
	for (int n = 0; n < LRS; n++) {
		if (lr_intid(i->lr[n]) != intid || !(i->lr[n] & ICH_LR_EL2_STATE_ACTIVE))
			continue;
		i->lr[n] &= ~ICH_LR_EL2_STATE_ACTIVE;
		if (i->lr[n] & ICH_LR_EL2_HW)
			i->timer_active = false;
		return;
	}
	i->hcr += 1UL << ICH_HCR_EL2_EOICOUNT_SHIFT;
}

static void fake_drop(struct interface *i)
{
	u32 both = i->ap[0] | i->ap[1];
	u32 lowest = both & -both;

	i->ap[0] &= ~lowest;
	i->ap[1] &= ~lowest;
}

static bool fake_maintenance(const struct interface *i)
{
	bool pending = false, completed = false;
	u64 off = ~i->vmcr;

	if (either_group && (off & ICH_VMCR_EL2_VENG1))
		off |= ICH_VMCR_EL2_VENG0;
	if (!(i->hcr & ICH_HCR_EL2_EN))
		return false;
	for (int n = 0; n < LRS; n++) {
		pending |= lr_state(i->lr[n]) == 1;
		completed |= lr_state(i->lr[n]) == 0 && !(i->lr[n] & ICH_LR_EL2_HW) &&
			     (i->lr[n] & ICH_LR_EL2_EOI);
	}
	return completed || ((i->hcr & ICH_HCR_EL2_NPIE) && !pending) ||
	       ((i->hcr & ICH_HCR_EL2_LRENPIE) && i->hcr >> ICH_HCR_EL2_EOICOUNT_SHIFT & 0x1f) ||
	       ((i->hcr & ICH_HCR_EL2_VGRP0EIE) && (i->vmcr & ICH_VMCR_EL2_VENG0)) ||
	       ((i->hcr & ICH_HCR_EL2_VGRP0DIE) && (off & ICH_VMCR_EL2_VENG0)) ||
	       ((i->hcr & ICH_HCR_EL2_VGRP1EIE) && (i->vmcr & ICH_VMCR_EL2_VENG1)) ||
	       ((i->hcr & ICH_HCR_EL2_VGRP1DIE) && (off & ICH_VMCR_EL2_VENG1));
}

/* ---- the model ---- */

static const u32 intids[] = {0, 1, 2, 20, 21, TIMER, 32, 33, 34, 35, 40, 41, 63, 64, 200, 255};
#define INTIDS ARRAY_SIZE(intids)
#define HOT 7

struct state {
	bool enabled, latched, line, active, edge, group1;
	u8 priority, sources, active_source;
	unsigned route, holder;
};

static struct state private_states[CPUS][GIC_PRIVATE_COUNT], spi_states[GUEST_INTID_COUNT];
static u32 model_groups;

/* What each vCPU's guest has acknowledged: not yet dropped, and (EOImode 1) not yet deactivated. */
static struct guest {
	u32 stack[32], depth;
	u32 dropped[64], dropped_count;
	u32 priorities[32];
	int cpu; /* that it is loaded on, or -1 */
} guests[CPUS];

static struct state *state_of(unsigned v, u32 intid)
{
	return intid < GIC_PRIVATE_COUNT ? &private_states[v][intid] : &spi_states[intid];
}

static bool counts_sources(u32 intid)
{
	return fake.version == 2 && intid < GIC_SGI_COUNT;
}

static bool model_pending(const struct state *s)
{
	return s->latched || s->sources || (s->line && !s->edge);
}

static u64 model_vmcr(unsigned v)
{
	return guests[v].cpu < 0 ? vcpus[v].vgic.vmcr : interfaces[guests[v].cpu].vmcr;
}

static u32 model_best(unsigned v)
{
	u64 vmcr = model_vmcr(v);
	u32 running = guests[v].depth ? guests[v].priorities[guests[v].depth - 1] : IDLE;
	u32 best = NONE, best_priority = IDLE;

	for (unsigned n = 0; n < INTIDS; n++) {
		const struct state *s = state_of(v, intids[n]);
		u32 group = s->group1 ? 2 : 1;

		if (!s->enabled || s->active || !model_pending(s) || !(model_groups & group) ||
		    !(vmcr & group) || s->priority >= (vmcr >> ICH_VMCR_EL2_VPMR_SHIFT & 0xff) ||
		    s->priority >= running || s->priority >= best_priority)
			continue;
		if (intids[n] >= GIC_PRIVATE_COUNT && s->route != v)
			continue;
		best = intids[n];
		best_priority = s->priority;
	}
	return best;
}

/* ---- EL2 between two instructions of the guests ---- */

static bool timer_asserted(struct vcpu *vcpu)
{
	CHECK_OF("3.4, 3.6: is_asserted() of a vCPU that is not here (vgic_is_here())",
		 vcpu->cpu == this_cpu());
	return timer_line[vcpu->index];
}

static void enter(struct vcpu *vcpu)
{
	u32 requests = vcpu->requests;

	vcpu->requests = 0;
	if (requests & REQ_VGIC)
		vgic_flush(vcpu);
}

/* The CPU that waits holds no lock: the other one, which was told to, comes by. */
void cpu_relax(void)
{
	unsigned waits = here, other = !here;

	CHECK(!spin_is_locked(&vm.device_lock) && !spin_is_locked(&vm.vgic.lock));
	CHECK(cpus[other].vcpu && (cpus[other].vcpu->requests & REQ_VGIC));
	CHECK(!cpus[waits].vcpu->vgic.loaded);
	here = other;
	enter(cpus[other].vcpu);
	here = waits;
}

static void settle_cpu(unsigned cpu)
{
	struct vcpu *vcpu = cpus[cpu].vcpu;

	here = cpu;
	if (!vcpu)
		return;
	for (unsigned round = 0;; round++) {
		bool maintenance = fake_maintenance(&interfaces[cpu]);
		bool timer = timer_line[vcpu->index] && !interfaces[cpu].timer_active;

		if (!maintenance && !timer && !vcpu->requests)
			return;
		CHECK_OF("3.5 vgic_choose_overflow(): a storm, what is asked for holds at once",
			 round < 4);
		if (maintenance)
			vgic_maintenance(&cpus[cpu], PLAT_INTID_MAINTENANCE);
		CHECK(!fake_maintenance(&interfaces[cpu]));
		if (timer) {
			interfaces[cpu].timer_active = true;
			vgic_set_line(vcpu, TIMER, true);
		}
		enter(vcpu);
		CHECK(!fake_maintenance(&interfaces[cpu]));
	}
}

static void check_list(const struct vcpu *vcpu)
{
	const struct vgic_irq *previous = NULL;
	struct list *node;

	list_for_each (node, &vcpu->vgic.ap_list) {
		const struct vgic_irq *irq = container_of(node, struct vgic_irq, node);

		CHECK_OF("3.3 vgic_irq_relist(): irq->vcpu has the ap_list", irq->vcpu == vcpu);
		CHECK(!previous || previous->priority < irq->priority ||
		      (previous->priority == irq->priority && previous->intid < irq->intid));
		previous = irq;
	}
}

static void settle(void)
{
	unsigned was = here;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			settle_cpu(cpu);
	}
	for (unsigned v = 0; v < vcpu_count; v++) {
		int n = guests[v].cpu < 0 ? -1 : fake_best(&interfaces[guests[v].cpu]);

		check_list(&vcpus[v]);
		if (guests[v].cpu < 0)
			continue;
		CHECK_OF("3.2 to 3.5: the interrupt that the guest is signalled, -1 for none",
			 (n < 0 ? NONE : lr_intid(interfaces[guests[v].cpu].lr[n])) ==
				 model_best(v));
	}
	here = was;
}

/* ---- actions ---- */

static void bank(unsigned v, enum irq_field field, enum irq_bank_style style, u32 intid, u64 value)
{
	const struct irq_bank b = {(u8)field, (u8)style, 0, 0, GUEST_INTID_COUNT};

	switch (field) {
	case IRQ_PRIORITY:
	case IRQ_TARGETS:
	case IRQ_SOURCES:
		vmm_irq_bank_write(&vcpus[v], &b, intid, 1, value);
		break;
	case IRQ_CONFIG: {
		u64 old = vmm_irq_bank_read(&vcpus[v], &b, intid / 16 * 4, 4);

		old &= ~(3UL << intid % 16 * 2);
		vmm_irq_bank_write(&vcpus[v], &b, intid / 16 * 4, 4, old | value << intid % 16 * 2);
		break;
	}
	case IRQ_GROUP: {
		u64 old = vmm_irq_bank_read(&vcpus[v], &b, intid / 32 * 4, 4);

		old &= ~(1UL << intid % 32);
		vmm_irq_bank_write(&vcpus[v], &b, intid / 32 * 4, 4, old | value << intid % 32);
		break;
	}
	case IRQ_ROUTE:
		vmm_irq_bank_write(&vcpus[v], &b, intid * 8, 8, value);
		break;
	default:
		vmm_irq_bank_write(&vcpus[v], &b, intid / 32 * 4, 4, 1UL << intid % 32);
		break;
	}
}

static bool bank_bit(unsigned v, enum irq_field field, u32 intid)
{
	const struct irq_bank b = {(u8)field, BANK_SET, 0, 0, GUEST_INTID_COUNT};
	u64 bits;

	spin_lock(&vm.device_lock);
	bits = vmm_irq_bank_read(&vcpus[v], &b, intid / 32 * 4, 4);
	spin_unlock(&vm.device_lock);
	return bits >> intid % 32 & 1;
}

static void act_line(unsigned v, u32 intid, struct state *s)
{
	if (intid == TIMER || intid < GIC_SGI_COUNT)
		return;
	s->line = !s->line;
	if (s->line && s->edge)
		s->latched = true;
	vgic_set_line(&vcpus[v], intid, s->line);
}

static void act_latch(unsigned v, u32 intid, struct state *s)
{
	bool set = check_random() & 1;
	u8 source = (u8)(1 << check_below(vcpu_count));

	if (intid == TIMER)
		return;
	bank(v, IRQ_PENDING, set ? BANK_SET : BANK_CLEAR, intid, 0);
	if (!counts_sources(intid)) {
		s->latched = set;
		return;
	}
	/* For SGIs of a GICv2 that had no effect; these have registers of their own. */
	bank(v, IRQ_SOURCES, set ? BANK_SET : BANK_CLEAR, intid, source);
	s->sources = (u8)(set ? s->sources | source : s->sources & ~source);
}

static void act_enable(unsigned v, u32 intid, struct state *s)
{
	bool set = check_below(4);

	bank(v, IRQ_ENABLED, set ? BANK_SET : BANK_CLEAR, intid, 0);
	s->enabled = set || counts_sources(intid);
}

static void act_configure(unsigned v, u32 intid, struct state *s)
{
	bool edge = check_random() & 1;

	if (s->active)
		return;
	s->priority = (u8)(check_below(8) << 3 | (check_below(2) << 7));
	bank(v, IRQ_PRIORITY, BANK_PLAIN, intid, s->priority | 3);
	s->group1 = check_below(4);
	bank(v, IRQ_GROUP, BANK_PLAIN, intid, s->group1);
	if (intid >= GIC_SGI_COUNT && intid != TIMER) {
		s->edge = edge;
		bank(v, IRQ_CONFIG, BANK_PLAIN, intid, edge ? 2 : 0);
	}
}

static void act_route(u32 intid, struct state *s)
{
	if (intid < GIC_PRIVATE_COUNT)
		return;
	s->route = (unsigned)check_below(vcpu_count + 1); /* one of them does not exist */
	if (fake.version == 3)
		bank(0, IRQ_ROUTE, BANK_PLAIN, intid, s->route);
	else
		bank(0, IRQ_TARGETS, BANK_PLAIN, intid, 1UL << s->route);
}

/* An SGI from @v to a set of vCPUs. */
static void act_sgi(unsigned v)
{
	u32 intid = (u32)check_below(3), targets = (u32)check_below(1 << vcpu_count);
	struct sysreg_access access = {.is_write = true, .value = (u64)intid << 24 | targets};
	bool group1 = check_below(4);

	for (unsigned to = 0; to < vcpu_count; to++) {
		struct state *s = state_of(to, intid);

		if (!(targets >> to & 1))
			continue;
		if (fake.version == 2) {
			vmm_irq_send(&vcpus[to], &vcpus[v], intid);
			s->sources |= (u8)(1 << v);
		} else if (s->group1 == group1) {
			s->latched = true;
		}
	}
	if (fake.version == 3)
		CHECK((group1 ? icc_sgi1r : icc_sgi0r)(&vcpus[v], &access) == TRAP_SKIP_INSN);
}

static void guest_acknowledge(unsigned v, struct interface *i)
{
	int n = fake_best(i);
	u32 intid = n < 0 ? NONE : lr_intid(i->lr[n]);
	struct guest *g = &guests[v];
	struct state *s;

	CHECK_OF("3.2 to 3.5: the interrupt that the guest acknowledges", intid == model_best(v));
	if (n < 0)
		return;
	s = state_of(v, intid);
	CHECK_OF("3.3 vgic_encode(): priority and group",
		 lr_priority(i->lr[n]) == s->priority &&
			 !!(i->lr[n] & ICH_LR_EL2_GROUP) == s->group1);
	i->lr[n] ^= 3UL << 62;
	i->ap[s->group1] |= 1U << (s->priority >> 3);
	s->latched = false;
	if (counts_sources(intid)) {
		s->active_source = i->lr[n] >> ICH_LR_EL2_SOURCE_SHIFT & 7;
		CHECK_OF("3.3, 3.4, 3.7: an SGI from a requester that has not sent it",
			 s->sources >> s->active_source & 1);
		s->sources &= (u8) ~(1 << s->active_source);
	}
	s->active = true;
	s->holder = v;
	g->stack[g->depth] = intid;
	g->priorities[g->depth++] = s->priority;
}

static void guest_complete(unsigned v, struct interface *i)
{
	struct guest *g = &guests[v];
	u32 intid;

	if (!g->depth)
		return;
	intid = g->stack[--g->depth];
	fake_drop(i);
	if (i->vmcr & VMCR_VEOIM) {
		g->dropped[g->dropped_count++] = intid;
		return;
	}
	fake_deactivate(i, intid);
	state_of(v, intid)->active = false;
}

static void guest_deactivate(unsigned v, struct interface *i)
{
	struct guest *g = &guests[v];
	u32 at, intid;

	if (!g->dropped_count)
		return;
	at = (u32)check_below(g->dropped_count);
	intid = g->dropped[at];
	g->dropped[at] = g->dropped[--g->dropped_count];
	state_of(v, intid)->active = false;
	if (fake.version == 2 || i->hcr & ICH_HCR_EL2_TDIR)
		vmm_irq_deactivate(&vcpus[v], intid);
	else
		fake_deactivate(i, intid);
}

static void guest_interface(unsigned v, struct interface *i)
{
	static const u32 masks[] = {0xf8, 0xf8, 0xf8, 0x80, 0x20, 0};

	i->vmcr &= ~(0xffUL << ICH_VMCR_EL2_VPMR_SHIFT | 3);
	i->vmcr |= (u64)masks[check_below(ARRAY_SIZE(masks))] << ICH_VMCR_EL2_VPMR_SHIFT;
	i->vmcr |= check_below(5) ? 3 : check_below(4);
	if (!guests[v].depth && !guests[v].dropped_count)
		i->vmcr ^= check_random() & VMCR_VEOIM;
}

void gic_set_active(u32 intid, bool active)
{
	gic->set_active(intid, active);
}

static void unload(unsigned cpu)
{
	struct vcpu *vcpu = cpus[cpu].vcpu;
	bool live;

	here = cpu;
	if (!vcpu)
		return;
	live = timer_line[vcpu->index] && vgic_is_live(vcpu, TIMER);
	vgic_vcpu_save(vcpu);
	CHECK_OF("3.8 vgic_vcpu_save(): the interface is off", interfaces[cpu].hcr == 0);
	for (int n = 0; n < LRS; n++)
		CHECK_OF("3.8 vgic_vcpu_save(): list registers are empty",
			 interfaces[cpu].lr[n] == 0);
	memset(&interfaces[cpu], 0xff, sizeof(interfaces[cpu]));
	memset(interfaces[cpu].lr, 0, sizeof(interfaces[cpu].lr));
	interfaces[cpu].hcr = 0;
	cpus[cpu].vcpu = NULL;
	guests[vcpu->index].cpu = -1;
	vcpu->state = VCPU_BLOCKED;
	if (timer_line[vcpu->index] && !live) /* the background deadline is due at once */
		vgic_set_line(vcpu, TIMER, true);
}

static void load(unsigned cpu, unsigned v)
{
	if (cpus[cpu].vcpu || guests[v].cpu >= 0)
		return;
	here = cpu;
	vcpus[v].cpu = &cpus[cpu];
	vcpus[v].state = VCPU_RUNNING;
	cpus[cpu].vcpu = &vcpus[v];
	guests[v].cpu = (int)cpu;
	vgic_vcpu_load(&vcpus[v]);
	loading = true;
	gic_set_active(TIMER, vgic_is_live(&vcpus[v], TIMER));
	loading = false;
}

/*
 * The guest's own timer: the list register follows when it looks at the interrupt controller, or
 * when it comes back to a CPU.
 */
static void guest_timer(unsigned v)
{
	struct state *s = state_of(v, TIMER);
	unsigned cpu = (unsigned)guests[v].cpu;

	here = cpu;
	s->line = timer_line[v] = !timer_line[v];
	if (!s->line && check_below(2)) {
		unload(cpu);
		load(cpu, v);
		return;
	}
	CHECK_OF("3.6 vgic_irq_get(): a hw interrupt shows its line",
		 bank_bit(v, IRQ_PENDING, TIMER) == s->line);
}

/* Active state from outside; only with EOImode 1, where each completion is known by name. */
static void act_active(unsigned v, u32 intid, struct state *s)
{
	struct guest *g = &guests[v];

	if (guests[v].cpu < 0 || !(interfaces[guests[v].cpu].vmcr & VMCR_VEOIM))
		return;
	for (u32 n = 0; n < g->depth; n++) {
		if (g->stack[n] == intid)
			return;
	}
	for (u32 n = 0; n < g->dropped_count; n++) {
		if (g->dropped[n] != intid)
			continue;
		bank(v, IRQ_ACTIVE, BANK_CLEAR, intid, 0);
		s->active = false;
		g->dropped[n] = g->dropped[--g->dropped_count];
		return;
	}
	if (s->active || (intid >= GIC_PRIVATE_COUNT && s->route != v))
		return;
	bank(v, IRQ_ACTIVE, BANK_SET, intid, 0);
	s->active = true;
	g->dropped[g->dropped_count++] = intid;
}

static void act_switch(unsigned v)
{
	unsigned cpu = (unsigned)check_below(CPUS);

	if (guests[v].cpu >= 0)
		unload((unsigned)guests[v].cpu);
	else
		load(cpu, v);
}

/* What registers show of one interrupt, also if a list register of the other CPU has it. */
static void look_at(unsigned v, u32 intid)
{
	const struct state *s = state_of(v, intid);
	bool nobody_asks = intid >= GIC_PRIVATE_COUNT && guests[v].cpu < 0 && guests[!v].cpu >= 0;

	if (nobody_asks || (intid == TIMER && guests[v].cpu < 0))
		return;
	CHECK_OF("3.2, 3.4, 3.6: a read of ISPENDR",
		 bank_bit(v, IRQ_PENDING, intid) == model_pending(s));
	CHECK_OF("3.2, 3.4, 3.6: a read of ISACTIVER", bank_bit(v, IRQ_ACTIVE, intid) == s->active);
	CHECK_OF("3.6: a read of ISENABLER", bank_bit(v, IRQ_ENABLED, intid) == s->enabled);
}

/* WFI, and the registers: from the list registers of this CPU, or from memory. */
static void act_look(unsigned v)
{
	if (guests[v].cpu >= 0)
		here = (unsigned)guests[v].cpu;
	CHECK_OF("3.8 vgic_would_signal()",
		 vgic_has_deliverable(&vcpus[v]) == (model_best(v) != NONE));
	for (unsigned n = 0; n < INTIDS; n++)
		look_at(v, intids[n]);
	if (vcpu_count == 1 || guests[0].cpu < 0 || guests[1].cpu < 0)
		return;
	/* The other one's redistributor, while that one is loaded on its own CPU. */
	CHECK(bank_bit(!v, IRQ_ACTIVE, 20) == private_states[!v][20].active);
	CHECK(bank_bit(!v, IRQ_PENDING, 20) == model_pending(&private_states[!v][20]));
}

static void act_groups(unsigned v)
{
	model_groups = check_below(4) ? 3 : (u32)check_below(4);
	vmm_irq_set_groups(&vcpus[v], model_groups);
	CHECK_OF("3.6 vmm_irq_set_groups()", vmm_irq_groups(&vcpus[v]) == model_groups);
}

static void act_guest(unsigned v)
{
	struct interface *i = &interfaces[guests[v].cpu];

	here = (unsigned)guests[v].cpu;
	switch (check_below(12)) {
	case 0:
		guest_interface(v, i);
		break;
	case 1:
		guest_timer(v);
		break;
	case 2:
	case 3:
		guest_deactivate(v, i);
		break;
	case 4:
		/*
		 * The next access to the distributor exits before the maintenance interrupt does.
		 */
		guest_complete(v, i);
		bank_bit(v, IRQ_ACTIVE, 0);
		enter(&vcpus[v]);
		break;
	case 5:
	case 6:
	case 7:
		guest_complete(v, i);
		break;
	default:
		guest_acknowledge(v, i);
		break;
	}
}

/* What happens to few interrupts meets more often; which these are changes. */
static void act(unsigned hot)
{
	unsigned v = (unsigned)check_below(vcpu_count);
	u32 intid = intids[(hot + check_below(HOT)) % INTIDS];
	struct state *s = state_of(v, intid);

	here = (unsigned)check_below(CPUS);
	switch (check_below(40)) {
	case 0:
		act_switch(v);
		break;
	case 1:
		act_configure(v, intid, s);
		break;
	case 2:
		act_route(intid, s);
		break;
	case 3:
		act_groups(v);
		break;
	case 4:
	case 5:
		act_enable(v, intid, s);
		break;
	case 6:
	case 7:
		act_sgi(v);
		break;
	case 8:
		act_active(v, intid, s);
		break;
	case 9:
	case 10:
		act_look(v);
		break;
	case 11:
	case 12:
	case 13:
	case 14:
	case 15:
	case 16:
		act_line(v, intid, s);
		break;
	case 17:
	case 18:
	case 19:
		act_latch(v, intid, s);
		break;
	default:
		if (guests[v].cpu >= 0)
			act_guest(v);
	}
}

static void start(unsigned version, bool completes_hw)
{
	fake.version = version;
	fake.completes_hw = completes_hw;
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(guests, 0, sizeof(guests));
	memset(interfaces, 0, sizeof(interfaces));
	memset(private_states, 0, sizeof(private_states));
	memset(spi_states, 0, sizeof(spi_states));
	memset(timer_line, 0, sizeof(timer_line));
	model_groups = 0;
	vm.vcpu_count = vcpu_count;
	for (unsigned v = 0; v < CPUS; v++) {
		vm.vcpus[v] = &vcpus[v];
		vcpus[v].vm = &vm;
		vcpus[v].index = v;
		vcpus[v].vmpidr = 0x80000000 | v;
		vcpus[v].cpu = &cpus[v];
		cpus[v].vcpu = NULL;
		guests[v].cpu = -1;
	}
	CHECK(vgic_vm_create(&vm) == 0);
	for (unsigned v = 0; v < vcpu_count; v++) {
		vgic_vcpu_reset(&vcpus[v]);
		vgic_map_hw(&vcpus[v], TIMER, TIMER, timer_asserted);
		for (u32 intid = 0; intid < GIC_SGI_COUNT; intid++) {
			private_states[v][intid].edge = true;
			private_states[v][intid].enabled = version == 2;
		}
		load(v, v);
	}
	settle();
}

static void finish(void)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		unload(cpu);
	vgic_vm_destroy(&vm);
	for (unsigned v = 0; v < vcpu_count; v++)
		CHECK(list_is_empty(&vcpus[v].vgic.ap_list));
	vgic_set_line(&vcpus[0], 40, true); /* a VM that has ended: no effect */
}

int main(void)
{
	static const struct {
		unsigned version;
		bool completes_hw;
		unsigned lr_count;
		unsigned vcpu_count;
		bool either_group;
	} machines[] = {
		{3, true, 4, 2, false}, {2, false, 4, 2, false}, {3, true, 2, 1, true},
		{3, true, 1, 2, false}, {2, true, 1, 2, false},
	};

	unsigned hot = 0;

	for (unsigned m = 0; m < ARRAY_SIZE(machines); m++) {
		fake.lr_count = machines[m].lr_count;
		vcpu_count = machines[m].vcpu_count;
		either_group = machines[m].either_group;
		start(machines[m].version, machines[m].completes_hw);
		for (unsigned round = 0; round < ROUNDS; round++) {
			if (round % 256 == 0)
				hot = (unsigned)check_below(INTIDS);
			act(hot);
			settle();
		}
		finish();
	}
	return check_finish();
}
