# SPDX-License-Identifier: MIT
"""What the records of plugin/trace.c mean: who ran where and when, and what became of interrupts.

Times are nanoseconds of the machine's clock. Under -icount shift=0 the machine executes one
instruction in each; of several CPUs one at a time, in turns. So each span of a CPU has the number
of instructions that this CPU itself executed beside its length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from statistics import median
from typing import Any

from grader.oracle.decode.esr import CLASSES, Esr
from grader.oracle.decode.sysreg_names import SysregAccess
from tools.guest_map import GUEST_MAP

RECORD = struct.Struct("<QQBBHIQ")  # struct record of plugin/trace.c
NOBODY = 0xFFFF
NEVER = (1 << 64) - 1
IRQ_VECTOR, SERROR_VECTOR = 0x480, 0x580
STATES = ("off", "waits", "runs", "sleeps")  # enum vcpu_state
DEADLINES = ("virtual timer", "physical timer", "time slice")  # enum deadline_of
SPI_FIRST = 32
LR_PENDING, LR_ACTIVE = 1 << 62, 1 << 63  # IHI 0069: ICH_LR<n>_EL2
EC_WFX, EC_SYSREG, EC_DATA_ABORT = 0x01, 0x18, 0x24
SHORT = {0x07: "SIMD access", 0x12: "HVC", 0x13: "SMC", 0x16: "HVC", 0x17: "SMC",
         0x20: "instruction abort", EC_DATA_ABORT: "data abort"}
PAGE = 4096
# What is where in a guest: the first region that is not behind an address has it.
REGIONS = tuple((GUEST_MAP[f"{name}_BASE"], text) for name, text in (
    ("PCI_ECAM", "access to PCI"), ("RAM", "memory fault"), ("PCI_MMIO", "access to PCI"),
    ("VIRTIO", "access to virtio"), ("UART", "access to UART"), ("GICR", "access to GICR"),
    ("GICC", "access to GICC"), ("GICD", "access to GICD"), ("FLASH", "access to flash")))


class Kind(IntEnum):
    """enum kind of plugin/trace.c."""

    EXIT = 0
    ENTRY = 1
    IDLE = 2
    AWAKE = 3
    LOADED = 4
    STATE = 5
    IRQ = 6
    LIST_REGISTER = 7
    ACKNOWLEDGE = 8
    COMPLETE = 9
    DEADLINE = 10
    NAME = 11
    FULL = 12


@dataclass(frozen=True)
class Record:
    """struct record of plugin/trace.c."""

    time: int  # of the machine's clock, in nanoseconds
    executed: int  # instructions, by this CPU alone
    kind: int
    cpu: int
    who: int  # VM << 8 | vCPU
    number: int
    value: int


@dataclass(frozen=True)
class Span:
    """Something that lasted."""

    start: int
    end: int
    kind: str  # of a CPU: guest, exit, idle; of a vCPU: a state
    label: str
    detail: str = ""
    who: int = NOBODY
    instructions: int = 0  # of a CPU: how many it executed itself

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass
class Interrupt:
    """One interrupt of a guest, from its line to its completion; None: not seen."""

    who: int
    intid: int
    raised: int
    listed: int | None = None  # pending in a list register
    acknowledged: int | None = None
    completed: int | None = None
    withdrawn: int | None = None  # the line fell before the guest took it

    def end(self, at_the_end: int) -> int:
        """When it was over; `at_the_end` of the run, if it never was."""
        return self.completed or self.withdrawn or at_the_end


@dataclass
class Deadline:
    """A deadline while EL2 watched it; `who` is a CPU's number for a time slice."""

    who: int
    number: int  # index of DEADLINES
    armed: int
    due: int
    end: int = 0


@dataclass
class _List:
    """The list registers of a vCPU as the guest sees them."""

    registers: dict[int, int] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)  # INTIDs, acknowledged and not completed

    def acknowledge(self) -> int | None:
        """The INTID that ICC_IAR1_EL1 returns: pending, of the highest priority."""
        pending = [(value >> 48 & 0xFF, number) for number, value in self.registers.items()
                   if value & LR_PENDING and not value & LR_ACTIVE]
        if not pending:
            return None
        number = min(pending)[1]
        self.registers[number] ^= LR_PENDING | LR_ACTIVE
        self.taken.append(self.registers[number] & 0xFFFFFFFF)
        return self.taken[-1]

    def complete(self) -> int | None:
        """The INTID that a write to ICC_EOIR1_EL1 ends: the last one that was acknowledged."""
        if not self.taken:
            return None
        intid = self.taken.pop()
        for number, value in self.registers.items():
            if value & LR_ACTIVE and value & 0xFFFFFFFF == intid:
                self.registers[number] = value & ~LR_ACTIVE
        return intid


