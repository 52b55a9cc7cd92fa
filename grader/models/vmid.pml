/* SPDX-License-Identifier: MIT */
/*
 * VMIDs that change hands: vmid.c of layer 6; stage2_vcpu_arrive(), stage2_invalidate() and
 * stage2_set_vmid() in stage2.c.
 *
 * Two CPUs run three VMs, of which both run VM 0, with two VMIDs. Each guest has one page. A third CPU, which runs nobody,
 * takes the page of VM 0 away, invalidates, and gives the memory to somebody else; so does a CPU that
 * runs VM 0. TLBs are tagged by VMID and remember, to be checked, whose page an entry is.
 *
 *	VMID-1	a VM that is loaded has a VMID, the one in the CPU's VTTBR_EL2
 *	VMID-2	no two VMs have the same VMID
 *	VMID-3	what a TLB holds under a VMID is of the VM that has it: no guest reaches another's
 *		page, nor its own when that has been taken away
 *
 * FAULT=1: TLBs keep what they hold at a roll-over	(vmid_roll_over())
 * FAULT=2: a CPU looks for the VMID before others see what it loads; no DMB	(stage2_vcpu_arrive())
 * FAULT=3: a loaded VM's VMID is given to another VM	(vmid_is_kept())
 * FAULT=4: who invalidates finds no VMID, without vmid_lock, and does nothing	(stage2_invalidate())
 * FAULT=5: what CPUs have loaded is looked at before VMIDs are taken; no DMB	(vmid_take_back())
 */
#ifndef FAULT
#define FAULT 0
#endif
#define CPUS 2
#define VMS 3
#define LAST CPUS /* VMIDs are 1 to this; 0 is none */
#define NOBODY VMS

byte vmid[VMS]; /* vmid_lock protects it, and it may be read without */
byte loaded[CPUS] = NOBODY; /* cpu->vcpu->vm */
byte vttbr[CPUS]; /* its VMID */
byte next = LAST + 1, kept[CPUS];
bool vmid_lock;

byte had[VMS], seen0 = NOBODY, seen1 = NOBODY; /* of a roll-over; vmid_lock */

bool mapped = true; /* the page of VM 0 is in its table; page_lock protects it */
bool mine = true; /* the memory behind it is the VM's */
bool page_lock; /* stage2.lock */

typedef tlb_t { byte owner[LAST + 1] = NOBODY }; /* by VMID: whose page */
tlb_t tlb[CPUS];

inline lock() { atomic { !vmid_lock -> vmid_lock = true } }
inline unlock() { vmid_lock = false }

inline set_vmid(v, number) /* VMID-2 */
{
	atomic {
		assert(number == 0 || ((v == 0 || vmid[0] != number) && (v == 1 || vmid[1] != number) &&
				       (v == 2 || vmid[2] != number)));
		vmid[v] = number
	}
}

inline tlbi(number) /* inner shareable, and complete */
{
	tlb[0].owner[number] = NOBODY;
	tlb[1].owner[number] = NOBODY
}

inline look() { seen0 = loaded[0]; seen1 = loaded[1] }

inline keep(c, seen)
{
	kept[c] = (seen == NOBODY -> 0 : had[seen]);
	if
	:: kept[c] != 0 -> set_vmid(seen, kept[c])
	:: else
	fi
}

/* Who reads without the lock reads one VM's VMID: all may be taken in one step. */
inline take_back()
{
	d_step {
		had[0] = vmid[0]; had[1] = vmid[1]; had[2] = vmid[2];
		vmid[0] = 0; vmid[1] = 0; vmid[2] = 0
	}
}

inline roll_over()
{
	if
	:: FAULT == 5 -> look(); take_back()
	:: else -> take_back(); look()
	fi;
	keep(0, seen0);
	keep(1, seen1);
	d_step {
		if
		:: FAULT != 1 -> tlbi(1); tlbi(2)
		:: else
		fi;
		next = 1;
		had[0] = 0; had[1] = 0; had[2] = 0; seen0 = NOBODY; seen1 = NOBODY
	}
}

inline new_vmid(v)
{
	do
	:: next > LAST -> roll_over()
	:: else ->
		next++;
		if
		:: FAULT != 3 && (kept[0] == next - 1 || kept[1] == next - 1)
		:: else -> break
		fi
	od;
	set_vmid(v, next - 1)
}

/* The page goes: break, invalidate, and only then the memory is somebody else's. */
inline take_page(here)
{
	atomic { !page_lock -> page_lock = true; mapped = false };
	if
	:: here -> d_step { tlbi(vttbr[me]) }
	:: !here && FAULT == 4 && vmid[0] == 0
	:: else ->
		lock();
		d_step {
			if
			:: vmid[0] != 0 -> tlbi(vmid[0])
			:: else
			fi
		};
		unlock()
	fi;
	mine = false;
	d_step { mine = true; mapped = true; page_lock = false } /* another page comes */
}

active [CPUS] proctype cpu()
{
	byte me = _pid, v, number;

load:	if
	:: v = 0
	:: v = 1 + me
	fi;
	if
	:: FAULT == 2 -> number = vmid[v]; loaded[me] = v
	:: else -> loaded[me] = v; number = vmid[v]
	fi;
	if
	:: number == 0 ->
		lock();
		if
		:: vmid[v] == 0 -> new_vmid(v)
		:: else
		fi;
		number = vmid[v];
		unlock()
	:: else
	fi;
	d_step { vttbr[me] = number; number = 0 };

	do /* the guest */
	:: atomic {
		assert(vmid_lock || vmid[v] == vttbr[me]); /* VMID-1 */
		if
		:: tlb[me].owner[vttbr[me]] == NOBODY && (v != 0 || mapped) ->
			tlb[me].owner[vttbr[me]] = v
		:: else
		fi;
		if
		:: tlb[me].owner[vttbr[me]] != NOBODY ->
			assert(tlb[me].owner[vttbr[me]] == v && (v != 0 || mine)) /* VMID-3 */
		:: else
		fi }
	:: v == 0 -> take_page(true)
	:: break
	od;
	atomic { loaded[me] = NOBODY; vttbr[me] = 0; v = 0 };
	goto load
}

active proctype taker()
{
	byte me;

	do
	:: take_page(false)
	od
}
