/* SPDX-License-Identifier: MIT */
/*
 * The three things that a hypervisor is about: a VM, its vCPUs, and the CPUs that they run on.
 *
 * Every layer's state of a vCPU has a fixed place here, so that tests and debugger commands find it
 * whichever layers are linked. A field belongs to the layer whose header has its type.
 */
#ifndef STRATA_VCPU_H
#define STRATA_VCPU_H

#include "bundle.h"
#include "console.h"
#include "lib/list.h"
#include "lib/types.h"
#include "platform/qemu_virt.h"
#include "smmu.h"
#include "spinlock.h"
#include "stage2.h"
#include "vgic.h"
#include "vmm.h"
#include "vtimer.h"

/** struct trap_frame - what the vectors save of a guest */
struct trap_frame {
	u64 x[31];
	u64 pc; /* ELR_EL2 */
	u64 pstate; /* SPSR_EL2 */
};

/** struct el1_state - the EL1 and EL0 system registers of a vCPU that is not loaded */
struct el1_state {
	u64 sp_el0, sp_el1, elr_el1, spsr_el1;
	u64 sctlr, cpacr, ttbr0, ttbr1, tcr, mair, amair, vbar;
	u64 esr, far, afsr0, afsr1, par, contextidr;
	u64 tpidr_el0, tpidrro_el0, tpidr_el1;
	u64 csselr;
	u64 mdscr; /* of the hardware; debug_state has the guest's */
};

#define DEBUG_PAIRS 2 /* of breakpoints and of watchpoints that a vCPU has */

/** struct debug_state - the debug registers as the guest wrote them, loaded or not */
struct debug_state {
	u64 mdscr;
	struct {
		u64 bvr, bcr, wvr, wcr;
	} pair[DEBUG_PAIRS];
	u64 double_lock; /* OSDLR_EL1 */
	bool os_lock;
};

/** struct el1_optional - as struct el1_state, registers that only some CPUs have */
struct el1_optional {
	u64 vdisr; /* VDISR_EL2, which the guest knows as DISR_EL1 */
	u64 tpidr2_el0;
};

/** struct fp_state - the SIMD and floating-point registers */
struct fp_state {
	u64 v[32][2] __attribute__((aligned(16)));
	u64 fpsr, fpcr;
};

/** struct vcpu_exit - the last exit to EL2; what a device model or a debugger may know of it */
struct vcpu_exit {
	u64 esr; /* of the last synchronous exit */
	u64 far, hpfar; /* of the last abort */
	u64 address; /* guest-physical address of the last stage-2 fault */
	u64 value; /* stored, or to be loaded */
	u64 size; /* bytes; the direction is in @esr (WnR) */
};

/* RUNNABLE and BLOCKED vCPUs may still be loaded, one that is OFF never is: head of vcpu.c. */
enum vcpu_state {
	VCPU_OFF, /* not started, switched off, or its VM has ended */
	VCPU_RUNNABLE, /* on the run queue of vcpu->cpu */
	VCPU_RUNNING, /* taken off the queue by vcpu->cpu, which has it loaded or is about to */
	VCPU_BLOCKED, /* in WFI; an interrupt wakes it */
};

/*
 * Bits of vcpu->requests: what EL2 does before the vCPU runs its next instruction.
 *
 *	REQ_RESCHEDULE	end the time slice; another vCPU's begins, or a new one of this
 *	REQ_VGIC	fill the list registers anew: hook_vgic_flush
 *	REQ_STOP	leave the CPU and be OFF: the VM has ended, or the vCPU switched itself off
 */
enum {
	REQ_RESCHEDULE = 1 << 0,
	REQ_VGIC = 1 << 1,
	REQ_STOP = 1 << 2,
};

/**
 * struct vcpu - a virtual CPU
 * @frame: must be first: SP_EL2 points at it while the guest runs
 * @requests: REQ_*; any CPU sets bits with atomics, the one that runs the vCPU takes them
 * @state: protected by the run_lock of @cpu
 * @cpu: where the vCPU runs, or ran last; it waits on the run queue of this CPU. Changes under the
 *	run_lock of the CPU that it leaves, while it is not loaded
 * @run_node: on the run queue of @cpu while RUNNABLE
 * @waits_from: layer 6: physical count from which it has waited on that queue
 * @has_begun: layer 6: it has been loaded since it was started
 * @goes_off: layer 6: it has asked for CPU_OFF; protected by the VM's power_lock
 * @used_ticks: physical count for which it has had a CPU, up to @cpu->charge_from; written by the
 *	CPU that has it loaded
 */
struct vcpu {
	struct trap_frame frame;
	u32 requests;
	enum vcpu_state state;
	struct vm *vm;
	struct cpu *cpu;
	u32 index; /* in its VM; Aff0 of its MPIDR */
	u64 hcr; /* HCR_EL2 while loaded */
	u64 vmpidr;
	struct list run_node;
	u64 waits_from;
	bool has_begun;
	bool goes_off;
	u64 used_ticks;
	struct vcpu_exit exit;
	struct el1_state el1;
	struct el1_optional el1_optional;
	struct vgic_cpu vgic;
	struct vtimer vtimer;
	struct fp_state fp;
	struct debug_state debug;
	struct cpu *fp_cpu; /* where its SIMD registers were live last */
};

