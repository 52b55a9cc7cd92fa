# SPDX-License-Identifier: MIT
"""Packs VMs into a bundle (format: kit/bundle.h), shows one, and verifies its checksums.

    tools/bundle pack [--gic 3] [--memory 1536M] [--cpus 1] [--lab 6] [--append TEXT]
                      [--seed TEXT] vms.toml -o FILE
    tools/bundle show FILE
    tools/bundle verify FILE
"""

from __future__ import annotations

import argparse
import gzip
import secrets
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.errors import UserError, run_main
from tools.files import write_atomically
from tools.guest_map import GUEST_MAP
from tools.vms import (DEVICES_MAX, KIB, MACHINE_CPUS_MAX, MIB, VCPU_MAX, VM_MAX, VmConfig, VmsFile,
                       format_size, load_file, parse_size, pci_number)

MAGIC = int.from_bytes(b"STRAUNDL", "little")
VERSION = 2
HEADER = struct.Struct("<QIIQIIQIII12x")
VM = struct.Struct("<16sIIQQQII")
SEGMENT = struct.Struct("<QQQII")
SEGMENT_MAX = 4
DEVICES = struct.Struct(f"<{DEVICES_MAX}H")
PIN = struct.Struct(f"<{VCPU_MAX}B")
VM_SIZE = 256
TRAILER = struct.Struct("<Q")
PAYLOAD_ALIGN = 4 * KIB
NO_DTB = (1 << 64) - 1
VM_PAGES_4K = 1
HEADER_SMMU, HEADER_SMMU_STAGE1 = 1, 2

RAM_BASE = GUEST_MAP["RAM_BASE"]
BUNDLE_ADDRESS = 0x4A00_0000
RESERVED = BUNDLE_ADDRESS - RAM_BASE  # the hypervisor and all below the bundle
FLAT_OFFSET = 0x8_0000
INITRD_ALIGN = 2 * MIB

DEVICES_AT = VM.size + SEGMENT_MAX * SEGMENT.size
PIN_AT = DEVICES_AT + DEVICES.size
assert HEADER.size == 64 and PIN_AT + PIN.size <= VM_SIZE


