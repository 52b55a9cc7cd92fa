# SPDX-License-Identifier: MIT
"""Reads vms.toml, which lists the VMs to run. Each mistake is one line that names file and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.errors import UserError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

VM_MAX = 64
VCPU_MAX = 8  # of one VM
MACHINE_CPUS_MAX = 8
MEMORY_STEP = 2 * MIB  # one stage-2 block; also the least that a VM can have
MEMORY_MAX = 64 * GIB
CMDLINE_MAX = 2047  # arm64's COMMAND_LINE_SIZE is 2048 with its NUL
DEVICES_FROM_LAB = 5
DEVICES_MAX = 16  # that one VM owns
CPUS_FROM_LAB = VMIDS_FROM_LAB = 6
CPUS_ALL = "all"  # as many vCPUs as the machine has CPUs
PIN_FORM = "a list of CPUs like [0, 1], or one such list a vCPU like [[0], [1]]"
VMIDS_MAX = 0xFFFF
PAGE_SIZES = {"4K": 4 * KIB, "2M": 2 * MIB}

NAME = re.compile(r"[a-z0-9-]{1,15}")
SIZE = re.compile(r"([0-9]+)([KMG])")
PCI_ADDRESS = re.compile(r"([0-9a-f]{2}):([01][0-9a-f])\.([0-7])")

# The models that a [[device]] can be, and the key that says what each has at its other end.
MODELS = {"edu": None, "virtio-blk-pci": "file", "nvme": "file", "virtio-net-pci": "hub",
          "e1000e": "hub"}


@dataclass(frozen=True)
class VmConfig:
    """One [[vm]] table; paths are absolute.

    `pin` has for each vCPU the machine's CPUs that it may run on; it is empty if that is any.
    """

    name: str
    memory: int
    kernel: Path
    cpus: int = 1
    initrd: Path | None = None
    cmdline: str = ""
    dtb: Path | None = None
    page_size: int = 2 * MIB
    devices: tuple[str, ...] = field(default=())
    pin: tuple[tuple[int, ...], ...] = field(default=())


@dataclass(frozen=True)
class DeviceConfig:
    """One [[device]] table: a PCI device that QEMU's machine has; the path is absolute."""

    address: str
    model: str
    file: Path | None = None
    hub: int | None = None
    options: str = ""


@dataclass(frozen=True)
class VmsFile:
    """A vms.toml."""

    vms: list[VmConfig]
    devices: list[DeviceConfig]
    smmu_stage: int | None = None  # 1: stage 1 although the SMMU has stage 2; None: the better
    vmids: int = 0  # at most so many VMIDs are used; 0: as many as the CPU has
    expect: tuple[str, ...] = ()  # texts that the console shows in a run without a terminal

    @property
    def has_smmu(self) -> bool:
        return bool(self.devices) or any(vm.devices for vm in self.vms)


def pci_number(address: str) -> int:
    """bus << 8 | device << 3 | function of "00:02.0"."""
    match = PCI_ADDRESS.fullmatch(address)
    assert match
    bus, device, function = (int(digits, 16) for digits in match.groups())
    return bus << 8 | device << 3 | function


def parse_size(text: str) -> int:
    """The bytes of "512M", "2G", "64K". Raises ValueError for anything else."""
    match = SIZE.fullmatch(text)
    if not match:
        raise ValueError(f'"{text}" is not a size; write a whole number with K, M or G, '
                         'like "512M"')
    return int(match[1]) << {"K": 10, "M": 20, "G": 30}[match[2]]


