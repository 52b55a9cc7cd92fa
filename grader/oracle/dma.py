# SPDX-License-Identifier: MIT
"""What devices may reach: the SMMU's registers and tables as they are in the machine.

Registers are read through the monitor, which sees what the device has, and tables in physical
memory. Nothing is taken from what the hypervisor wrote down for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from grader.machine.machine import Machine
from grader.oracle.decode.fields import bit, bits
from grader.oracle.decode import smmu as memory
from grader.oracle.decode.smmu import STAGE_1, STAGE_2, STE_BYTES, Cd, Command, Event, Ste
from grader.oracle.decode.table import Walk

BASE = 0x0905_0000
IDR0, CR0, CR0ACK, CR1, CR2, IRQ_CTRL = 0x00, 0x20, 0x24, 0x28, 0x2C, 0x50
GERROR, GERRORN = 0x60, 0x64
STRTAB_BASE, STRTAB_BASE_CFG = 0x80, 0x88
CMDQ_BASE, CMDQ_PROD, CMDQ_CONS = 0x90, 0x98, 0x9C
EVENTQ_BASE, EVENTQ_PROD, EVENTQ_CONS = 0xA0, 0x100A8, 0x100AC
ADDRESS = (1 << 52) - 32


@dataclass(frozen=True)
class Queue:
    """A ring as its registers say it."""

    base: int
    log2_count: int
    prod: int
    cons: int
    entry_bytes: int

    @property
    def is_aligned(self) -> bool:
        return self.base % max(32, self.entry_bytes << self.log2_count) == 0

    @property
    def is_empty(self) -> bool:
        return not (self.prod ^ self.cons) & (2 << self.log2_count) - 1


@dataclass(frozen=True)
class Reach:
    """A leaf of a device's table."""

    walk: Walk
    writable: bool
    is_device: bool

    @property
    def global_(self) -> bool:
        """Stage 1: translations of every ASID use it (nG is 0)."""
        return not bit(self.walk.descriptor, 11)


class Smmu:
    """The SMMU of a machine that stands."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def register(self, offset: int) -> int:
        answer = self.machine.qmp.hmp(f"xp /1wx {BASE + offset:#x}")
        found = re.search(r": (0x[0-9a-f]+)", answer)
        assert found, answer
        return int(found[1], 16)

    def register64(self, offset: int) -> int:
        return self.register(offset) | self.register(offset + 4) << 32

    def words(self, address: int, count: int) -> tuple[int, ...]:
        return self.machine.memory.words(address, count)

    @property
    def is_on(self) -> bool:
        return self.register(CR0) == self.register(CR0ACK) and bool(bit(self.register(CR0), 0))

    @property
    def has_stage2(self) -> bool:
        return bool(bit(self.register(IDR0), 0))

    def _queue(self, base: int, prod: int, cons: int, entry_bytes: int) -> Queue:
        value = self.register64(base)
        return Queue(
            value & ADDRESS, bits(value, 4, 0), self.register(prod),
            self.register(cons), entry_bytes
        )

    @property
    def commands(self) -> Queue:
        return self._queue(CMDQ_BASE, CMDQ_PROD, CMDQ_CONS, 16)

    @property
    def events(self) -> Queue:
        return self._queue(EVENTQ_BASE, EVENTQ_PROD, EVENTQ_CONS, 32)

    def commands_since(self, prod: int) -> list[Command]:
        """The commands that were written since PROD was that, if there were fewer than fit."""
        queue = self.commands
        found = []
        for index in memory.positions(queue.prod, prod, queue.log2_count):
            first, second = self.words(queue.base + 16 * index, 2)
            found.append(Command((first, second)))
        return found

    def events_since(self, prod: int) -> list[Event]:
        """The records that were written since PROD was that; they stay in memory when they were
        read."""
        queue = self.events
        return [
            Event(self.words(queue.base + 32 * index, 4))
            for index in memory.positions(queue.prod, prod, queue.log2_count)
        ]

    @property
    def stream_count(self) -> int:
        """Entries of the stream table, which is linear."""
        config = self.register(STRTAB_BASE_CFG)
        assert bits(config, 17, 16) == 0, "a linear stream table"
        return 1 << bits(config, 5, 0)

    @property
    def stream_table(self) -> int:
        return self.register64(STRTAB_BASE) & ADDRESS

    def ste(self, stream: int) -> Ste:
        return Ste(self.words(self.stream_table + STE_BYTES * stream, 8))

    def valid_streams(self) -> list[int]:
        """StreamIDs whose entries are valid, of the whole table."""
        table = self.machine.memory.read(self.stream_table, STE_BYTES * self.stream_count)
        return [number for number in range(len(table) // STE_BYTES)
                if bit(table[STE_BYTES * number], 0)]

    def cd(self, ste: Ste) -> Cd:
        return Cd(self.words(ste.context, 8))

    def space(self, stream: int) -> list[Reach]:
        """All that a device may reach."""
        ste = self.ste(stream)
        read = self.machine.memory.words
        if ste.config == STAGE_2:
            return [Reach(walk, leaf.writable, leaf.is_device)
                    for walk, leaf in ste.stage2(read).leaves()]
        if ste.config == STAGE_1:
            stage1 = self.cd(ste).stage1(read)
            return [Reach(walk, leaf.writable, leaf.is_device) for walk, leaf in stage1.leaves()]
        return []
