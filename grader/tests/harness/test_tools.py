# SPDX-License-Identifier: MIT
"""The packer, the doctor, the lint, the Makefile: each names a mistake, and half does nothing."""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random

import libfdt
import pytest

from grader.machine import options
from tools import bundle, callgraph, cpio, dtb, lint, rooms, run, vms
from tools import fdt as flattened
from tools.compile_commands import compile_commands
from tools.errors import UserError
from tools.qemu import MachineOptions, add_machine_arguments, qemu_command

MIB = 1 << 20
ROOT = Path(__file__).parents[3]
GOOD = {"name": '"alpha"', "memory": '"8M"', "kernel": '"kernel.bin"'}


def write_toml(folder: Path, *tables: dict[str, str]) -> Path:
    (folder / "kernel.bin").write_bytes(b"\x1f\x20\x03\xd5" * 1000)
    text = "".join("[[vm]]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
                   for table in tables)
    path = folder / "vms.toml"
    path.write_text(text, "utf-8")
    return path


def pack(path: Path, memory: int = 512 * MIB, **options: object) -> bytes:
    return bundle.build_bundle(vms.load_vms(path), str(path), machine_memory=memory,
                               **options)  # type: ignore[arg-type]


def linux_image(size: int, image_size: int, text_offset: int = 0) -> bytes:
    header = struct.pack("<8xQQQ24x", text_offset, image_size, 10) + b"ARM\x64" + bytes(4)
    return header + bytes(range(256)) * ((size - len(header)) // 256 + 1)


# ---- vms.toml ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "says"), [
    ({"cmdlin": '"x"'}, 'vm[0] "alpha": cmdlin: unknown key; did you mean "cmdline"?'),
    ({"colour": '"x"'}, "colour: unknown key; the keys are"),
    ({"name": '"Alpha"'}, "name:"),
    ({"name": '"sixteen-letters-"'}, "name:"),
    ({"name": "3"}, "name: must be a string"),
    ({"memory": "8"}, "memory: must be a string"),
    ({"memory": '"8 MB"'}, "memory: \"8 MB\" is not a size"),
    ({"memory": '"3M"'}, "memory: 3M must be a multiple of 2M"),
    ({"memory": '"0M"'}, "memory:"),
    ({"cpus": "0"}, "cpus: 0 must be 1 to 8"),
    ({"cpus": "9"}, "cpus: 9 must be 1 to 8"),
    ({"cpus": "true"}, "cpus: must be a whole number"),
    ({"cpus": '"some"'}, "cpus: must be a whole number or \"all\", not 'some'"),
    ({"pin": "0"}, "pin: must be a list of CPUs like [0, 1], or one such list a vCPU"),
    ({"pin": "[]"}, "pin: must be a list of CPUs"),
    ({"pin": "[8]"}, "pin: 8 is no CPU: they are 0 to 7"),
    ({"pin": '["0"]'}, "pin: '0' is no CPU"),
    ({"pin": "[true]"}, "pin: True is no CPU"),
    ({"pin": "[1, 1]"}, "pin: [1, 1] names one CPU twice"),
    ({"pin": "[[0]]", "cpus": "2"}, "pin: has 1 lists, but the VM has 2 vCPUs"),
    ({"pin": "[[0], 1]", "cpus": "2"}, "pin: must be a list of CPUs like [0, 1], or one such list "
     "a vCPU like [[0], [1]], not 1 for a vCPU"),
    ({"pin": "[[0], []]", "cpus": "2"}, "not [] for a vCPU"),
    ({"page_size": '"64K"'}, 'page_size: "64K" must be 4K or 2M'),
    ({"kernel": '"missing"'}, "kernel: no such file"),
    ({"kernel": '"."'}, "kernel: \".\" is a directory"),
    ({"initrd": '"missing"'}, "initrd: no such file"),
    ({"cmdline": '"' + "x" * 3000 + '"'}, "cmdline: must be at most"),
    ({"devices": '["0.2"]'}, "devices: '0.2' is not a PCI address"),
    ({"devices": '["00:20.0"]'}, "devices: '00:20.0' is not a PCI address"),
    ({"devices": '["01:00.0"]'},
     'devices: "01:00.0" is not on bus 0: devices behind a bridge may share a StreamID'),
    ({"devices": '["00:02.1"]'}, 'devices: "00:02.1" cannot be found without "00:02.0"'),
    ({"devices": '["00:02.0", "00:02.0"]'}, 'devices: vm[0] has "00:02.0"'),
    ({"devices": str([f"00:{slot:02x}.0" for slot in range(2, 19)])},
     "devices: 17 devices; a VM can have 16"),
])
def test_a_mistake_in_vms_toml_is_one_line_with_file_and_key(
        tmp_path: Path, change: dict[str, str], says: str) -> None:
    path = write_toml(tmp_path, GOOD | change)
    with pytest.raises(UserError) as error:
        vms.load_vms(path)
    assert str(error.value).startswith(f"{path}: vm[0]") and says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("text", "says"), [
    ("", "there is no [[vm]]"),
    ("[[vm]\n", "not TOML"),
    ("[vm]\nname = 'a'\n", "must be written as [[vm]]"),
    ("vm = 3\n", "must be written as [[vm]]"),
    ("[[vms]]\n", 'vms: unknown key at top level, where only [[vm]], [[device]], '
     'smmu_stage, vmids and expect may stand; did you mean "[[vm]]"?'),
    ("vmids = 0\n[[vm]]\n", "vmids: must be a number from 1 to 65535"),
    ("vmids = '2'\n[[vm]]\n", "vmids: must be a number from 1 to 65535"),
    ("expect = 'x'\n", "expect: must be a list of strings"),
    ("[device]\naddress = '00:02.0'\n", "device: must be written as [[device]], one a device"),
    ("\ufeff\x00", "not TOML"),
])
def test_a_file_that_lists_no_vm_says_why(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "vms.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as error:
        vms.load_vms(path)
    assert str(path) in str(error.value) and says in str(error.value)


def test_two_vms_cannot_have_one_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'vm\[1\] "alpha": name: vm\[0\] has this name'):
        vms.load_vms(write_toml(tmp_path, GOOD, GOOD))