enum vm_state {
	VM_RUNNING,
	VM_POWERED_OFF, /* by its own request */
	VM_STOPPED, /* by the hypervisor, for stop_reason */
};

/* How far the end of a VM, or its reset, has come: head of vm_end.c. */
enum vm_phase {
	VM_LIVE,
	VM_LEAVING, /* its vCPUs are asked to leave their CPUs */
	VM_LEFT, /* all vCPUs are OFF: the layers release what they hold */
	VM_EMPTYING, /* its memory goes back, piece by piece */
	VM_GONE, /* nothing of it is left */
	VM_FILLING, /* it is there again, and its memory is brought in */
};

/**
 * struct vm - a virtual machine
 * @device_lock: serializes its device models; nests outside vgic.lock and stage2.lock
 * @power_lock: protects @state, @phase, @restart, and whether a vCPU may start; outermost
 * @vmid: tag of its translations in TLBs, or VMID_NONE; vmid_lock protects it
 * @restart: once nothing of the VM is left, build it anew
 * @reaping: a CPU is clearing up what the VM has left behind
 * @ram_base: where its RAM begins: an IPA, without layer 2 a physical address
 */
struct vm {
	struct spinlock device_lock;
	char name[16];
	u32 index;
	u32 vmid;
	struct spinlock power_lock;
	enum vm_state state;
	enum vm_phase phase;
	bool restart;
	bool reaping;
	char stop_reason[96];
	u64 reset_count;
	const struct bundle_vm *config;
	u64 ram_base, ram_bytes;
	u64 counter_offset; /* CNTVOFF_EL2 */
	u32 vcpu_count;
	struct vcpu *vcpus[VCPU_MAX];
	struct stage2 stage2;
	struct vgic vgic;
	struct console_line console;
	struct console_input input;
	struct dma_space dma;
};

/**
 * struct cpu - a physical CPU; TPIDR_EL2 points at it
 * @vcpu: the loaded vCPU, or NULL; written by this CPU alone
 * @stack_top: the upper end of EL2's stack, where each exit begins
 * @emergency_top: the same for the vectors that should never fire
 * @fp_owner: whose registers the SIMD unit holds, if fp_owner->fp_cpu is this CPU
 * @fp_enabled: the loaded vCPU uses the SIMD unit without a trap
 * @cntv_active: the physical PPI of CNTV may be active, for a guest to complete
 * @serror_vm: the VM whose SError was pending when its vCPU left, on a CPU without RAS; or NULL
 * @run_lock: protects @run_queue and the state of the vCPUs that belong to this CPU; nothing
 *	nests inside it
 * @runnable_count: length of @run_queue; may be read without the lock
 * @charge_from: physical count from which on the time of this CPU has not been charged to a vCPU;
 *	written by this CPU alone
 * @reap_from: physical count from which on this CPU may again clear up after VMs that have ended
 * @asleep_from, @awake_from: layer 6: physical counts at which this CPU last found nothing to run,
 *	and was woken last
 * @was_busy: layer 6: the vCPU that it unloaded last could have gone on
 * @deadline_lock: protects @deadlines, layer 4's queue; innermost
 */
struct cpu {
	struct vcpu *vcpu;
	u64 stack_top;
	u64 emergency_top;
	u32 index;
	struct vcpu *fp_owner;
	bool fp_enabled;
	bool cntv_active;
	struct vm *serror_vm;
	struct spinlock run_lock;
	struct list run_queue;
	u32 runnable_count;
	u64 charge_from;
	u64 reap_from;
	u64 asleep_from, awake_from;
	bool was_busy;
	struct spinlock deadline_lock;
	struct list deadlines;
	struct deadline slice;
	u64 slice_end; /* physical count at which the time slice ends; 0: there is none */
};

extern struct vm *vms[VM_MAX];
extern u32 vm_count;
extern struct cpu cpus[PLAT_CPU_MAX];

#ifdef __aarch64__
/** this_cpu() - the CPU that executes this */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	asm("mrs %0, tpidr_el2" : "=r"(cpu));
	return cpu;
}
#else
struct cpu *this_cpu(void); /* supplied by a host test */
#endif

/** vcpu_state() - without the run_lock it may change at once; RUNNING is ended by its CPU alone */
static inline enum vcpu_state vcpu_state(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->state, __ATOMIC_RELAXED);
}

/** vcpu_runs_here() - it looks at its requests before its next instruction, without being told */
static inline bool vcpu_runs_here(const struct vcpu *vcpu)
{
	return this_cpu()->vcpu == vcpu && vcpu_state(vcpu) == VCPU_RUNNING;
}

/** vcpu_make_request() - ask for @requests (REQ_*) before the vCPU's next instruction */
static inline void vcpu_make_request(struct vcpu *vcpu, u32 requests)
{
	__atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_RELEASE);
}

#endif
