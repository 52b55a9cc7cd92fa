/* SPDX-License-Identifier: MIT */
/*
 * Kick and wake-up: vgic_notify() in vgic.c; vcpu_kick(), vcpu_wake() and vcpu_block() in vcpu.c,
 * vcpu_prepare_entry() in vcpu_entry.c, smp_kick() in smp.c. Senders on other CPUs make requests of a
 * vCPU that runs its guest, enters or leaves it, goes to sleep, or sleeps.
 *
 *	KICK-1	no message is lost: when nobody has anything to do any more, none is left
 *	KICK-2	no CPU sleeps beside its queue: neither is a vCPU left that could run
 *
 * FAULT=1: no second look behind the change to BLOCKED	(vcpu_block())
 * FAULT=2: the sender looks at the state before it has vgic.lock	(vcpu_kick())
 * FAULT=3: the kick overtakes the message, since there is no DSB before the SGI	(gic_send_sgi())
 * FAULT=4: the kick is sent before the vCPU is queued	(vcpu_wake())
 * FAULT=5: the kick is acknowledged behind the look at requests	(cpu_idle())
 * FAULT=6: a running vCPU is not kicked	(vcpu_kick())
 */
#ifndef FAULT
#define FAULT 0
#endif
#define SENDERS 2
#define MESSAGES 2 /* of each sender */

mtype = { RUNNABLE, RUNNING, BLOCKED };

mtype state = RUNNABLE; /* run_lock protects it */
bool message; /* REQ_VGIC in vcpu->requests: an atomic read-modify-write */
bool kick; /* the SGI is pending at the CPU */
bool run_lock;
bool vgic_lock; /* outside of run_lock */

inline lock() { atomic { !run_lock -> run_lock = true } }
inline unlock() { run_lock = false }
inline lock_vgic() { atomic { !vgic_lock -> vgic_lock = true } }
inline unlock_vgic() { vgic_lock = false }

inline queue_if_blocked()
{
	if
	:: FAULT == 4 -> kick = true
	:: else
	fi;
	lock();
	was = state;
	if
	:: was == BLOCKED -> state = RUNNABLE
	:: else
	fi;
	unlock()
}

active [SENDERS] proctype sender()
{
	mtype was;
	byte left = MESSAGES;

	do
	:: left > 0 ->
		left--;
		was = state; /* counts for FAULT=2 alone */
		lock_vgic();
		if
		:: FAULT == 3 -> kick = true
		:: else
		fi;
		message = true;
		if
		:: FAULT != 2 -> was = state /* no run_lock: vcpu_kick() */
		:: else
		fi;
		if
		:: was == RUNNING && FAULT != 6 && FAULT != 3 -> kick = true
		:: was == RUNNING && (FAULT == 6 || FAULT == 3)
		:: else -> /* vcpu_wake() */
			queue_if_blocked();
			if
			:: was == BLOCKED && FAULT != 3 && FAULT != 4 -> kick = true
			:: was == RUNNING && FAULT != 3 -> kick = true
			:: else
			fi
		fi;
		unlock_vgic();
		was = RUNNABLE
	:: else -> break
	od
}

active proctype cpu()
{
	mtype was;
	bool found;

pick:	lock(); /* cpu_take_next() */
	if
	:: state == RUNNABLE -> state = RUNNING; unlock(); goto enter
	:: else -> unlock(); goto idle
	fi;

end_idle:
idle:	kick; /* WFI ends */
	if
	:: FAULT == 5 -> goto late
	:: else -> kick = false; goto pick
	fi;
late:	lock();
	found = state == RUNNABLE;
	if
	:: found -> state = RUNNING
	:: else
	fi;
	unlock();
	kick = false;
	if
	:: found -> goto enter
	:: else -> goto end_idle
	fi;

enter:	assert(state == RUNNING);
	atomic { /* vcpu_take_requests() */
		if
		:: message -> message = false
		:: else
		fi
	};
	if
	:: message -> goto enter /* the look before ERET */
	:: goto sleep /* the guest executes WFI */
	:: goto end_spin /* or computes, for ever */
	fi;

end_spin:
	kick; /* ends its guest's time at any moment, also between the look and ERET */
	kick = false;
	goto enter;

sleep:	lock(); /* vcpu_block() */
	state = BLOCKED;
	unlock();
	lock_vgic(); /* vgic_has_deliverable() */
	found = message;
	unlock_vgic();
	if
	:: FAULT != 1 && found -> queue_if_blocked()
	:: else
	fi;
	goto pick
}

active proctype check()
{
	timeout -> assert(!message); /* KICK-1 */
	assert(state != RUNNABLE) /* KICK-2 */
}