def test_the_limit_is_64_vms(tmp_path: Path) -> None:
    many = [GOOD | {"name": f'"v{number}"'} for number in range(65)]
    assert len(vms.load_vms(write_toml(tmp_path, *many[:64]))) == 64
    with pytest.raises(UserError, match="65 VMs; at most 64 can run"):
        vms.load_vms(write_toml(tmp_path, *many))


def test_devices_need_the_layer_that_assigns_them(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"devices": '["00:02.0"]'})
    assert vms.load_vms(path, lab=5)[0].devices == ("00:02.0",)
    with pytest.raises(UserError, match="device assignment needs lab 5"):
        vms.load_vms(path, lab=4)


def test_a_device_belongs_to_one_vm(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"devices": '["00:02.0"]'},
                      GOOD | {"name": '"beta"', "devices": '["00:03.0", "00:02.0"]'})
    with pytest.raises(UserError, match=r'vm\[1\] "beta": devices: vm\[0\] has "00:02.0"$'):
        vms.load_vms(path)


EDU = {"address": '"00:02.0"', "model": '"edu"'}
DISK = {"address": '"00:03.0"', "model": '"virtio-blk-pci"', "file": '"kernel.bin"'}
CARD = {"address": '"00:04.0"', "model": '"e1000e"', "hub": "1"}


def with_devices(folder: Path, *devices: dict[str, str]) -> Path:
    path = write_toml(folder, GOOD | {"devices": '["00:02.0"]'})
    text = "".join("[[device]]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
                   for table in devices)
    path.write_text(path.read_text("utf-8") + text, "utf-8")
    return path


@pytest.mark.parametrize(("device", "says"), [
    (EDU | {"modell": '"x"'}, 'device[0] "00:02.0": modell: unknown key; did you mean "model"?'),
    (EDU | {"address": '"2"'}, "address: '2' is not a PCI address"),
    (EDU | {"address": '"00:01.0"'}, 'address: "00:01.0" is taken'),
    (EDU | {"model": '"ne2k"'}, 'model: "ne2k" must be one of edu, '),
    (EDU | {"file": '"kernel.bin"'}, "file: edu has none"),
    (DISK | {"file": '"missing"'}, "file: no such file"),
    ({key: value for key, value in DISK.items() if key != "file"}, "file: this key is required"),
    (DISK | {"hub": "1"}, "hub: virtio-blk-pci has none"),
    (CARD | {"hub": '"x"'}, "hub: must be a whole number"),
])
def test_a_mistake_in_a_device_is_one_line(tmp_path: Path, device: dict[str, str],
                                           says: str) -> None:
    with pytest.raises(UserError) as error:
        vms.load_vms(with_devices(tmp_path, device))
    assert says in str(error.value) and "\n" not in str(error.value)


def test_two_devices_cannot_have_one_address(tmp_path: Path) -> None:
    with pytest.raises(UserError,
                       match=r'device\[1\] "00:02.0": address: device\[0\] has this address$'):
        vms.load_vms(with_devices(tmp_path, EDU, DISK | {"address": '"00:02.0"'}))


def test_devices_are_in_the_bundle_and_the_machine(tmp_path: Path) -> None:
    path = with_devices(tmp_path, EDU, DISK, CARD)
    file = vms.load_file(path)
    target = tmp_path / "bundle"
    target.write_bytes(bundle.build_bundle(file.vms, "x", machine_memory=512 * MIB,
                                           flags=bundle.header_flags(file)))
    info, _ = bundle.read_bundle(target)
    assert info.flags == bundle.HEADER_SMMU and info.vms[0].devices == (0x10,)
    command = " ".join(qemu_command(MachineOptions(smmu=file.has_smmu, devices=tuple(file.devices)),
                                    path, None, serial=[]))
    assert ",iommu=smmuv3" in command
    assert "-device edu,addr=02.0," in command
    for words in (
        f"file={tmp_path / 'kernel.bin'} "
        "-device virtio-blk-pci,addr=03.0,drive=device18,iommu_platform=on",
        "-netdev hubport,id=device20,hubid=1 -device e1000e,addr=04.0,netdev=device20,romfile=",
    ):
        assert words in command