def reason_of(esr: int, ipa: int = 0) -> tuple[str, str]:
    """A short name of a synchronous exit's reason, and all of its syndrome. `ipa`: of an abort's
    page; 0 if EL2 has not noted it."""
    syndrome = Esr(esr)
    iss = esr & 0x1FFFFFF
    if syndrome.ec == EC_WFX:
        short = ("WFI", "WFE", "WFIT", "WFET")[iss & 3]
    elif syndrome.ec == EC_SYSREG:
        access = SysregAccess.of(iss)
        short = f"{'MRS' if access.is_read else 'MSR'} {access.name}"
    elif syndrome.ec == EC_DATA_ABORT and ipa:
        short = next(text for base, text in REGIONS if ipa >= base)
        return short, f"{syndrome}, IPA page {ipa:#x}"
    else:
        named = CLASSES.get(syndrome.ec, f"exception class {syndrome.ec:#04x}")
        short = SHORT.get(syndrome.ec, named)
    return short, str(syndrome)


NO_REASON = reason_of(0)


@dataclass
class _Cpu:
    """What a CPU has been doing since when."""

    since: int = 0
    executed: int = 0
    kind: str = ""
    who: int = NOBODY
    vector: int = 0


class Timeline:
    """All that the records say. `is_cut`: there was no room for more of them."""

    def __init__(self, records: Iterable[Record], start: int = 0) -> None:
        self.start, self.end = start, start
        self.is_cut = False
        self.names: dict[int, str] = {}
        self.cpus: dict[int, list[Span]] = {}
        self.vcpus: dict[int, list[Span]] = {}
        self.interrupts: list[Interrupt] = []
        self.deadlines: list[Deadline] = []
        self._cpus: dict[int, _Cpu] = {}
        self._states: dict[int, tuple[int, int, int]] = {}  # since, state, CPU
        self._raised: dict[tuple[int, int], Interrupt] = {}
        self._active: dict[tuple[int, int], Interrupt] = {}
        self._lines: dict[tuple[int, int], bool] = {}
        self._lists: dict[int, _List] = {}
        self._armed: dict[tuple[int, int], Deadline] = {}
        self._parts: dict[tuple[int, int], bytes] = {}
        for record in records:
            self.end = max(self.end, record.time)
            self._take(record)
        self._close()

    def name(self, who: int) -> str:
        """`alpha/1`, vCPU 1 of the VM alpha."""
        return f"{self.names.get(who >> 8, f'vm{who >> 8}')}/{who & 0xFF}"

    # ---- record by record

    def _take(self, record: Record) -> None:
        kind = Kind(record.kind)
        if kind is Kind.EXIT:
            self._cpu_does(record, "exit", vector=record.value)
        elif kind is Kind.ENTRY:
            self._cpu_does(record, "guest", reason_of(record.value, record.number * PAGE))
        elif kind is Kind.IDLE:
            self._cpu_does(record, "idle", reason_of(record.value, record.number * PAGE))
        elif kind is Kind.AWAKE:
            self._cpu_does(record, "exit", vector=0)
        elif kind is Kind.STATE:
            self._vcpu_is(record)
        elif kind is Kind.IRQ:
            self._line(record)
        elif kind is Kind.LIST_REGISTER:
            self._listed(record)
        elif kind is Kind.ACKNOWLEDGE:
            self._acknowledged(record)
        elif kind is Kind.COMPLETE:
            self._completed(record)
        elif kind is Kind.DEADLINE:
            self._deadline(record)
        elif kind is Kind.NAME:
            self._name(record)
        elif kind is Kind.FULL:
            self.is_cut = True

    def _cpu_does(self, record: Record, kind: str, reason: tuple[str, str] = NO_REASON,
                  vector: int = 0) -> None:
        """From now on; `reason`: of the exit that ends, if it was a synchronous one."""
        cpu = self._cpus.get(record.cpu)
        if cpu is not None:
            self._add_span(record.cpu, cpu, record.time, reason, record.executed)
        self._cpus[record.cpu] = _Cpu(record.time, record.executed, kind, record.who, vector)

    def _add_span(self, number: int, cpu: _Cpu, end: int, reason: tuple[str, str],
                  executed: int) -> None:
        label, detail = cpu.kind, ""
        if cpu.kind == "guest":
            label = self.name(cpu.who)
        elif cpu.kind == "exit" and cpu.vector == 0:
            label = "wake-up"
        elif cpu.kind == "exit" and cpu.vector in (IRQ_VECTOR, SERROR_VECTOR):
            label = "IRQ" if cpu.vector == IRQ_VECTOR else "SError"
        elif cpu.kind == "exit":
            label, detail = reason
        start = max(cpu.since, self.start)
        if end >= start:
            self.cpus.setdefault(number, []).append(
                Span(start, end, cpu.kind, label, detail, cpu.who, executed - cpu.executed))

    def _vcpu_is(self, record: Record) -> None:
        self._end_state(record.who, record.time)
        self._states[record.who] = (record.time, record.value, record.number)

    def _end_state(self, who: int, end: int) -> None:
        if who not in self._states:
            return
        since, state, cpu = self._states[who]
        name = STATES[state] if state < len(STATES) else f"state {state}"
        start = max(since, self.start)
        if end > start:
            label = f"runs on CPU {cpu}" if name == "runs" else name
            self.vcpus.setdefault(who, []).append(Span(start, end, name, label, who=who))

    def _key(self, who: int, intid: int) -> tuple[int, int]:
        return (who if intid < SPI_FIRST else who & 0xFF00, intid)

    def _line(self, record: Record) -> None:
        key = self._key(record.who, record.number)
        is_up = bool(record.value & 3)  # line or latch
        if is_up and not self._lines.get(key) and key not in self._raised:
            self._raised[key] = Interrupt(record.who, record.number, record.time)
        elif not is_up and key in self._raised:
            withdrawn = self._raised.pop(key)  # the guest has seen to the device without it
            withdrawn.withdrawn = record.time
            self.interrupts.append(withdrawn)
        self._lines[key] = is_up

    def _listed(self, record: Record) -> None:
        registers = self._lists.setdefault(record.who, _List()).registers
        registers[record.number] = record.value
        if record.value & LR_PENDING:
            waiting = self._raised.get(self._key(record.who, record.value & 0xFFFFFFFF))
            if waiting is not None and waiting.listed is None:
                waiting.listed = record.time

    def _acknowledged(self, record: Record) -> None:
        intid = self._lists.setdefault(record.who, _List()).acknowledge()
        if intid is None:
            return
        key = self._key(record.who, intid)
        interrupt = self._raised.pop(key, None) or Interrupt(record.who, intid, record.time)
        interrupt.who, interrupt.acknowledged = record.who, record.time
        self._active[record.who, intid] = interrupt

    def _completed(self, record: Record) -> None:
        intid = self._lists.setdefault(record.who, _List()).complete()
        interrupt = self._active.pop((record.who, intid), None) if intid is not None else None
        if interrupt is not None:
            interrupt.completed = record.time
            self.interrupts.append(interrupt)

    def _deadline(self, record: Record) -> None:
        key = (record.who, record.number)
        before = self._armed.pop(key, None)
        if before is not None:
            before.end = record.time
            self.deadlines.append(before)
        if record.value != NEVER:
            self._armed[key] = Deadline(record.who, record.number, record.time, record.value)

    def _name(self, record: Record) -> None:
        self._parts[record.who >> 8, record.number] = record.value.to_bytes(8, "little")
        whole = b"".join(self._parts.get((record.who >> 8, at), b"") for at in (0, 8))
        self.names[record.who >> 8] = whole.split(b"\0")[0].decode("ascii", "replace")

    def _close(self) -> None:
        for number, cpu in self._cpus.items():
            if cpu.kind != "exit":
                self._add_span(number, cpu, self.end, NO_REASON, cpu.executed)
        for who in list(self._states):
            self._end_state(who, self.end)
        self.interrupts += [*self._active.values(), *self._raised.values()]
        self.interrupts = sorted((one for one in self.interrupts
                                  if one.end(self.end) >= self.start),
                                 key=lambda one: one.raised)
        for deadline in self._armed.values():
            deadline.end = self.end
            self.deadlines.append(deadline)
        self.deadlines = sorted((one for one in self.deadlines if one.end >= self.start),
                                key=lambda one: one.armed)


