# SPDX-License-Identifier: MIT
"""Reads vms.toml, the one way to say which VMs run. Every mistake is one line naming file and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.errors import UserError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

VM_MAX = 32
VCPU_MAX = 8
MEMORY_STEP = 2 * MIB  # one stage-2 block; also the least that a VM can have
MEMORY_MAX = 64 * GIB
CMDLINE_MAX = 2047  # arm64's COMMAND_LINE_SIZE is 2048 with its NUL
DEVICES_FROM_LAB = 5
CPUS_FROM_LAB = 6
PAGE_SIZES = {"4K": 4 * KIB, "2M": 2 * MIB}

NAME = re.compile(r"[a-z0-9-]{1,15}")
SIZE = re.compile(r"([0-9]+)([KMG])")
PCI_ADDRESS = re.compile(r"[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")


@dataclass(frozen=True)
class VmConfig:
    """One [[vm]] table; paths are absolute."""

    name: str
    memory: int
    kernel: Path
    cpus: int = 1
    initrd: Path | None = None
    cmdline: str = ""
    dtb: Path | None = None
    page_size: int = 2 * MIB
    devices: tuple[str, ...] = field(default=())


def parse_size(text: str) -> int:
    """The bytes of "512M", "2G", "64K". Raises ValueError for anything else."""
    match = SIZE.fullmatch(text)
    if not match:
        raise ValueError(f'"{text}" is not a size; write a whole number with K, M or G, like "512M"')
    return int(match[1]) << {"K": 10, "M": 20, "G": 30}[match[2]]


def format_size(size: int) -> str:
    """The shortest exact spelling: 512M, 2G, 1234 bytes."""
    for suffix, unit in (("G", GIB), ("M", MIB), ("K", KIB)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return f"{size} bytes"


class _Table:
    """One [[vm]] table while it is read: takes keys out and says where a bad one stands."""

    TYPES = {str: "a string", int: "a whole number", list: "a list of strings"}

    def __init__(self, path: Path, index: int, values: dict[str, Any]) -> None:
        self.path, self.values = path, values
        name = values.get("name")
        self.where = f"{path}: vm[{index}]" + (f' "{name}"' if isinstance(name, str) else "")

    def error(self, key: str, problem: str) -> UserError:
        return UserError(f"{self.where}: {key}: {problem}")

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        if key not in self.values:
            if default is None:
                raise self.error(key, "this key is required")
            return default
        value = self.values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, f"must be {self.TYPES[kind]}, not {value!r}")
        return value

    def take_path(self, key: str) -> Path | None:
        text = self.take(key, str, "")
        if key not in self.values:
            return None
        path = self.path.parent / text
        if not text or path.is_dir() or not path.exists():
            raise self.error(key, f'"{text}" is a directory' if text and path.is_dir()
                             else f'no such file: "{path}"')
        return path.resolve()

    def reject_unknown(self, known: tuple[str, ...]) -> None:
        for key in self.values:
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f'; did you mean "{close[0]}"?' if close else f"; the keys are {', '.join(known)}"
                raise self.error(key, f"unknown key{hint}")


def _read_vm(path: Path, index: int, values: dict[str, Any], lab: int) -> VmConfig:
    table = _Table(path, index, values)
    table.reject_unknown(tuple(VmConfig.__dataclass_fields__))

    name = table.take("name", str)
    if not NAME.fullmatch(name):
        raise table.error("name", f'"{name}" must be 1 to 15 of a-z, 0-9 and "-"')

    cpus = table.take("cpus", int, 1)
    if not 1 <= cpus <= VCPU_MAX:
        raise table.error("cpus", f"{cpus} must be 1 to {VCPU_MAX}")
    if cpus > 1 and lab < CPUS_FROM_LAB:
        raise table.error("cpus", f"more than one needs lab {CPUS_FROM_LAB}, this image has labs 1 to {lab}")

    try:
        memory = parse_size(table.take("memory", str))
    except ValueError as error:
        raise table.error("memory", str(error)) from None
    if memory % MEMORY_STEP or not MEMORY_STEP <= memory <= MEMORY_MAX:
        raise table.error("memory", f"{format_size(memory)} must be a multiple of 2M, "
                          f"from 2M to {format_size(MEMORY_MAX)}")

    table.take("kernel", str)
    kernel = table.take_path("kernel")
    assert kernel is not None

    cmdline = table.take("cmdline", str, "")
    if len(cmdline.encode()) > CMDLINE_MAX or "\0" in cmdline:
        raise table.error("cmdline", f"must be at most {CMDLINE_MAX} bytes, none of them NUL")

    page_size = table.take("page_size", str, "2M")
    if page_size not in PAGE_SIZES:
        raise table.error("page_size", f'"{page_size}" must be {" or ".join(PAGE_SIZES)}')

    devices = table.take("devices", list, [])
    for device in devices:
        if not isinstance(device, str) or not PCI_ADDRESS.fullmatch(device):
            raise table.error("devices", f'{device!r} is not a PCI address like "00:02.0"')
    if devices and lab < DEVICES_FROM_LAB:
        raise table.error("devices", f"device assignment needs lab {DEVICES_FROM_LAB}, "
                          f"this image has labs 1 to {lab}")

    return VmConfig(name, memory, kernel, cpus, table.take_path("initrd"), cmdline,
                    table.take_path("dtb"), PAGE_SIZES[page_size], tuple(devices))


def load_vms(path: Path, *, lab: int = 6) -> list[VmConfig]:
    """Read and check a vms.toml for an image that has layers 1 to lab."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not TOML: {error}") from None

    for key in document:
        if key != "vm":
            hint = '; did you mean "[[vm]]"?' if key.lower().startswith("vm") else ""
            raise UserError(f"{path}: {key}: unknown key at top level, where only [[vm]] may stand{hint}")
    tables = document.get("vm", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{path}: vm: must be written as [[vm]], one a VM")
    if not tables:
        raise UserError(f"{path}: vm: there is no [[vm]] in this file")
    if len(tables) > VM_MAX:
        raise UserError(f"{path}: vm: {len(tables)} VMs; at most {VM_MAX} can run")

    vms = [_read_vm(path, index, table, lab) for index, table in enumerate(tables)]
    seen: dict[str, int] = {}
    for index, vm in enumerate(vms):
        if vm.name in seen:
            raise UserError(f'{path}: vm[{index}] "{vm.name}": name: vm[{seen[vm.name]}] has this name')
        seen[vm.name] = index
    return vms