def test_a_machine_without_devices_is_as_before(tmp_path: Path) -> None:
    file = vms.load_file(write_toml(tmp_path, GOOD))
    assert not file.has_smmu and bundle.header_flags(file) == 0
    assert "iommu" not in " ".join(qemu_command(MachineOptions(), tmp_path, None, serial=[]))


def test_stage_1_of_the_smmu_can_be_asked_for(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"devices": '["00:02.0"]'})
    path.write_text("smmu_stage = 1\n" + path.read_text("utf-8"), "utf-8")
    flags = bundle.header_flags(vms.load_file(path))
    assert flags == bundle.HEADER_SMMU | bundle.HEADER_SMMU_STAGE1
    path.write_text("smmu_stage = 2\n" + path.read_text("utf-8").removeprefix("smmu_stage = 1\n"),
                    "utf-8")
    with pytest.raises(UserError, match="smmu_stage: must be 1, or left out"):
        vms.load_file(path)


def test_several_cpus_need_the_layer_that_starts_them(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"cpus": "2"})
    assert vms.load_vms(path, lab=6)[0].cpus == 2
    with pytest.raises(UserError,
                       match=r"cpus: more than one needs lab 6, this image has labs 1 to 4$"):
        vms.load_vms(path, lab=4)


def test_the_vcpus_of_a_vm_can_follow_the_machine(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"cpus": '"all"'})
    assert vms.load_vms(path, machine_cpus=4)[0].cpus == 4
    assert vms.load_vms(path)[0].cpus == 1
    assert vms.load_vms(path, lab=5, machine_cpus=4)[0].cpus == 1


def test_pinning_is_of_the_vm_or_of_each_vcpu(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"cpus": "2", "pin": "[0, 3]"},
                      GOOD | {"name": '"beta"', "cpus": "2", "pin": "[[1], [2, 3]]"},
                      GOOD | {"name": '"gamma"', "cpus": "3"})
    file = tmp_path / "bundle"
    file.write_bytes(pack(path, machine_cpus=4))
    assert [vm.pin for vm in bundle.read_bundle(file)[0].vms] == [
        (0b1001, 0b1001), (0b0010, 0b1100), (0b1111, 0b1111, 0b1111)]
    with pytest.raises(UserError, match=r'vm "alpha": pin: there is no CPU 3: the machine has '
                                        r"CPUs 0 to 1 \(SMP=4 would do\)$"):
        pack(path, machine_cpus=2)


def test_pinning_needs_the_layer_that_has_several_cpus(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"pin": "[0]"})
    assert vms.load_vms(path, lab=6)[0].pin == ((0,),)
    with pytest.raises(UserError, match=r"pin: needs lab 6, this image has labs 1 to 5$"):
        vms.load_vms(path, lab=5)


def test_the_memory_of_the_machine_has_bounds(tmp_path: Path) -> None:
    for memory, says in ((128 * MIB, r"MEM=128M is too small: at least 256M"),
                         (256 * 1024 * MIB, r"a machine with 256G is too large: at most 255G")):
        with pytest.raises(UserError, match=says):
            qemu_command(MachineOptions(memory=memory), tmp_path, None, serial=[])


# ---- the bundle ----------------------------------------------------------------------------------


def test_a_flat_binary_is_placed_by_convention_and_the_tree_on_top(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD)
    packed = bundle.pack_vm(vms.load_vms(path)[0], "x", gic_version=3)
    kernel, tree, copy = packed.segments
    assert packed.entry_offset == kernel.ram_offset == 0x8_0000
    assert packed.dtb_offset == tree.ram_offset == 8 * MIB - 4096
    assert copy.ram_offset == 0, "firmware looks for the tree at the start of RAM"
    assert copy.data == tree.data


def test_a_tree_that_would_reach_into_the_kernel_is_on_top_alone(tmp_path: Path) -> None:
    big = flattened.Node("", {"x": bytes(0x8_0000)})
    (tmp_path / "own.dtb").write_bytes(flattened.write(flattened.Tree(big, []), size_hint=MIB))
    path = write_toml(tmp_path, GOOD | {"dtb": '"own.dtb"'})
    packed = bundle.pack_vm(vms.load_vms(path)[0], "x", gic_version=3)
    assert [segment.what for segment in packed.segments] == ["kernel", "dtb"]