def read_records(data: bytes) -> Iterator[Record]:
    """The records of a file; what a machine that was killed wrote of its last one is left out."""
    whole = len(data) - len(data) % RECORD.size
    return (Record(*fields) for fields in RECORD.iter_unpack(data[:whole]))


@dataclass(frozen=True)
class Row:
    """How often something took how long."""

    name: str
    count: int
    median: int
    longest: int
    total: int
    example: tuple[int, int]  # start and end of the longest one


def _row(name: str, items: list[tuple[int, int, int]]) -> Row:
    """Of things with a start, an end and a size."""
    sizes = [size for _, _, size in items]
    start, end, longest = max(items, key=lambda item: item[2])
    return Row(name, len(items), round(median(sizes)), longest, sum(sizes), (start, end))


def exits_by_reason(timeline: Timeline) -> list[Row]:
    """The exits to EL2 in instructions, those that took most of them first."""
    groups: dict[str, list[tuple[int, int, int]]] = {}
    for spans in timeline.cpus.values():
        for span in spans:
            if span.kind == "exit":
                groups.setdefault(span.label, []).append(
                    (span.start, span.end, span.instructions))
    return sorted((_row(name, spans) for name, spans in groups.items()),
                  key=lambda row: -row.total)


def stages_of_interrupts(timeline: Timeline) -> list[Row]:
    """From the line to the list register, on to the acknowledgement, to completion; nanoseconds."""
    done = [one for one in timeline.interrupts if one.acknowledged is not None]
    stages: dict[str, list[tuple[int | None, int | None]]] = {
        "line to list register": [(one.raised, one.listed) for one in done],
        "list register to acknowledgement": [(one.listed, one.acknowledged) for one in done],
        "acknowledgement to completion": [(one.acknowledged, one.completed) for one in done],
    }
    rows = []
    for name, pairs in stages.items():
        spans = [(start, end, end - start) for start, end in pairs
                 if start is not None and end is not None and end >= start]
        if spans:
            rows.append(_row(name, spans))
    return rows


