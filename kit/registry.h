/* SPDX-License-Identifier: MIT */
/*
 * Registries: how a lower layer reaches a higher one.
 *
 * A layer calls kit/ and the layers below it by their headers. Upwards there is no call, only
 * tables: the lower layer (or kit/) declares the shape of an entry, the higher layer adds one with
 * a macro of this file, and the linker lays the entries of all linked layers side by side. So the
 * same sources link as labs 1, 1-2, ... 1-6.
 *
 * All claims of a layer stand in its layer.c. Each also defines a global symbol named after what it
 * claims. Two claims on one exception class, system register, function id, INTID or hook are
 * therefore a "multiple definition" error of the linker and never a question of link order.
 * `make map` prints an image's registries.
 */
#ifndef STRATA_REGISTRY_H
#define STRATA_REGISTRY_H

#include "lib/types.h"
#include "sysreg.h"

struct cpu;
struct vm;
struct vcpu;
struct sysreg_access;

/**
 * enum trap_result - what becomes of the guest after its trap was handled
 * @TRAP_RESUME: continue at the saved PC, unless its VM was stopped or is reset (vm_stop())
 * @TRAP_SKIP_INSN: continue after the trapped instruction
 * @TRAP_REFLECT: the guest takes the exception that hardware without this feature, or without
 *	anything at that address, would have raised
 */
enum trap_result {
	TRAP_RESUME = 0,
	TRAP_SKIP_INSN,
	TRAP_REFLECT,
};

/**
 * enum irq_result - what the physical interrupt needs after its handler
 * @IRQ_HANDLED: priority drop and deactivation
 * @IRQ_FORWARDED: priority drop only; a guest's EOI deactivates it through a list register
 */
enum irq_result {
	IRQ_HANDLED,
	IRQ_FORWARDED,
};

/**
 * struct layer - the hooks of one layer; each may be NULL
 * @number: 1..6; hooks run in ascending order, vm_destroy in descending order
 * @init: once, on the boot CPU; 0 or a negative errno, which stops the machine. There is no page
 *	allocator yet: a layer writes to its own data only. The same holds for the first @init_cpu
 * @init_cpu: on every CPU, which executes it, each time that the CPU starts; after @init
 * @vm_create: set up this layer's part of a VM; 0 or a negative errno, upon which the layers
 *	already done are asked to vm_destroy
 * @vm_destroy: release that part; also called for a VM whose creation failed half-way
 */
struct layer {
	unsigned number;
	const char *name;
	int (*init)(void);
	int (*init_cpu)(struct cpu *cpu);
	int (*vm_create)(struct vm *vm);
	void (*vm_destroy)(struct vm *vm);
};

/**
 * struct vcpu_hooks - the hooks of a layer that keeps state of a vCPU; it has all three
 * @layer: its number; @reset and @load run in ascending order, @save in descending order
 * @reset: architectural reset values of the state
 * @load: the vCPU is about to run on this CPU: put the state into the hardware
 * @save: the vCPU leaves this CPU: take the state out of the hardware
 */
struct vcpu_hooks {
	unsigned layer;
	void (*reset)(struct vcpu *vcpu);
	void (*load)(struct vcpu *vcpu);
	void (*save)(struct vcpu *vcpu);
};

/*
 * Hooks that one layer alone has, and claims with HOOK(). In an image without that layer the link
 * script makes the pointer NULL.
 */

/** hook_vgic_flush() - serves REQ_VGIC, which only its layer makes: fill the list registers */
extern void (*const hook_vgic_flush)(struct vcpu *vcpu);

/** hook_time_slice() - a time slice of the vCPU that is about to be entered begins */
extern void (*const hook_time_slice)(struct vcpu *vcpu);

/** hook_irq() - acknowledge and dispatch what is pending at this CPU's interface */
extern void (*const hook_irq)(struct cpu *cpu);

/** hook_irq_line() - a device model changed the level of its interrupt line */
extern void (*const hook_irq_line)(struct vm *vm, u32 intid, bool level);

/** hook_vcpu_has_wakeup() - whether the vCPU, which is not running, has a reason to leave WFI */
extern bool (*const hook_vcpu_has_wakeup)(struct vcpu *vcpu);

/**
 * hook_kick() - have another CPU look at its run queue and at its vCPU's requests; NULL: there is
 * one CPU
 *
 * The CPU leaves its guest, or WFI, or looks before it next enters or sleeps. It sees what was
 * written before the call (an interrupt as the message needs a DSB first).
 */
extern void (*const hook_kick)(struct cpu *cpu);

/**
 * hook_place() - where a vCPU that becomes runnable goes; NULL: to @cpu
 * @cpu: where it ran last; its run_lock is held: the hook decides and takes no lock
 */