def test_an_image_header_says_where_the_kernel_goes_and_what_it_needs(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"kernel": '"Image"', "initrd": '"kernel.bin"'})
    image = linux_image(100_000, 3 * MIB, text_offset=0x1_0000)
    (tmp_path / "Image").write_bytes(image)
    packed = bundle.pack_vm(vms.load_vms(path)[0], "x", gic_version=3)
    kernel, initrd, _ = packed.segments  # and no other tree: the boot protocol says where it is
    assert packed.entry_offset == kernel.ram_offset == 0x1_0000
    assert initrd.ram_offset == 4 * MIB, "after image_size, not after the file, on a 2 MiB boundary"

    (tmp_path / "Image").write_bytes(gzip.compress(image))
    again = bundle.pack_vm(vms.load_vms(path)[0], "x", gic_version=3)
    assert again.segments[0].data == image


@pytest.mark.parametrize(("kernel", "says"), [
    (linux_image(100_000, 8 * MIB + 1), "kernel: does not fit"),
    (linux_image(100_000, 8 * MIB), "dtb: does not fit"),
    (b"", "kernel: .*the file is empty"),
    (b"\x7fELF" + bytes(100), "is an ELF file"),
    (b"\x1f\x8b" + bytes(100), "cannot be decompressed"),
    (b"MZ\0\0zimg" + struct.pack("<II8x", 64, 10) + b"zstd".ljust(32, b"\0"),
     "compressed with zstd"),
])
def test_a_kernel_that_cannot_run_is_refused(tmp_path: Path, kernel: bytes, says: str) -> None:
    path = write_toml(tmp_path, GOOD)
    (tmp_path / "kernel.bin").write_bytes(kernel)
    with pytest.raises(UserError, match=says):
        pack(path)


def test_the_vms_must_fit_the_machine(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"memory": '"400M"'})
    with pytest.raises(UserError, match=r"memory: the VMs have 400M together.*MEM=\d+M would do"):
        pack(path, 512 * MIB)
    assert pack(path, 1024 * MIB)
    assert pack(path, bundle.machine_memory_for(vms.load_vms(path)))


def test_equal_payloads_are_stored_once(tmp_path: Path) -> None:
    one = pack(write_toml(tmp_path, GOOD))
    ten = pack(write_toml(tmp_path, *(GOOD | {"name": f'"v{n}"'} for n in range(10))), 512 * MIB)
    assert len(ten) == len(one)


def test_a_bundle_has_the_format_of_the_header_file(tmp_path: Path) -> None:
    data = pack(write_toml(tmp_path, GOOD | {"cpus": "2"}), gic_version=2, machine_cpus=4)
    assert data[:8] == data[-8:] == b"STRAUNDL"
    version, count, length, crc, gic, memory, cpus, flags = struct.unpack_from("<IIQIIQII", data, 8)
    assert (version, count, length) == (2, 1, len(data))
    assert (gic, memory, cpus, flags) == (2, 512 * MIB, 4, 0)
    assert crc == zlib.crc32(data[:24] + bytes(4) + data[28:64 + 256])
    name, cpus, segments, ram, entry, tree = struct.unpack_from("<16sIIQQQ", data, 64)
    assert (name.rstrip(b"\0"), cpus, segments, ram, entry) == (b"alpha", 2, 3, 8 * MIB, 0x8_0000)
    ram_offset, at, size, segment_crc = struct.unpack_from("<QQQI", data, 64 + 56 + 32)
    assert ram_offset == tree and at % 4096 == 0 and zlib.crc32(data[at:at + size]) == segment_crc


@pytest.mark.parametrize("offset", [0, 8, 12, 16, 24, 28, 70, 4096, -1])
def test_a_damaged_bundle_is_found(tmp_path: Path, offset: int) -> None:
    data = bytearray(pack(write_toml(tmp_path, GOOD)))
    file = tmp_path / "bundle"
    file.write_bytes(data)
    bundle.verify(file)
    data[offset] ^= 0x40
    file.write_bytes(data)
    with pytest.raises(UserError):
        bundle.verify(file)


def test_a_truncated_bundle_is_found(tmp_path: Path) -> None:
    data = pack(write_toml(tmp_path, GOOD))
    file = tmp_path / "bundle"
    for length in (0, 63, 64, 200, 4096, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(UserError):
            bundle.verify(file)


def test_a_failed_pack_leaves_no_file(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"memory": '"2M"', "initrd": '"kernel.bin"'})
    (tmp_path / "kernel.bin").write_bytes(bytes(4 * MIB))
    before = sorted(tmp_path.iterdir())
    done = subprocess.run([ROOT / "tools/bundle", "pack", path, "-o", tmp_path / "out"],
                          check=False, capture_output=True, text=True)
    assert (done.returncode == 2 and done.stderr.count("\n") == 1
            and done.stderr.startswith("error: "))
    assert sorted(tmp_path.iterdir()) == before


# ---- the device tree -----------------------------------------------------------------------------


@pytest.mark.parametrize(("gic", "compatible", "second"), [
    (3, "arm,gic-v3", (0x080A_0000, 4 * 0x2_0000)),
    (2, "arm,cortex-a15-gic", (0x0801_0000, 0x2000))])