def align_up(value: int, to: int) -> int:
    return -(-value // to) * to


@dataclass(frozen=True)
class Segment:
    ram_offset: int
    data: bytes
    what: str


@dataclass(frozen=True)
class PackedVm:
    config: VmConfig
    entry_offset: int
    dtb_offset: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Kernel:
    """Where an image goes in its VM's RAM, and how much it needs there."""

    data: bytes
    offset: int
    size: int
    has_header: bool = True


def read_kernel(path: Path) -> Kernel:
    """An arm64 Image, plain, gzipped or in an EFI wrapper, or a flat binary. Raises ValueError."""
    data = path.read_bytes()
    if data[:2] == b"MZ" and data[4:8] == b"zimg":
        offset, size = struct.unpack_from("<II", data, 8)
        kind = data[24:56].split(b"\0")[0].decode("ascii", "replace")
        if kind != "gzip":
            raise ValueError(f"an EFI image compressed with {kind}; only gzip can be unpacked")
        data = data[offset:offset + size]
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be decompressed: {error}") from None
    if not data:
        raise ValueError("the file is empty")
    if data[:4] == b"\x7fELF":
        raise ValueError("is an ELF file; give an arm64 Image or a flat binary (objcopy -O binary)")
    if data[0x202:0x206] == b"HdrS":
        raise ValueError("is an x86 kernel; give an arm64 Image")
    if data[56:60] != b"ARM\x64":
        return Kernel(data, FLAT_OFFSET, len(data), has_header=False)
    text_offset, image_size, flags = struct.unpack_from("<QQQ", data, 8)
    if flags & 1:
        raise ValueError("is a big-endian kernel")
    if image_size == 0:  # before Linux 3.17 the header had neither field
        text_offset = FLAT_OFFSET
    return Kernel(data, text_offset, max(image_size, len(data)))


def pack_vm(vm: VmConfig, where: str, *, gic_version: int, append: str = "",
            seed: bytes | None = None) -> PackedVm:
    """Lay out one VM's RAM: kernel where its header says, initrd after it, device tree on top.

    Below a kernel without a header a copy of the device tree is at the start of RAM: software that
    knows no boot protocol, firmware for example, looks for the tree there, as on QEMU's virt.
    """
    from tools import dtb  # needs libfdt, which `verify` and `show` do without

    def error(key: str, problem: str) -> UserError:
        return UserError(f'{where}: vm "{vm.name}": {key}: {problem}')

    def too_big(key: str, needs: int) -> UserError:
        least = format_size(align_up(needs, MIB))
        return error(key, f"does not fit: with all below it the VM needs {least}, "
                          f"memory is {format_size(vm.memory)}")

    try:
        kernel = read_kernel(vm.kernel)
    except OSError as problem:
        raise error("kernel", f"{vm.kernel}: {problem.strerror}") from None
    except ValueError as problem:
        raise error("kernel", f"{vm.kernel}: {problem}") from None
    end = kernel.offset + kernel.size
    if end > vm.memory:
        raise too_big("kernel", end)
    segments = [Segment(kernel.offset, kernel.data, "kernel")]

    initrd = None
    if vm.initrd:
        try:
            data = vm.initrd.read_bytes()
        except OSError as problem:
            raise error("initrd", f"{vm.initrd}: {problem.strerror}") from None
        if not data:
            raise error("initrd", f"{vm.initrd}: the file is empty")
        start = align_up(end, INITRD_ALIGN)
        end = start + len(data)
        if end > vm.memory:
            raise too_big("initrd", end)
        segments.append(Segment(start, data, "initrd"))
        initrd = RAM_BASE + start, RAM_BASE + end

    try:
        if vm.dtb:
            tree = dtb.patch_dtb(vm.dtb.read_bytes(), cmdline=vm.cmdline, append=append,
                                 initrd=initrd)
        else:
            tree = dtb.make_dtb(cpus=vm.cpus, memory=vm.memory, gic_version=gic_version,
                                cmdline=f"{vm.cmdline} {append}".strip(), initrd=initrd, seed=seed,
                                pci=bool(vm.devices))
    except (OSError, ValueError) as problem:
        raise error("dtb", f"{vm.dtb}: {problem}") from None
    if len(tree) > dtb.DTB_MAX:
        raise error("dtb", "must not be larger than 2M")
    dtb_offset = (vm.memory - len(tree)) // PAYLOAD_ALIGN * PAYLOAD_ALIGN
    if dtb_offset < end:
        raise too_big("dtb", end + len(tree) + PAYLOAD_ALIGN)
    segments.append(Segment(dtb_offset, tree, "dtb"))
    if not kernel.has_header and len(tree) <= kernel.offset:
        segments.append(Segment(0, tree, "dtb at the start of RAM"))
    return PackedVm(vm, kernel.offset, dtb_offset, tuple(segments))


def vm_flags(vm: VmConfig) -> int:
    """struct bundle_vm.flags."""
    return VM_PAGES_4K if vm.page_size == 4 * KIB else 0


def pin_masks(vm: VmConfig, where: str, machine_cpus: int) -> list[int]:
    """struct bundle_vm.pin: of each vCPU the CPUs that it may run on; all if none is named."""
    machine = (1 << machine_cpus) - 1
    masks = [sum(1 << cpu for cpu in cpus) for cpus in vm.pin] or [machine] * vm.cpus
    for mask in masks:
        if mask & ~machine:
            raise UserError(f'{where}: vm "{vm.name}": pin: there is no CPU '
                            f"{mask.bit_length() - 1}: the machine has CPUs 0 to "
                            f"{machine_cpus - 1} (SMP={mask.bit_length()} would do)")
    return masks


def header_flags(file: VmsFile) -> int:
    """struct bundle_header.flags."""
    stage1 = HEADER_SMMU_STAGE1 if file.smmu_stage == 1 else 0
    return HEADER_SMMU | stage1 if file.has_smmu else 0


def build_bundle(vms: list[VmConfig], where: str, *, gic_version: int = 3, machine_memory: int,
                 machine_cpus: int = 1, append: Mapping[str, str] | None = None,
                 seed: bytes | None = None, flags: int = 0, vmids: int = 0) -> bytes:
    """The bytes of a bundle.

    `where` names the source of the VMs in messages, `append` has for a VM's name what is added to
    its command line. Each VM's random seeds come from `seed` and its name; without it there are
    none. `flags` and `vmids` are the header's.
    """
    packed = [pack_vm(vm, where, gic_version=gic_version, append=(append or {}).get(vm.name, ""),
                      seed=seed and seed + vm.name.encode()) for vm in vms]
    payloads: dict[bytes, int] = {}
    table, body = bytearray(), bytearray()
    first = align_up(HEADER.size + VM_SIZE * len(packed), PAYLOAD_ALIGN)
    for vm in packed:
        record = VM.pack(vm.config.name.encode(), vm.config.cpus, len(vm.segments),
                         vm.config.memory, vm.entry_offset, vm.dtb_offset, vm_flags(vm.config),
                         len(vm.config.devices))
        for segment in vm.segments:
            offset = payloads.get(segment.data)
            if offset is None:
                body += bytes(-len(body) % PAYLOAD_ALIGN)
                offset = payloads[segment.data] = first + len(body)
                body += segment.data
            record += SEGMENT.pack(segment.ram_offset, offset, len(segment.data),
                                   zlib.crc32(segment.data), 0)
        record = record.ljust(DEVICES_AT, b"\0")
        for device in vm.config.devices:
            record += pci_number(device).to_bytes(2, "little")
        record = record.ljust(PIN_AT, b"\0") + bytes(pin_masks(vm.config, where, machine_cpus))
        table += record.ljust(VM_SIZE, b"\0")

    length = align_up(first + len(body), 8) + TRAILER.size
    demand = sum(vm.memory for vm in vms)
    room = machine_memory - RESERVED - length
    if demand > room:
        least = align_up(demand + RESERVED + length, MIB)
        raise UserError(f"{where}: memory: the VMs have {format_size(demand)} together, but a "
                        f"machine with {format_size(machine_memory)} has room for "
                        f"{format_size(max(room, 0) // MIB * MIB)} (MEM={least // MIB}M would do)")

    def header(crc: int) -> bytes:
        return HEADER.pack(MAGIC, VERSION, len(packed), length, crc, gic_version, machine_memory,
                           machine_cpus, flags, vmids)

    head = header(zlib.crc32(header(0) + table)) + table
    whole = (head.ljust(first, b"\0") + body).ljust(length - TRAILER.size, b"\0")
    return whole + TRAILER.pack(MAGIC)


def seed_of(text: str | None) -> bytes:
    """The `seed` of build_bundle() that a user asked for; a random one when he did not."""
    return secrets.token_bytes(32) if text is None else f"seed {text} ".encode()


def machine_memory_for(vms: list[VmConfig]) -> int:
    """Memory of a machine for these VMs: theirs and 256 MiB or more, at least 512 MiB."""
    files = {path: path.stat().st_size for vm in vms
             for path in (vm.kernel, vm.initrd, vm.dtb) if path}
    beside = max(256 * MIB, RESERVED + 64 * MIB + 4 * sum(files.values()))
    return max(512 * MIB, align_up(sum(vm.memory for vm in vms) + beside, 64 * MIB))


# ---- reading a bundle back -----------------------------------------------------------------------


@dataclass(frozen=True)
class SegmentInfo:
    ram_offset: int
    file_offset: int
    size: int
    crc: int


@dataclass(frozen=True)
class VmInfo:
    name: str
    cpus: int
    memory: int
    entry: int
    dtb: int
    flags: int
    segments: tuple[SegmentInfo, ...]
    devices: tuple[int, ...]
    pin: tuple[int, ...]


@dataclass(frozen=True)
class BundleInfo:
    length: int
    gic_version: int
    machine_memory: int
    machine_cpus: int
    flags: int
    vmids: int
    vms: tuple[VmInfo, ...]


def read_bundle(path: Path) -> tuple[BundleInfo, bytes]:
    """Check everything that can be checked without unpacking; raises UserError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None

    def check(condition: bool, problem: str) -> None:
        if not condition:
            raise UserError(f"{path}: {problem}")

    check(len(data) >= HEADER.size, f"{len(data)} bytes are too few for a bundle's header")
    magic, version, count, length, crc, gic, memory, cpus, flags, vmids = HEADER.unpack_from(data)
    check(magic == MAGIC, "not a bundle: the magic is wrong")
    check(version == VERSION, f"version {version}; this tool knows version {VERSION}")
    check(1 <= count <= VM_MAX, f"{count} VMs; 1 to {VM_MAX} can run")
    check(length == len(data), f"the header says {length} bytes, the file has {len(data)}")
    end = HEADER.size + VM_SIZE * count
    check(end + TRAILER.size <= length, "the VM table is cut short")
    check(data[-TRAILER.size:] == TRAILER.pack(MAGIC), "the trailer is wrong")
    check(gic in (2, 3) and flags & ~(HEADER_SMMU | HEADER_SMMU_STAGE1) == 0,
          "the header holds an unknown GIC version or flag")
    cleared = data[:24] + bytes(4) + data[28:end]
    check(zlib.crc32(cleared) == crc, "the CRC of header and VM table is wrong")
    vms = []
    for index in range(count):
        at = HEADER.size + VM_SIZE * index
        name, vcpus, segment_count, ram, entry, tree, features, device_count = VM.unpack_from(data,
                                                                                              at)
        check(features & ~VM_PAGES_4K == 0, f"vm {index} has an unknown flag")
        check(1 <= segment_count <= SEGMENT_MAX, f"vm {index} has {segment_count} segments")
        check(device_count <= DEVICES_MAX, f"vm {index} has {device_count} devices")
        check(1 <= vcpus <= VCPU_MAX, f"vm {index} has {vcpus} CPUs")
        devices = DEVICES.unpack_from(data, at + DEVICES_AT)[:device_count]
        pin = PIN.unpack_from(data, at + PIN_AT)[:vcpus]
        check(all(mask and not mask >> cpus for mask in pin),
              f"vm {index} has a vCPU that is pinned to no CPU of the machine")
        segments = []
        for number in range(segment_count):
            place = at + VM.size + SEGMENT.size * number
            segment = SegmentInfo(*SEGMENT.unpack_from(data, place)[:4])
            check(segment.ram_offset + segment.size <= ram and end <= segment.file_offset and
                  segment.file_offset + segment.size <= length - TRAILER.size,
                  f"vm {index} segment {number} lies outside the VM or the bundle")
            segments.append(segment)
        vms.append(VmInfo(name.rstrip(b"\0").decode("ascii", "replace"), vcpus, ram, entry, tree,
                          features, tuple(segments), devices, pin))
    return BundleInfo(length, gic, memory, cpus, flags, vmids, tuple(vms)), data


def bits(mask: int) -> list[int]:
    """The numbers of the bits that are 1."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def show(path: Path) -> None:
    info, _ = read_bundle(path)
    print(f"{path}: {info.length} bytes, {len(info.vms)} VMs, for GICv{info.gic_version}, "
          f"{format_size(info.machine_memory)}, {info.machine_cpus} CPUs")
    for vm in info.vms:
        where = "none" if vm.dtb == NO_DTB else f"{RAM_BASE + vm.dtb:#x}"
        print(f"  {vm.name}: {vm.cpus} CPUs, {format_size(vm.memory)} "
              f"by {'4K pages' if vm.flags & VM_PAGES_4K else '2M blocks'}, "
              f"entry {RAM_BASE + vm.entry:#x}, dtb {where}")
        for segment in vm.segments:
            print(f"    {RAM_BASE + segment.ram_offset:#x} + {segment.size:#x}  "
                  f"from {segment.file_offset:#x}  crc {segment.crc:08x}")
        for vcpu, mask in enumerate(vm.pin):
            if mask != (1 << info.machine_cpus) - 1:
                print(f"    vCPU {vcpu} runs on CPU {', '.join(map(str, bits(mask)))}")
        for device in vm.devices:
            print(f"    device {device >> 8:02x}:{device >> 3 & 31:02x}.{device & 7}")


def verify(path: Path) -> None:
    info, data = read_bundle(path)
    for vm in info.vms:
        for number, segment in enumerate(vm.segments):
            payload = data[segment.file_offset:segment.file_offset + segment.size]
            if zlib.crc32(payload) != segment.crc:
                raise UserError(f'{path}: vm "{vm.name}" segment {number}: the CRC is wrong')
    print(f"{path}: good")


def size_argument(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/bundle", description="pack VMs into a bundle")
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="make a bundle from a vms.toml")
    pack.add_argument("vms", type=Path)
    pack.add_argument("-o", "--output", type=Path, required=True)
    pack.add_argument("--gic", type=int, choices=(2, 3), default=3)
    pack.add_argument("--memory", type=size_argument,
                      help="the machine's memory (default: enough for the VMs)")
    pack.add_argument("--cpus", type=int, default=1, choices=range(1, MACHINE_CPUS_MAX + 1),
                      help="the machine's CPUs")
    pack.add_argument("--lab", type=int, default=6, help="the last lab whose layer the image has")
    pack.add_argument("--append", default="", help="text added to every VM's command line")
    pack.add_argument("--seed", help="text that yields the VMs' random seeds (default: random)")
    for name, text in (("show", "print what is in a bundle"), ("verify", "check all checksums")):
        commands.add_parser(name, help=text).add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "pack":
        file = load_file(arguments.vms, lab=arguments.lab, machine_cpus=arguments.cpus)
        data = build_bundle(file.vms, str(arguments.vms), gic_version=arguments.gic,
                            machine_memory=arguments.memory or machine_memory_for(file.vms),
                            machine_cpus=arguments.cpus,
                            append={vm.name: arguments.append for vm in file.vms},
                            seed=seed_of(arguments.seed), flags=header_flags(file),
                            vmids=file.vmids)
        write_atomically(arguments.output, data)
    else:
        {"show": show, "verify": verify}[arguments.command](arguments.file)
    return 0


if __name__ == "__main__":
    run_main(main)