extern struct cpu *(*const hook_place)(struct vcpu *vcpu, struct cpu *cpu);

/**
 * hook_steal() - @cpu has nothing to run: a vCPU for it, taken away by vcpu_steal(), or NULL
 *
 * Called without a lock each time that @cpu is about to sleep.
 */
extern struct vcpu *(*const hook_steal)(struct cpu *cpu);

/**
 * hook_queued() - @vcpu waits on the queue of @cpu now; its run_lock is held, none is taken
 *
 * Called wherever a vCPU becomes runnable, but not for the one that a CPU puts back when it takes
 * another.
 */
extern void (*const hook_queued)(struct vcpu *vcpu, struct cpu *cpu);

/** hook_vcpu_off() - @vcpu is OFF now, and may be started again at any time; no lock is held */
extern void (*const hook_vcpu_off)(struct vcpu *vcpu);

/** hook_awake() - @cpu, this one, has slept: an interrupt that it has not taken yet ended WFI */
extern void (*const hook_awake)(struct cpu *cpu);

/**
 * hook_spin_wait() - wait until *@taken, of a lock that another CPU holds, may be 0; NULL: there is
 * one CPU, which waits for nobody
 */
extern void (*const hook_spin_wait)(const u32 *taken);

/**
 * hook_vm_fill() - bring in a bounded piece of what must be in @vm's memory before it runs
 *
 * Behind every layer's vm_create, again and again, interrupts being taken in between. NULL: nothing.
 *
 * Return: 1: some was brought in; 0: it is all there; or a negative errno.
 */
extern int (*const hook_vm_fill)(struct vm *vm);

/**
 * hook_vmid_new() - a VMID that no VM has, VMIDs of other VMs being taken away for it if need be
 *
 * Called with vmid_lock held, for a VM that is being loaded on this CPU and has none. A VM that is
 * loaded on a CPU keeps its own. NULL: a VM has one VMID for as long as it lives.
 */
extern u32 (*const hook_vmid_new)(void);

/** hook_console_waits() - call console_lose_patience() in CONSOLE_PATIENCE_MS; console lock held */
extern void (*const hook_console_waits)(void);

typedef enum trap_result trap_handler_fn(struct vcpu *vcpu, u64 esr);
typedef enum trap_result sysreg_handler_fn(struct vcpu *vcpu, struct sysreg_access *access);
typedef enum trap_result hypercall_fn(struct vcpu *vcpu);
typedef enum irq_result irq_handler_fn(struct cpu *cpu, u32 intid);

struct trap_entry {
	u32 ec;
	const char *name;
	trap_handler_fn *handler;
};

struct sysreg_entry {
	u32 encoding; /* SYSREG_ENCODING() */
	const char *name;
	sysreg_handler_fn *handler;
};

struct hypercall_entry {
	u32 function_id;
	const char *name;
	hypercall_fn *handler;
};

/**
 * struct irq_entry - handler of a physical interrupt; layer 3 enables the INTID at start-up
 * @edge: configure it edge-triggered in GICD_ICFGR (level otherwise)
 */
struct irq_entry {
	u32 intid;
	bool edge;
	const char *name;
	irq_handler_fn *handler;
};

#define REGISTRY_PASTE(a, b) a##b
#define REGISTRY_JOIN(a, b) REGISTRY_PASTE(a, b)
#define REGISTRY_CLAIM(what)                                                                       \
	extern const u8 REGISTRY_JOIN(claim_, what);                                               \
	const u8 REGISTRY_JOIN(claim_, what) __attribute__((section(".registry.claims"), used)) = 0
#define REGISTRY_ENTRY(kind, subsection, name)                                                     \
	static const struct kind name __attribute__((section(".registry." subsection), used))