def test_the_tree_describes_the_machine_of_qemu_virt(
        gic: int, compatible: str, second: tuple[int, int]) -> None:
    tree = libfdt.Fdt(dtb.make_dtb(cpus=4, memory=512 * MIB, gic_version=gic, cmdline="quiet",
                                   initrd=(0x4400_0000, 0x4400_1234)))

    def get(path: str, name: str) -> libfdt.Property:
        return tree.getprop(tree.path_offset(path), name)

    assert get("/intc@8000000", "compatible").as_str() == compatible
    assert struct.unpack(">4Q", bytes(get("/intc@8000000", "reg")))[2:] == second
    assert struct.unpack(">2Q", bytes(get("/memory@40000000", "reg"))) == (0x4000_0000, 512 * MIB)
    assert struct.unpack(">3I", bytes(get("/pl011@9000000", "interrupts"))) == (0, 1, 4)
    assert get("/psci", "method").as_str() == "hvc"
    assert get("/cpus/cpu@3", "enable-method").as_str() == "psci"
    assert get("/chosen", "bootargs").as_str() == "quiet"
    assert get("/chosen", "linux,initrd-end").as_uint64() == 0x4400_1234
    timer = struct.unpack(">12I", bytes(get("/timer", "interrupts")))
    assert timer[1::3] == (13, 14, 11, 10)
    assert timer[2] == (0xF04 if gic == 2 else 4)


def test_a_users_own_tree_gets_command_line_and_initrd() -> None:
    own = dtb.make_dtb(cpus=1, memory=8 * MIB, gic_version=3, cmdline="mine", initrd=None)
    patched = dtb.patch_dtb(own, cmdline="", append="more", initrd=(1 << 30, 2 << 30))
    tree = libfdt.Fdt(patched)
    chosen = tree.path_offset("/chosen")
    assert tree.getprop(chosen, "bootargs").as_str() == "mine more"
    assert tree.getprop(chosen, "linux,initrd-start").as_uint64() == 1 << 30
    for bad in (b"", b"no tree" * 100, own[:100]):
        with pytest.raises(ValueError):
            dtb.patch_dtb(bad, cmdline="x", append="", initrd=None)


@pytest.mark.parametrize("length", range(672, 682))
def test_no_length_of_a_command_line_is_too_long_for_the_tree(length: int) -> None:
    """Whatever room the last node leaves in libfdt's buffer."""
    tree = dtb.make_dtb(cpus=1, memory=512 * MIB, gic_version=3, cmdline="x" * length, initrd=None)
    chosen = flattened.read(tree).root.children["chosen"].properties
    assert chosen["bootargs"] == b"x" * length + b"\0"


def test_a_foreign_tree_is_kept_but_for_what_is_changed() -> None:
    """What dtc makes of it is the same: names, values, their order, reservations."""
    leaf = flattened.Node("leaf@1", {"empty": b"", "odd": b"abc", "reg": struct.pack(">2Q", 1, 2)})
    root = flattened.Node("", {"model": b"x\0"}, {"a": flattened.Node("a", {}, {"leaf@1": leaf})})
    tree = flattened.Tree(root, [(0x4000_0000, 4096), (1, 2)], boot_cpu=3)
    blob = flattened.write(tree, size_hint=100)
    assert flattened.read(blob) == tree
    patched = flattened.read(dtb.patch_dtb(blob + b"behind it", cmdline="c",
                                           append="", initrd=None))
    assert patched.root.children.pop("chosen").properties == {"bootargs": b"c\0"}
    assert patched == tree


