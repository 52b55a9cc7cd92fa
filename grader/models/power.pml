/* SPDX-License-Identifier: MIT */
/*
 * Stop and reset against CPU_ON and CPU_OFF: vcpu_start() in vm.c; vm_leave(), vm_check_left() and
 * vm_reap_one() in vm_end.c; vcpu_evict() in vcpu.c; vcpu_retire() in vcpu_entry.c.
 *
 * A VM of two vCPUs, each with a CPU of its own. A guest switches the other vCPU on, itself off,
 * sleeps, resets its VM; somebody outside stops the VM.
 *
 *	POWER-1	while a vCPU of the VM is loaded, the VM's memory is there
 *	POWER-2	a vCPU that is reset is on no CPU: of two who switch it on, one is told that it is on
 *	POWER-3	once a VM is to leave, all of its vCPUs come to be OFF and its memory goes back
 *	POWER-4	no vCPU of the VM's next life is asked to leave with those of this one
 *
 * FAULT=1: CPU_ON looks at the phase without power_lock	(vcpu_start())
 * FAULT=2: a vCPU is OFF before it has left its CPU	(vcpu_retire())
 * FAULT=3: power_lock is let go between two vCPUs that are asked to leave	(vm_leave())
 * FAULT=4: one that sleeps, still loaded, is asked to leave but not woken	(vcpu_evict())
 * FAULT=5: who leaves last does not look whether all have left	(vm_vcpu_left())
 */
#ifndef FAULT
#define FAULT 0
#endif

mtype = { OFF, RUNNABLE, RUNNING, BLOCKED };
mtype = { LIVE, LEAVING, LEFT, GONE };

mtype state[2] = OFF; /* run_lock of the vCPU's CPU protects it */
mtype phase = GONE; /* power_lock protects it */
bool loaded[2]; /* cpu->vcpu */
bool req_stop[2], kick[2], run_lock[2], power_lock;
bool memory;
bool restart = true, stopped; /* power_lock; stopped: it will not be reset again */

inline lock_run(v) { atomic { !run_lock[v] -> run_lock[v] = true } }
inline unlock_run(v) { run_lock[v] = false }
inline lock_power() { atomic { !power_lock -> power_lock = true } }
inline unlock_power() { power_lock = false }

/* vcpu_is_off() and vcpu_reset(), vcpu_make_runnable() of vcpu_start() */
inline start(v)
{
	lock_run(v);
	is_off = state[v] == OFF;
	unlock_run(v);
	if
	:: is_off ->
		assert(!loaded[v]); /* POWER-2 */
		req_stop[v] = false;
		lock_run(v);
		state[v] = RUNNABLE;
		unlock_run(v);
		kick[v] = true
	:: else
	fi
}

inline evict(v)
{
	assert(phase == LEAVING); /* POWER-4 */
	lock_run(v);
	if
	:: state[v] == RUNNING || loaded[v] ->
		req_stop[v] = true;
		if
		:: state[v] == BLOCKED && FAULT != 4 -> state[v] = RUNNABLE
		:: else
		fi;
		unlock_run(v);
		kick[v] = true
	:: else ->
		state[v] = OFF;
		unlock_run(v)
	fi
}

inline check_left()
{
	if
	:: phase == LEAVING && state[0] == OFF && state[1] == OFF -> phase = LEFT
	:: else
	fi
}

inline leave()
{
	if
	:: phase == LIVE ->
		phase = LEAVING;
		evict(0);
		if
		:: FAULT == 3 -> unlock_power(); lock_power()
		:: else
		fi;
		evict(1);
		check_left()
	:: else
	fi
}

inline leave_cpu(v) /* vcpu_retire() */
{
	lock_run(v);
	state[v] = (FAULT == 2 -> OFF : RUNNING);
	unlock_run(v);
	loaded[v] = false;
	lock_run(v);
	state[v] = OFF;
	unlock_run(v);
	lock_power();
	if
	:: FAULT != 5 -> check_left()
	:: else
	fi;
	unlock_power()
}

proctype cpu(byte me)
{
	bool is_off, stop;

prepare:
	atomic { stop = loaded[me] && req_stop[me]; req_stop[me] = (stop -> false : req_stop[me]) };
	if
	:: stop -> leave_cpu(me)
	:: else
	fi;
pick:	lock_run(me); /* it has no look at requests: cpu_pick_next() */
	if
	:: state[me] == RUNNABLE -> state[me] = RUNNING; unlock_run(me)
	:: state[me] == RUNNING -> unlock_run(me)
	:: else -> unlock_run(me); goto end_idle
	fi;
	loaded[me] = true; /* world_switch() */
	if
	:: req_stop[me] -> goto prepare /* the look before ERET */
	:: else
	fi;

	do
	:: assert(memory && state[me] == RUNNING); /* POWER-1 */
		if
		:: kick[me] -> kick[me] = false; goto prepare
		:: /* CPU_ON of the other */
			if
			:: FAULT != 1 -> lock_power()
			:: else
			fi;
			if
			:: phase == LIVE -> start(1 - me)
			:: else
			fi;
			if
			:: FAULT != 1 -> unlock_power()
			:: else
			fi;
			goto prepare
		:: req_stop[me] = true; goto prepare /* CPU_OFF */
		:: lock_run(me); state[me] = BLOCKED; unlock_run(me); goto prepare /* WFI */
		:: lock_power(); leave(); unlock_power(); goto prepare /* SYSTEM_RESET */
		fi
	od;

end_idle:
	kick[me];
	kick[me] = false;
	goto pick
}

/* Any CPU may do this. */
proctype reaper()
{
	bool is_off;

end_wait:
	do
	:: phase == LEFT ->
		assert(!loaded[0] && !loaded[1]); /* POWER-1 */
		memory = false;
		lock_power();
		phase = GONE;
		unlock_power()
	:: phase == GONE && !memory ->
		lock_power();
		if
		:: stopped -> unlock_power(); break
		:: else ->
			memory = true;
			phase = LIVE;
			start(0);
			unlock_power()
		fi
	od
}

proctype outside()
{
	lock_power();
	stopped = true;
	leave();
	unlock_power()
}

init
{
	atomic { run cpu(0); run cpu(1); run reaper(); run outside() };
	timeout -> assert(phase == GONE && !memory && state[0] == OFF && state[1] == OFF) /* POWER-3 */
}
