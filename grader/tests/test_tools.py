# SPDX-License-Identifier: MIT
"""The packer, the doctor, the lint and the Makefile: each mistake is named, nothing is half done."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import libfdt
import pytest

from tools import bundle, callgraph, cpio, dtb, lint, vms
from tools.errors import UserError
from tools.qemu import MachineOptions, qemu_command

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
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


# ---- vms.toml --------------------------------------------------------------------------------------


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
    ({"page_size": '"64K"'}, 'page_size: "64K" must be 4K or 2M'),
    ({"kernel": '"missing"'}, "kernel: no such file"),
    ({"kernel": '"."'}, "kernel: \".\" is a directory"),
    ({"initrd": '"missing"'}, "initrd: no such file"),
    ({"cmdline": '"' + "x" * 3000 + '"'}, "cmdline: must be at most"),
    ({"devices": '["0.2"]'}, "devices: '0.2' is not a PCI address"),
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
    ("[[vms]]\n", 'vms: unknown key at top level, where only [[vm]] may stand; did you mean "[[vm]]"?'),
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


def test_the_limit_is_32_vms(tmp_path: Path) -> None:
    many = [GOOD | {"name": f'"v{number}"'} for number in range(33)]
    assert len(vms.load_vms(write_toml(tmp_path, *many[:32]))) == 32
    with pytest.raises(UserError, match="33 VMs; at most 32 can run"):
        vms.load_vms(write_toml(tmp_path, *many))


def test_devices_need_the_layer_that_assigns_them(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"devices": '["00:02.0"]'})
    assert vms.load_vms(path, lab=5)[0].devices == ("00:02.0",)
    with pytest.raises(UserError, match="device assignment needs lab 5"):
        vms.load_vms(path, lab=4)


# ---- the bundle ------------------------------------------------------------------------------------


def test_a_flat_binary_is_placed_by_convention_and_the_tree_on_top(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD)
    packed = bundle.pack_vm(vms.load_vms(path)[0], "x", gic_version=3)
    kernel, tree = packed.segments
    assert packed.entry_offset == kernel.ram_offset == 0x8_0000
    assert packed.dtb_offset == tree.ram_offset == 8 * MIB - 4096


def test_an_image_header_says_where_the_kernel_goes_and_what_it_needs(tmp_path: Path) -> None:
    path = write_toml(tmp_path, GOOD | {"kernel": '"Image"', "initrd": '"kernel.bin"'})
    image = linux_image(100_000, 3 * MIB, text_offset=0x1_0000)
    (tmp_path / "Image").write_bytes(image)
    packed = bundle.pack_vm(vms.load_vms(path)[0], "x", gic_version=3)
    kernel, initrd, _ = packed.segments
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
    (b"MZ\0\0zimg" + struct.pack("<II8x", 64, 10) + b"zstd".ljust(32, b"\0"), "compressed with zstd"),
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
    assert (version, count, length, gic, memory, cpus, flags) == (1, 1, len(data), 2, 512 * MIB, 4, 0)
    assert crc == zlib.crc32(data[:24] + bytes(4) + data[28:64 + 256])
    name, cpus, segments, ram, entry, tree = struct.unpack_from("<16sIIQQQ", data, 64)
    assert (name.rstrip(b"\0"), cpus, segments, ram, entry) == (b"alpha", 2, 2, 8 * MIB, 0x8_0000)
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
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert sorted(tmp_path.iterdir()) == before


# ---- the device tree -------------------------------------------------------------------------------


@pytest.mark.parametrize(("gic", "compatible", "second"), [
    (3, "arm,gic-v3", (0x080A_0000, 4 * 0x2_0000)), (2, "arm,cortex-a15-gic", (0x0801_0000, 0x2000))])
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


def test_the_initramfs_is_reproducible_and_readable(tmp_path: Path) -> None:
    entries = [cpio.directory("dev"), cpio.character_device("dev/console", 5, 1),
               cpio.executable("init", b"#!/bin/sh\n")]
    archive = cpio.make_initramfs(entries)
    assert archive == cpio.make_initramfs(entries)
    raw = gzip.decompress(archive)
    assert raw.startswith(b"070701") and b"TRAILER!!!\0" in raw and len(raw) % 4 == 0


# ---- QEMU's command line ---------------------------------------------------------------------------


def test_the_machine_is_isolated_and_ends_with_a_status(tmp_path: Path) -> None:
    command = qemu_command(MachineOptions(icount=True, gic=2, extra="-d int"), tmp_path / "i",
                           tmp_path / "a,b", serial=["-serial", "stdio"])
    assert {"-nodefaults", "-no-user-config", "pvpanic-pci", "panic=exit-failure"} <= set(command)
    assert "virt,virtualization=on,gic-version=2,acpi=off" in command
    assert "cortex-a76,cntfrq=1000000000" in command and "shift=0,sleep=off" in command
    assert any("a,,b" in word for word in command), "a comma in a file name is doubled"
    assert command[-2:] == ["-d", "int"]
    assert not any("semihosting" in word or word.startswith("-net") for word in command)


# ---- the doctor and the Makefile -------------------------------------------------------------------


def test_the_doctor_is_silent_when_all_is_there() -> None:
    done = subprocess.run([ROOT / "tools/doctor", "--quiet"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_doctor_lists_what_is_missing_with_the_command(tmp_path: Path) -> None:
    for name in ("sh", "sed", "head", "id", "cat", "dirname", "apt-get", "dpkg-deb"):
        (tmp_path / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    done = subprocess.run(["/bin/sh", ROOT / "tools/doctor"], check=False, capture_output=True, text=True,
                          env={"PATH": str(tmp_path)})
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


# ---- the lint --------------------------------------------------------------------------------------


def test_a_conditional_inside_a_function_is_found(tmp_path: Path) -> None:
    file = tmp_path / "x.c"
    file.write_text("#if A\nint f(void)\n{\n#ifdef B\n\treturn 1;\n#endif\n}\n#endif\n")
    assert list(lint.check_conditionals(file)) == [f"{file}:4: #if inside a function"]


def test_a_device_model_that_reaches_out_is_found(tmp_path: Path) -> None:
    file = tmp_path / "dev_x.c"
    file.write_text('#include "vmm.h"\n#include "lib/bits.h"\n#include "vcpu.h"\n\tasm("wfi");\n')
    assert [line.split(": ")[0] for line in lint.check_device_model(file)] == [f"{file}:3", f"{file}:4"]


def test_a_file_without_a_license_line_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int x;\n")
    (tmp_path / "b.c").write_text("// SPDX-License-Identifier: MIT\n")
    (tmp_path / "c.c").write_text("// SPDX-License-Identifier: GPL-2.0-or-later\n")
    (tmp_path / "d").write_text("#!/bin/sh\n# SPDX-License-Identifier: MIT\n")
    found = list(lint.check_license(sorted(tmp_path.iterdir())))
    assert [Path(line.split(":")[0]).name for line in found] == ["a.c", "c.c"]


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
    cross = next(name for name in ("aarch64-none-elf-", "aarch64-linux-gnu-") if shutil.which(f"{name}gcc"))
    elf = tmp_path / "x.elf"
    subprocess.run([f"{cross}gcc", "-O1", "-ffreestanding", "-fno-pic", "-nostdlib", "-static", "-no-pie",
                    "-o", elf, source], check=True)
    graph = callgraph.CallGraph(elf, f"{cross}objdump")
    assert graph.path("panic", set()) == ["handler", "callback", "panic"]
    assert graph.path("panic", {"callback"}) is None
    assert graph.path("config_error", set()) is None, "reached from the boot code alone"


def test_what_a_killed_program_has_started_ends_with_it() -> None:
    """The pipe has its end when nobody holds it any more: neither the program nor the sleeper."""
    text = ("import subprocess; from tools.qemu import ends_with_us\n"
            "print(subprocess.Popen(ends_with_us(['sh', '-c', 'echo up; exec sleep 600'])).wait())")
    with subprocess.Popen([sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE) as program:
        assert program.stdout and program.stdout.readline() == b"up\n"
        program.kill()
        assert program.stdout.read() == b""
