# SPDX-License-Identifier: MIT
"""Physical memory of the machine, mapped into the grader: readable at any time, even afterwards."""

from __future__ import annotations

import os
import struct
from mmap import MAP_SHARED, PROT_READ, mmap

from grader.machine.verdict import Finding, Verdict

RAM_BASE = 0x4000_0000
_U64 = struct.Struct("<Q")


class PhysicalMemory:
    """RAM as a memory file that QEMU and the grader share.

    Reading costs no round trip and cannot be influenced from inside the machine. The machine's
    own caches do not exist under TCG, so what is read is what its CPUs would read.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.fd = os.memfd_create("strata-ram")
        os.ftruncate(self.fd, size)
        self._map = mmap(self.fd, size, MAP_SHARED, PROT_READ)

    def arguments(self) -> list[str]:
        """QEMU options that make this file the machine's RAM."""
        backend = f"memory-backend-file,id=ram,size={self.size},share=on"
        return [
            "-object",
            f"{backend},mem-path=/proc/self/fd/{self.fd}",
            "-machine",
            "memory-backend=ram",
        ]

    def close(self) -> None:
        self._map.close()
        os.close(self.fd)

    def contains(self, address: int, count: int = 1) -> bool:
        return RAM_BASE <= address and address + count <= RAM_BASE + self.size

    def read(self, address: int, count: int) -> bytes:
        """`count` bytes at a physical address; FAIL when it is not RAM (a wild pointer)."""
        if not self.contains(address, count):
            raise Finding(
                Verdict.FAIL,
                "a structure of the hypervisor lies in RAM",
                observed=f"physical address {address:#x}, {count} bytes",
                expected=f"[{RAM_BASE:#x}, {RAM_BASE + self.size:#x})",
            )
        offset = address - RAM_BASE
        return self._map[offset:offset + count]

    def write(self, address: int, data: bytes) -> None:
        """Data, and no code: what the emulator has translated of it would stay."""
        self.read(address, len(data))  # which says when it is not RAM
        os.pwrite(self.fd, data, address - RAM_BASE)

    def u32(self, address: int) -> int:
        return int(struct.unpack("<I", self.read(address, 4))[0])

    def u64(self, address: int) -> int:
        if not self.contains(address, 8):
            self.read(address, 8)  # which says so
        return int(_U64.unpack_from(self._map, address - RAM_BASE)[0])

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """64-bit words from an address on."""
        return struct.unpack(f"<{count}Q", self.read(address, 8 * count))

    def text(self, address: int, limit: int = 256) -> str:
        """A NUL-terminated string, at most `limit` bytes; empty when it is not in RAM."""
        if not self.contains(address):
            return ""
        count = min(limit, RAM_BASE + self.size - address)
        return self.read(address, count).split(b"\0")[0].decode("ascii", "backslashreplace")
