# SPDX-License-Identifier: MIT
"""The memory that the plugin shares with the grader: struct shared of plugin/budget.c."""

from __future__ import annotations

import os
import struct
from enum import IntEnum, auto
from mmap import mmap

ENTRY_MAX = 4096
ENTRY = struct.Struct("<8Q")
PROGRAM_MAX = 8
PROGRAM = struct.Struct("<10Q")
PROGRAM_BYTES = 0x10000


class Word(IntEnum):
    """The members at the beginning, in their order; each has 8 bytes."""

    RETIRED = 0
    LIMIT = auto()
    REACHED = auto()
    PC = auto()
    CPU = auto()
    LOOPS_ALLOWED = auto()
    FOREIGN_PC = auto()
    FOREIGN_WORD = auto()
    FOREIGN_COUNT = auto()
    MOVED_FROM = auto()
    MOVED_TO = auto()
    MOVED_HOW = auto()
    MOVED_COUNT = auto()
    ENTRY_COUNT = auto()
    FINISH_COUNT = auto()
    FINISH_WANTED = auto()
    VCPU_COUNT = auto()
    PROGRAM_COUNT = auto()
    EL2_START = auto()
    EL2_END = auto()
    EL2_VECTORS = auto()


CPU_MAX = 8

# Behind the words.
RETIRED_BY = 8 * len(Word)
ENTRIES = RETIRED_BY + 8 * CPU_MAX
PROGRAMS = ENTRIES + ENTRY_MAX * ENTRY.size
SIZE = PROGRAMS + PROGRAM_MAX * (PROGRAM.size + PROGRAM_BYTES)


class Shared:
    """One machine's. Written only while the machine is stopped."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("strata-budget")
        os.ftruncate(self.fd, SIZE)
        self.bytes = mmap(self.fd, SIZE)

    def get(self, word: Word) -> int:
        return int(struct.unpack_from("<Q", self.bytes, 8 * word)[0])

    def put(self, word: Word, value: int) -> None:
        struct.pack_into("<Q", self.bytes, 8 * word, value)

    def retired_by(self, cpu: int) -> int:
        """Instructions of one CPU."""
        return int(struct.unpack_from("<Q", self.bytes, RETIRED_BY + 8 * cpu)[0])

    def close(self) -> None:
        self.bytes.close()
        os.close(self.fd)