def format_size(size: int) -> str:
    """The shortest exact spelling: 512M, 2G, 1234 bytes."""
    for suffix, unit in (("G", GIB), ("M", MIB), ("K", KIB)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return f"{size} bytes"


class _Table:
    """One table while it is read: takes keys out and says where a bad one stands."""

    TYPES = {str: "a string", int: "a whole number", list: "a list of strings"}

    def __init__(self, path: Path, where: str, values: dict[str, Any], name_key: str) -> None:
        self.path, self.values = path, values
        name = values.get(name_key)
        self.where = f"{path}: {where}" + (f' "{name}"' if isinstance(name, str) else "")

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
                hint = (f'; did you mean "{close[0]}"?' if close
                        else f"; the keys are {', '.join(known)}")
                raise self.error(key, f"unknown key{hint}")


def _read_vm(path: Path, index: int, values: dict[str, Any], lab: int,
             machine_cpus: int) -> VmConfig:
    table = _Table(path, f"vm[{index}]", values, "name")
    table.reject_unknown(tuple(VmConfig.__dataclass_fields__))

    name = table.take("name", str)
    if not NAME.fullmatch(name):
        raise table.error("name", f'"{name}" must be 1 to 15 of a-z, 0-9 and "-"')

    cpus = _read_cpus(table, lab, machine_cpus)

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

    devices = _read_addresses(table, lab)
    return VmConfig(name, memory, kernel, cpus, table.take_path("initrd"), cmdline,
                    table.take_path("dtb"), PAGE_SIZES[page_size], devices,
                    _read_pin(table, lab, cpus))


def _read_cpus(table: _Table, lab: int, machine_cpus: int) -> int:
    """How many vCPUs the VM has."""
    if table.values.get("cpus") == CPUS_ALL:
        return machine_cpus if lab >= CPUS_FROM_LAB else 1
    if isinstance(table.values.get("cpus"), str):
        raise table.error("cpus", f'must be a whole number or "{CPUS_ALL}", '
                          f'not {table.values["cpus"]!r}')
    cpus: int = table.take("cpus", int, 1)
    if not 1 <= cpus <= VCPU_MAX:
        raise table.error("cpus", f"{cpus} must be 1 to {VCPU_MAX}")
    if cpus > 1 and lab < CPUS_FROM_LAB:
        raise table.error("cpus", f"more than one needs lab {CPUS_FROM_LAB}, "
                          f"this image has labs 1 to {lab}")
    return cpus


def _read_pin(table: _Table, lab: int, cpus: int) -> tuple[tuple[int, ...], ...]:
    """The CPUs that each vCPU may run on."""
    if "pin" not in table.values:
        return ()
    pin = table.values["pin"]
    if lab < CPUS_FROM_LAB:
        raise table.error("pin", f"needs lab {CPUS_FROM_LAB}, this image has labs 1 to {lab}")
    if not isinstance(pin, list) or not pin:
        raise table.error("pin", f"must be {PIN_FORM}, not {pin!r}")
    if not any(isinstance(entry, list) for entry in pin):
        pin = [pin] * cpus
    elif len(pin) != cpus:
        raise table.error("pin", f"has {len(pin)} lists, but the VM has {cpus} vCPUs")
    for entry in pin:
        _check_pinned(table, entry)
    return tuple(tuple(entry) for entry in pin)


def _check_pinned(table: _Table, entry: Any) -> None:
    """The CPUs of one vCPU."""
    if not isinstance(entry, list) or not entry:
        raise table.error("pin", f"must be {PIN_FORM}, not {entry!r} for a vCPU")
    for cpu in entry:
        if type(cpu) is not int or not 0 <= cpu < MACHINE_CPUS_MAX:
            raise table.error("pin", f"{cpu!r} is no CPU: they are 0 to {MACHINE_CPUS_MAX - 1}")
    if len(set(entry)) != len(entry):
        raise table.error("pin", f"{entry!r} names one CPU twice")


def _read_addresses(table: _Table, lab: int) -> tuple[str, ...]:
    """The devices of a VM."""
    devices = table.take("devices", list, [])
    for device in devices:
        _check_address(table, "devices", device)
        function_0 = f"{device[:-1]}0"
        if function_0 not in devices:
            raise table.error("devices",
                              f'"{device}" cannot be found without "{function_0}", where its '
                              f"other functions are looked for")
    if len(devices) > DEVICES_MAX:
        raise table.error("devices", f"{len(devices)} devices; a VM can have {DEVICES_MAX}")
    if devices and lab < DEVICES_FROM_LAB:
        raise table.error("devices", f"device assignment needs lab {DEVICES_FROM_LAB}, "
                          f"this image has labs 1 to {lab}")
    return tuple(devices)


def _check_address(table: _Table, key: str, address: Any) -> None:
    if not isinstance(address, str) or not PCI_ADDRESS.fullmatch(address):
        raise table.error(key, f'{address!r} is not a PCI address like "00:02.0"')
    if pci_number(address) >= 1 << 8:
        raise table.error(key, f'"{address}" is not on bus 0: devices behind a bridge may share '
                          'a StreamID, '
                          f"and with it what their DMA may reach")


def _read_device(path: Path, index: int, values: dict[str, Any]) -> DeviceConfig:
    table = _Table(path, f"device[{index}]", values, "address")
    table.reject_unknown(tuple(DeviceConfig.__dataclass_fields__))
    address, model = table.take("address", str), table.take("model", str)
    _check_address(table, "address", address)
    if pci_number(address) < pci_number("00:02.0"):
        raise table.error("address", f'"{address}" is taken: slots 0 and 1 are the machine\'s own')
    if model not in MODELS:
        raise table.error("model", f'"{model}" must be one of {", ".join(MODELS)}')
    for key in ("file", "hub"):
        if key in values and key != MODELS[model]:
            raise table.error(key, f"{model} has none")
    file = None
    if MODELS[model] == "file":
        table.take("file", str)
        file = table.take_path("file")
    hub = table.take("hub", int) if MODELS[model] == "hub" else None
    return DeviceConfig(address, model, file, hub, table.take("options", str, ""))


def _reject_twice(path: Path, kind: str, key: str, values: list[tuple[int, str, str]]) -> None:
    """No two of (index of the table, its name, value of the key) may have one value."""
    seen: dict[str, int] = {}
    for index, name, value in values:
        if value in seen:
            what = f"this {key}" if value == name else f'"{value}"'
            raise UserError(f'{path}: {kind}[{index}] "{name}": {key}: '
                            f'{kind}[{seen[value]}] has {what}')
        seen[value] = index


def load_vms(path: Path, *, lab: int = 6, machine_cpus: int = 1) -> list[VmConfig]:
    """The VMs of a vms.toml alone."""
    return load_file(path, lab=lab, machine_cpus=machine_cpus).vms


def _read_vmids(path: Path, document: dict[str, Any], lab: int) -> int:
    vmids = document.get("vmids", 0)
    if type(vmids) is not int or "vmids" in document and not 1 <= vmids <= VMIDS_MAX:
        raise UserError(f"{path}: vmids: must be a number from 1 to {VMIDS_MAX}")
    if vmids and lab < VMIDS_FROM_LAB:
        raise UserError(f"{path}: vmids: to run with fewer VMIDs needs lab {VMIDS_FROM_LAB}")
    return vmids


def load_file(path: Path, *, lab: int = 6, machine_cpus: int = 1) -> VmsFile:
    """Read and check a vms.toml for an image that has layers 1 to lab on such a machine."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not TOML: {error}") from None

    for key in document:
        if key not in ("vm", "device", "smmu_stage", "vmids", "expect"):
            close = difflib.get_close_matches(key.lower(), ("vm", "device"), 1, cutoff=0.5)
            hint = f'; did you mean "[[{close[0]}]]"?' if close else ""
            raise UserError(f"{path}: {key}: unknown key at top level, where only [[vm]], "
                            f"[[device]], smmu_stage, vmids and expect may stand{hint}")
    expect = document.get("expect", [])
    if not isinstance(expect, list) or not all(isinstance(text, str) for text in expect):
        raise UserError(f"{path}: expect: must be a list of strings")
    tables, devices = (_tables(path, document, key) for key in ("vm", "device"))
    if not tables:
        raise UserError(f"{path}: vm: there is no [[vm]] in this file")
    if len(tables) > VM_MAX:
        raise UserError(f"{path}: vm: {len(tables)} VMs; at most {VM_MAX} can run")
    if document.get("smmu_stage", 1) != 1:
        raise UserError(f"{path}: smmu_stage: must be 1, or left out for the better one "
                        "that there is")
    vmids = _read_vmids(path, document, lab)

    file = VmsFile([_read_vm(path, index, table, lab, machine_cpus)
                    for index, table in enumerate(tables)],
                   [_read_device(path, index, table) for index, table in enumerate(devices)],
                   document.get("smmu_stage"), vmids, tuple(expect))
    _reject_twice(path, "vm", "name",
                  [(index, vm.name, vm.name) for index, vm in enumerate(file.vms)])
    _reject_twice(path, "vm", "devices",
                  [(index, vm.name, device) for index, vm in enumerate(file.vms)
                   for device in vm.devices])
    _reject_twice(path, "device", "address", [(index, device.address, device.address)
                                              for index, device in enumerate(file.devices)])
    return file


def _tables(path: Path, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The tables [[key]]."""
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{path}: {key}: must be written as [[{key}]], "
                        f"one a {'VM' if key == 'vm' else key}")
    return tables