def mutated(tree: bytes, random: Random) -> bytes:
    """The tree with one to four faults: a byte, a word, a header field, or a missing end."""
    data = bytearray(tree)
    words = (0, 1, 2, 3, 4, 9, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, len(tree) - 4, len(tree))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        kind, at = random.randrange(4), 4 * random.randrange(len(tree) // 4)
        if kind == 0:
            data[at + 1:at + 2] = random.randbytes(1)
        elif kind == 1:
            data[at:at + 4] = random.choice(words).to_bytes(4, "big")
        elif kind == 2:
            data[at % 40:at % 40 + 4] = random.choice(words).to_bytes(4, "big")
        else:
            del data[random.randrange(len(tree)):]
    return bytes(data)


def test_a_damaged_tree_is_refused_in_a_sentence_or_still_one() -> None:
    own = dtb.make_dtb(cpus=2, memory=512 * MIB, gic_version=3, cmdline="mine",
                       initrd=None, seed=b"")
    random, refused = Random(1), 0
    for _ in range(2500):
        try:
            tree = dtb.patch_dtb(mutated(own, random), cmdline="", append="more",
                                 initrd=(1 << 30, 2 << 30))
        except ValueError as problem:
            assert str(problem).startswith(("not a device tree: ", "the bootargs in its /chosen"))
            refused += 1
            continue
        chosen = flattened.read(tree).root.children["chosen"].properties
        assert (chosen["bootargs"].endswith(b"more\0")
                and chosen["linux,initrd-end"] == (2 << 30).to_bytes(8, "big"))
        assert libfdt.fdt_check_full(bytearray(tree), len(tree)) == 0
    assert 250 < refused < 2250, "both happen"


def test_a_tree_with_a_length_that_leaves_the_file_is_one_line(tmp_path: Path) -> None:
    """By the packer as people start it: its heap stays whole."""
    tree = bytearray(dtb.make_dtb(cpus=1, memory=8 * MIB, gic_version=3, cmdline="x", initrd=None))
    tree[36:40] = (0x8000_0000).to_bytes(4, "big")  # size_dt_struct
    (tmp_path / "own.dtb").write_bytes(tree)
    path = write_toml(tmp_path, GOOD | {"dtb": '"own.dtb"', "cmdline": '"c"'})
    done = subprocess.run([ROOT / "tools/bundle", "pack", path, "-o", tmp_path / "out"],
                          check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "own.dtb: not a device tree: its structure block lies outside of it" in done.stderr


def test_the_tree_of_a_vm_with_devices_has_their_bridge() -> None:
    tree = libfdt.Fdt(dtb.make_dtb(cpus=1, memory=512 * MIB, gic_version=3, cmdline="",
                                   initrd=None, pci=True))
    node = tree.path_offset("/pcie@10000000")
    assert tree.getprop(tree.path_offset("/chosen"), "linux,pci-probe-only").as_uint32() == 1
    assert struct.unpack(">2Q", bytes(tree.getprop(node, "reg"))) == (0x40_1000_0000, 1 << 20)
    entries = struct.iter_unpack(">8I", bytes(tree.getprop(node, "interrupt-map")))
    lines = {(entry[0] >> 11, entry[3]): entry[6] + 32 for entry in entries}
    assert [lines[slot, 1] for slot in range(4)] == [35, 36, 37, 38] and lines[2, 4] == 36
    assert tree.getprop(node, "msi-map", [libfdt.NOTFOUND]) == -libfdt.NOTFOUND


@pytest.mark.parametrize("cpus", [1, 8])
@pytest.mark.parametrize("gic", [2, 3])
@pytest.mark.parametrize("initrd", [None, (0x4400_0000, 0x4400_1234)], ids=["", "initrd"])
def test_the_device_tree_compiler_has_nothing_to_say(
        tmp_path: Path, cpus: int, gic: int, initrd: tuple[int, int] | None) -> None:
    file = tmp_path / "vm.dtb"
    file.write_bytes(dtb.make_dtb(cpus=cpus, memory=512 * MIB, gic_version=gic, cmdline="quiet",
                                  initrd=initrd, seed=b"seed", pci=initrd is None))
    done = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", "-o", os.devnull, file], check=False,
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def seeds_of(data: bytes, folder: Path) -> list[tuple[bytes, bytes]]:
    """(rng-seed, kaslr-seed) of each VM in a bundle."""
    file = folder / "bundle"
    file.write_bytes(data)
    return [(chosen["rng-seed"], chosen["kaslr-seed"]) for chosen in chosen_of(file)]


def chosen_of(file: Path) -> list[dict[str, bytes]]:
    """/chosen of each VM's tree."""
    info, data = bundle.read_bundle(file)
    trees = [next(segment for segment in vm.segments if segment.ram_offset == vm.dtb)
             for vm in info.vms]
    read = [flattened.read(data[tree.file_offset:][:tree.size]) for tree in trees]
    return [tree.root.children["chosen"].properties for tree in read]


def test_each_vm_gets_random_seeds_of_its_own_and_the_same_ones_again_when_asked_to(
        tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD, GOOD | {"name": '"beta"'})

    def seeds(text: str | None) -> list[tuple[bytes, bytes]]:
        return seeds_of(pack(path, seed=bundle.seed_of(text)), tmp_path)

    for rng, kaslr in seeds(None):
        assert (len(rng), len(kaslr)) == (32, 8)
    fixed, other, random, again = seeds("1"), seeds("2"), seeds(None), seeds(None)
    assert seeds("1") == fixed
    assert len({seed for pair in (*fixed, *other, *random, *again) for seed in pair}) == 16


# ---- run -----------------------------------------------------------------------------------------


def prepared_bundle(path: Path, *words: str, batch: bool = False) -> list[dict[str, bytes]]:
    """/chosen of each VM in the bundle that `make run` makes."""
    parser = argparse.ArgumentParser()
    run.add_vm_arguments(parser)
    add_machine_arguments(parser)
    arguments = parser.parse_args(["--image", "none", "--lab", "4", "--out", str(path.parent),
                                   *words, str(path)])
    arguments.qemu = options.current().qemu
    with run.prepared(arguments, batch=batch) as (_, _, file):
        return chosen_of(file)


def test_a_deterministic_run_has_the_same_seeds_every_time(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD)
    assert prepared_bundle(path, "--icount") == prepared_bundle(path, "--icount")
    assert prepared_bundle(path, "--seed", "7") == prepared_bundle(path, "--seed", "7")
    assert prepared_bundle(path, "--seed", "7") == prepared_bundle(path, "--seed", "7", "--icount")
    assert prepared_bundle(path, "--icount", "--seed", "7") != prepared_bundle(path, "--icount")
    assert prepared_bundle(path) != prepared_bundle(path)


def test_only_our_initramfs_is_told_to_end_by_itself(tmp_path: Path) -> None:
    ours = cpio.executable("init", (ROOT / "guests/linux/init").read_bytes())
    (tmp_path / "ours").write_bytes(cpio.make_initramfs([ours]))
    theirs = cpio.executable("init", b"#!/bin/sh\n")
    (tmp_path / "theirs").write_bytes(cpio.make_initramfs([theirs]))
    (tmp_path / "raw").write_bytes(b"no archive at all")
    path = write_toml(tmp_path,
                      *(GOOD | {"name": f'"{name}"', "cmdline": '"mine"', "initrd": f'"{name}"'}
                        for name in ("ours", "theirs", "raw")), GOOD)
    lines = [chosen.get("bootargs")
             for chosen in prepared_bundle(path, "--append", "more", batch=True)]
    assert lines == [b"mine more strata.batch\0", b"mine more\0", b"mine more\0", b"more\0"]
    assert prepared_bundle(path, "--append", "x", batch=False)[0]["bootargs"] == b"mine x\0"


def test_the_initramfs_is_reproducible_and_readable(tmp_path: Path) -> None:
    entries = [cpio.directory("dev"), cpio.character_device("dev/console", 5, 1),
               cpio.executable("init", b"#!/bin/sh\n")]
    archive = cpio.make_initramfs(entries)
    assert archive == cpio.make_initramfs(entries)
    raw = gzip.decompress(archive)
    assert raw.startswith(b"070701") and b"TRAILER!!!\0" in raw and len(raw) % 4 == 0


# ---- QEMU's command line -------------------------------------------------------------------------


def test_the_machine_is_isolated_and_ends_with_a_status(tmp_path: Path) -> None:
    command = qemu_command(MachineOptions(icount=True, gic=2, extra="-d int"), tmp_path / "i",
                           tmp_path / "a,b", serial=["-serial", "stdio"])
    assert {"-nodefaults", "-no-user-config", "pvpanic-pci", "panic=exit-failure"} <= set(command)
    assert "virt,virtualization=on,gic-version=2,acpi=off" in command
    assert "cortex-a76,cntfrq=1000000000" in command and "shift=0,sleep=off" in command
    assert any("a,,b" in word for word in command), "a comma in a file name is doubled"
    assert command[-2:] == ["-d", "int"]
    assert not any("semihosting" in word or word.startswith("-net") for word in command)


# ---- the doctor and the Makefile -----------------------------------------------------------------


def test_the_doctor_is_silent_when_all_is_there() -> None:
    done = subprocess.run([ROOT / "tools/doctor", "--quiet", "--for", "test"],
                          check=False,
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_doctor_lists_what_is_missing_with_the_command(tmp_path: Path) -> None:
    for name in ("sh", "sed", "head", "id", "cat", "dirname", "apt-get", "dpkg-deb"):
        (tmp_path / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    done = subprocess.run(["/bin/sh", ROOT / "tools/doctor"], check=False,
                          capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert done.returncode == 3
    missing = [line for line in done.stdout.splitlines() if line.startswith("MISSING")]
    assert any("qemu-system-arm" in line and "apt-get install" in line for line in missing)
    assert all("install" in line for line in missing)


@pytest.mark.parametrize("setting", [
    "LAB=7", "LAB=", "LAB=1 2", "IMPL=mine", "GIC=4", "CPU=z80", "SMP=0", "ICOUNT=yes", "MEM=12",
    "VMS=missing.toml", "QEMU=/missing", "BASE=other"])
def test_an_unknown_value_is_an_error_that_names_the_variable(setting: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(["make", "-C", ROOT, "run", setting], check=False, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, env=environment)
    name, _, value = setting.partition("=")
    assert done.returncode == 2
    assert f"{name}={value}" in done.stderr and f"{name} takes" in done.stderr


# ---- the lint ------------------------------------------------------------------------------------


def test_a_conditional_inside_a_function_is_found(tmp_path: Path) -> None:
    file = tmp_path / "x.c"
    file.write_text("#if A\nint f(void)\n{\n#ifdef B\n\treturn 1;\n#endif\n}\n#endif\n")
    assert list(lint.check_conditionals(file)) == [f"{file}:4: #if inside a function"]


def test_a_device_model_that_reaches_out_is_found(tmp_path: Path) -> None:
    file = tmp_path / "dev_x.c"
    file.write_text('#include "vmm.h"\n#include "lib/bits.h"\n#include "vcpu.h"\n\tasm("wfi");\n')
    assert [line.split(": ")[0]
            for line in lint.check_device_model(file)] == [f"{file}:3", f"{file}:4"]


def test_a_file_without_a_license_line_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int x;\n")
    (tmp_path / "b.c").write_text("// SPDX-License-Identifier: MIT\n")
    (tmp_path / "c.c").write_text("// SPDX-License-Identifier: GPL-2.0-or-later\n")
    (tmp_path / "d").write_text("#!/bin/sh\n# SPDX-License-Identifier: MIT\n")
    found = list(lint.check_license(sorted(tmp_path.iterdir())))
    assert [Path(line.split(":")[0]).name for line in found] == ["a.c", "c.c"]


@pytest.mark.parametrize(("sources", "finds"), [
    ({"tools/a.py": "from course import registry\n", "course/registry.py": ""},
     ["tools/a.py:1: tools may not import course: course.registry"]),
    ({"grader/machine/a.py": "def f():\n    import grader.oracle.b\n", "grader/oracle/b.py": ""},
     ["grader/machine/a.py:2: grader.machine may not import grader.oracle: grader.oracle.b"]),
    ({"tools/a.py": "from tools.b import x\n", "tools/b.py": "from tools import c\n",
      "tools/c.py": "import tools.a\n"},
     ["tools/a.py: modules import each other in a circle: tools.a > tools.b > tools.c > tools.a"]),
    ({"grader/oracle/a.py": "from grader.machine.b import x\nfrom tools.c import y\n",
      "grader/machine/b.py": "", "tools/c.py": "import json\n"}, []),
])
def test_an_import_that_no_room_allows_is_found(tmp_path: Path, sources: dict[str, str],
                                                finds: list[str]) -> None:
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    assert list(rooms.check_rooms(map(Path, sources), tmp_path)) == finds


def test_a_path_from_a_guest_to_panic_is_found(tmp_path: Path) -> None:
    """By a direct call, a tail call, and a function pointer that is only passed on."""
    source = tmp_path / "x.c"
    source.write_text("""
        __attribute__((noinline)) void panic(void) { for (;;) __asm__(""); }
        __attribute__((noinline)) void config_error(void) { for (;;) __asm__(""); }
        __attribute__((noinline)) void callback(void) { panic(); __asm__(""); }
        __attribute__((noinline)) void walk(void (*f)(void)) { f(); __asm__(""); }
        __attribute__((noinline)) void handler(void) { walk(callback); __asm__(""); }
        __attribute__((noinline)) void boot_only(void) { config_error(); __asm__(""); }
        void (*const table[])(void) __attribute__((used)) = {handler};
        void _start(void) { boot_only(); }
    """)
    cross = next(name for name in ("aarch64-none-elf-", "aarch64-linux-gnu-")
                 if shutil.which(f"{name}gcc"))
    elf = tmp_path / "x.elf"
    subprocess.run([f"{cross}gcc", "-O1", "-ffreestanding", "-fno-pic", "-nostdlib",
                    "-static", "-no-pie", "-o", elf, source], check=True)
    graph = callgraph.CallGraph(elf, f"{cross}objdump")
    assert graph.path("panic", set()) == ["handler", "callback", "panic"]
    assert graph.path("panic", {"callback"}) is None
    assert graph.path("config_error", set()) is None, "reached from the boot code alone"


def test_what_a_killed_program_has_started_ends_with_it() -> None:
    """The pipe has its end when nobody holds it any more: neither the program nor the sleeper."""
    text = ("import subprocess; from tools.qemu import ends_with_us\n"
            "print(subprocess.Popen(ends_with_us(['sh', '-c', 'echo up; exec sleep 600'])).wait())")
    with subprocess.Popen([sys.executable, "-c", text], cwd=ROOT,
                          stdout=subprocess.PIPE) as program:
        assert program.stdout and program.stdout.readline() == b"up\n"
        program.kill()
        assert program.stdout.read() == b""


# ---- for editors ---------------------------------------------------------------------------------


def test_an_editor_is_told_how_each_source_is_compiled() -> None:
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    plan = subprocess.run(["make", "-Bn", "V=1", "image", "guests"], cwd=ROOT, check=True,
                          capture_output=True, text=True, env=environment)
    entries = {str(entry["file"]): entry
               for entry in compile_commands(plan.stdout.splitlines(), str(ROOT))}
    for place in ("kit/*.c", "guests/probes/*.c"):
        sources = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(place)}
        assert sources - {"kit/asm_offsets.c"} <= entries.keys()
    words = entries["kit/main.c"]["arguments"]
    assert isinstance(words, list)
    flags = words[1:words.index("-MMD")]
    subprocess.run([words[0], *flags, "-fsyntax-only", "kit/main.c"], cwd=ROOT, check=True)


def test_of_several_sources_in_one_command_each_has_its_own_entry() -> None:
    commands = ["mkdir -p x", "gcc -O1 'a b.c' c.c -o t", "aarch64-linux-gnu-gcc -O2 -c -o c.o c.c",
                "ar rcs x.a c.o"]
    assert list(compile_commands(commands, "/here")) == [
        {"directory": "/here", "file": "a b.c", "arguments": ["gcc", "-O1", "a b.c", "-o", "t"]},
        {"directory": "/here", "file": "c.c", "arguments": ["gcc", "-O1", "c.c", "-o", "t"]}]