def shares(timeline: Timeline) -> dict[int, dict[str, float]]:
    """Of each CPU the shares of its time that guests had, EL2 had, and nobody had.

    The time counts from the first guest on; an EL2 that starts is no exit.
    """
    times = {cpu: {kind: sum(span.length for span in spans if span.kind == kind)
                   for kind in ("guest", "exit", "idle")}
             for cpu, spans in sorted(timeline.cpus.items())}
    return {cpu: {kind: time / max(sum(of.values()), 1) for kind, time in of.items()}
            for cpu, of in times.items()}


def trace_events(timeline: Timeline) -> dict[str, Any]:
    """The trace-event format, which Perfetto and chrome://tracing open; times in microseconds."""
    events: list[dict[str, Any]] = []

    def metadata(pid: int, tid: int | None, name: str) -> None:
        which = "process_name" if tid is None else "thread_name"
        events.append({"ph": "M", "name": which, "pid": pid, "tid": tid or 0,
                       "args": {"name": name}})

    def complete(pid: int, tid: int, span: Span) -> None:
        events.append({"ph": "X", "pid": pid, "tid": tid, "cat": span.kind, "name": span.label,
                       "ts": span.start / 1000, "dur": span.length / 1000,
                       **({"args": {"syndrome": span.detail, "instructions": span.instructions}}
                          if span.kind == "exit" else {})})

    metadata(1, None, "CPUs")
    for cpu, spans in sorted(timeline.cpus.items()):
        metadata(1, cpu, f"CPU {cpu}")
        for span in spans:
            complete(1, cpu, span)
    for who, spans in sorted(timeline.vcpus.items()):
        pid = 2 + (who >> 8)
        metadata(pid, None, timeline.names.get(who >> 8, f"vm{who >> 8}"))
        metadata(pid, who & 0xFF, timeline.name(who))
        for span in spans:
            complete(pid, who & 0xFF, span)
    for number, one in enumerate(timeline.interrupts):
        steps = [("b", one.raised, f"INTID {one.intid}")]
        if one.listed is not None:
            steps.append(("n", one.listed, "in a list register"))
        if one.acknowledged is not None:
            steps.append(("n", one.acknowledged, "acknowledged"))
        steps.append(("e", one.end(timeline.end), f"INTID {one.intid}"))
        events += [{"ph": phase, "cat": "interrupt", "name": name, "id": number,
                    "pid": 2 + (one.who >> 8), "tid": one.who & 0xFF, "ts": at / 1000}
                   for phase, at, name in steps]
    for number, deadline in enumerate(timeline.deadlines):
        pid, tid = ((1, deadline.who) if DEADLINES[deadline.number] == "time slice"
                    else (2 + (deadline.who >> 8), deadline.who & 0xFF))
        events += [{"ph": phase, "cat": "deadline", "name": DEADLINES[deadline.number],
                    "id": f"d{number}", "pid": pid, "tid": tid, "ts": at / 1000,
                    "args": {"due": deadline.due / 1000}}
                   for phase, at in (("b", deadline.armed), ("e", deadline.end))]
    return {"displayTimeUnit": "ns", "traceEvents": events}