/** LAYER() - declare this layer's hooks: LAYER(2, stage2, .init = ..., .vm_create = ...) */
#define LAYER(layer_number, layer_name, ...)                                                       \
	REGISTRY_CLAIM(REGISTRY_JOIN(layer_, layer_number));                                       \
	REGISTRY_ENTRY(layer, "layer." #layer_number, layer_##layer_name) = {                      \
		.number = layer_number, .name = #layer_name, __VA_ARGS__}

/** VCPU_HOOKS() - declare those for its state of a vCPU: VCPU_HOOKS(2, .reset = ..., ...) */
#define VCPU_HOOKS(layer_number, ...)                                                              \
	REGISTRY_CLAIM(REGISTRY_JOIN(vcpu_hooks_, layer_number));                                  \
	REGISTRY_ENTRY(vcpu_hooks, "vcpu." #layer_number,                                          \
		       vcpu_hooks_##layer_number) = {.layer = layer_number, __VA_ARGS__}

/** TRAP_HANDLER() - @fn handles exception class @ec, a number or a macro that is one */
#define TRAP_HANDLER(ec_number, fn)                                                                \
	REGISTRY_CLAIM(REGISTRY_JOIN(trap_, ec_number));                                           \
	REGISTRY_ENTRY(trap_entry, "trap", REGISTRY_JOIN(trap_entry_, ec_number)) = {              \
		.ec = ec_number, .name = #fn, .handler = fn}

/** SYSREG_HANDLER() - @fn emulates the trapped system register named by its five fields */
#define SYSREG_HANDLER(op0, op1, crn, crm, op2, fn)                                                \
	REGISTRY_CLAIM(sysreg_##op0##_##op1##_##crn##_##crm##_##op2);                              \
	REGISTRY_ENTRY(sysreg_entry, "sysreg",                                                     \
		       sysreg_entry_##op0##_##op1##_##crn##_##crm##_##op2) = {                     \
		.encoding = SYSREG_ENCODING(op0, op1, crn, crm, op2), .name = #fn, .handler = fn}

/** HYPERCALL() - @fn serves the SMCCC function @fid, a number or a macro that is one */
#define HYPERCALL(fid, fn)                                                                         \
	REGISTRY_CLAIM(REGISTRY_JOIN(hypercall_, fid));                                            \
	REGISTRY_ENTRY(hypercall_entry, "hypercall", REGISTRY_JOIN(hypercall_entry_, fid)) = {     \
		.function_id = fid, .name = #fn, .handler = fn}

/**
 * HYPERCALL_FALLBACK() - @fn serves the function @fid in images where no layer claims it
 *
 * For functions that every image must answer and that a higher layer can do better: it claims them
 * by HYPERCALL() as if they were free.
 */
#define HYPERCALL_FALLBACK(fid, fn)                                                                \
	REGISTRY_CLAIM(REGISTRY_JOIN(hypercall_fallback_, fid));                                   \
	REGISTRY_ENTRY(hypercall_entry, "hypercall_fallback",                                      \
		       REGISTRY_JOIN(hypercall_fallback_entry_, fid)) = {                          \
		.function_id = fid, .name = #fn, .handler = fn}

/** IRQ_HANDLER() - @fn handles the physical interrupt @intid; trigger: IRQ_LEVEL or IRQ_EDGE */
#define IRQ_HANDLER(intid_number, trigger, fn)                                                     \
	REGISTRY_CLAIM(REGISTRY_JOIN(irq_, intid_number));                                         \
	REGISTRY_ENTRY(irq_entry, "irq", REGISTRY_JOIN(irq_entry_, intid_number)) = {              \
		.intid = intid_number, .edge = trigger, .name = #fn, .handler = fn}
#define IRQ_LEVEL false
#define IRQ_EDGE true

/** HOOK() - claim a hook: HOOK(kick, smp_kick) makes hook_kick point at smp_kick() */
#define HOOK(name, fn)                                                                             \
	__typeof__(hook_##name) hook_##name __attribute__((section(".registry.hook"), used)) = fn

/* Bounds of the tables, which the link script lays out. */
extern const struct layer registry_layers[], registry_layers_end[];
extern const struct vcpu_hooks registry_vcpu_hooks[], registry_vcpu_hooks_end[];
extern const struct trap_entry registry_traps[], registry_traps_end[];
extern const struct sysreg_entry registry_sysregs[], registry_sysregs_end[];
extern const struct hypercall_entry registry_hypercalls[], registry_hypercalls_end[];
extern const struct hypercall_entry registry_hypercall_fallbacks[],
	registry_hypercall_fallbacks_end[];
extern const struct irq_entry registry_irqs[], registry_irqs_end[];

#define for_each_layer(layer)                                                                      \
	for (const struct layer *layer = registry_layers; layer < registry_layers_end; layer++)
#define for_each_vcpu_hooks(hooks)                                                                 \
	for (const struct vcpu_hooks *hooks = registry_vcpu_hooks;                                 \
	     hooks < registry_vcpu_hooks_end; hooks++)
#define for_each_vcpu_hooks_reverse(hooks)                                                         \
	for (const struct vcpu_hooks *hooks = registry_vcpu_hooks_end;                             \
	     hooks-- > registry_vcpu_hooks;)

/** layers_init() - run every layer's init, once, on the boot CPU; an error is a config_error() */
void layers_init(void);

/**
 * layers_init_cpu() - run every layer's init_cpu on @cpu, which executes this
 *
 * Before it: SP at its stack_top, TPIDR_EL2 at @cpu, VBAR_EL2 at the vectors. An error is a
 * config_error().
 */
void layers_init_cpu(struct cpu *cpu);

#endif
