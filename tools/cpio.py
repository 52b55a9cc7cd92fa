# SPDX-License-Identifier: MIT
"""A reproducible initramfs: the "newc" cpio format, gzipped, without times, owners or inode chance.

Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass

S_IFDIR, S_IFCHR, S_IFREG = 0o040000, 0o020000, 0o100000


@dataclass(frozen=True)
class Entry:
    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> Entry:
    return Entry(name, S_IFDIR | 0o755)


def executable(name: str, data: bytes) -> Entry:
    return Entry(name, S_IFREG | 0o755, data)


def character_device(name: str, major: int, minor: int) -> Entry:
    return Entry(name, S_IFCHR | 0o600, device=(major, minor))


def make_initramfs(entries: list[Entry]) -> bytes:
    archive = bytearray()
    for inode, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.name.encode() + b"\0"
        links = 2 if entry.mode & S_IFDIR == S_IFDIR else 1
        fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0,
                  *entry.device, len(name), 0)
        archive += b"070701" + b"".join(b"%08X" % value for value in fields) + name
        archive += bytes(-len(archive) % 4)
        archive += entry.data
        archive += bytes(-len(archive) % 4)
    return gzip.compress(archive, 9, mtime=0)
