# SPDX-License-Identifier: MIT
"""The device tree of a VM: that of QEMU's virt, so that software for it runs unmodified."""

from __future__ import annotations

import hashlib
import struct

import libfdt

from tools import fdt as flattened
from tools.guest_map import GUEST_MAP

RAM_BASE = GUEST_MAP["RAM_BASE"]
GICD, GICD_SIZE = GUEST_MAP["GICD_BASE"], GUEST_MAP["GICD_SIZE"]
GICC, GICC_SIZE = GUEST_MAP["GICC_BASE"], GUEST_MAP["GICC_SIZE"]
GICR, GICR_STRIDE = GUEST_MAP["GICR_BASE"], GUEST_MAP["GICR_STRIDE"]
UART, UART_SIZE = GUEST_MAP["UART_BASE"], GUEST_MAP["UART_SIZE"]
UART_SPI = GUEST_MAP["UART_INTID"] - 32
PCI_ECAM, PCI_ECAM_SIZE = GUEST_MAP["PCI_ECAM_BASE"], GUEST_MAP["PCI_ECAM_SIZE"]
PCI_MMIO, PCI_MMIO_SIZE = GUEST_MAP["PCI_MMIO_BASE"], GUEST_MAP["PCI_MMIO_SIZE"]
PCI_INTX_SPI, PCI_INTX_COUNT = GUEST_MAP["PCI_INTX_INTID"] - 32, GUEST_MAP["PCI_INTX_COUNT"]
PCI_MEMORY_32 = 0x0200_0000
DTB_MAX = 2 << 20  # "must not exceed 2 megabytes", Linux: Documentation/arm64/booting.rst

RNG_SEED_SIZE, KASLR_SEED_SIZE = 32, 8
PHANDLE_GIC, PHANDLE_CLOCK = 1, 2
SPI, PPI = 0, 1
LEVEL_HIGH = 4


def _cells(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _reg(*ranges: tuple[int, int]) -> bytes:
    return b"".join(struct.pack(">QQ", base, size) for base, size in ranges)


def _strings(*values: str) -> bytes:
    return b"".join(value.encode() + b"\0" for value in values)


def make_dtb(*, cpus: int, memory: int, gic_version: int, cmdline: str,
             initrd: tuple[int, int] | None, seed: bytes | None = None, pci: bool = False) -> bytes:
    """Build the tree; initrd is its first guest-physical address and the one after its last.

    What the guest is to start its random numbers and its layout from is made of `seed`; without one
    the tree holds nothing of the kind. `pci`: the VM owns PCI devices.
    """
    fdt = libfdt.FdtSw()
    fdt.finish_reservemap()
    with fdt.add_node(""):
        fdt.property("compatible", _strings("linux,dummy-virt"))
        fdt.property_string("model", "linux,dummy-virt")
        fdt.property_u32("#address-cells", 2)
        fdt.property_u32("#size-cells", 2)
        fdt.property_u32("interrupt-parent", PHANDLE_GIC)
        with fdt.add_node("chosen"):
            fdt.property_string("stdout-path", f"/pl011@{UART:x}")
            if cmdline:
                fdt.property_string("bootargs", cmdline)
            if pci:
                # the hypervisor has placed the BARs for good
                fdt.property_u32("linux,pci-probe-only", 1)
            if initrd:
                fdt.property_u64("linux,initrd-start", initrd[0])
                fdt.property_u64("linux,initrd-end", initrd[1])
            if seed is not None:
                random = hashlib.sha512(seed).digest()
                fdt.property("rng-seed", random[:RNG_SEED_SIZE])
                fdt.property("kaslr-seed", random[RNG_SEED_SIZE:RNG_SEED_SIZE + KASLR_SEED_SIZE])
        with fdt.add_node(f"memory@{RAM_BASE:x}"):
            fdt.property_string("device_type", "memory")
            fdt.property("reg", _reg((RAM_BASE, memory)))
        with fdt.add_node("psci"):
            fdt.property("compatible", _strings("arm,psci-1.0", "arm,psci-0.2"))
            fdt.property_string("method", "hvc")
        with fdt.add_node("cpus"):
            fdt.property_u32("#address-cells", 1)
            fdt.property_u32("#size-cells", 0)
            for cpu in range(cpus):
                with fdt.add_node(f"cpu@{cpu:x}"):
                    fdt.property_string("device_type", "cpu")
                    fdt.property_string("compatible", "arm,armv8")
                    fdt.property_string("enable-method", "psci")
                    fdt.property_u32("reg", cpu)
        _add_timer(fdt, cpus, gic_version)
        _add_gic(fdt, cpus, gic_version)
        _add_uart(fdt)
        if pci:
            _add_pci(fdt)
    return flattened.finished(fdt)


def _add_timer(fdt: libfdt.FdtSw, cpus: int, gic_version: int) -> None:
    # On GICv2 a PPI's flags also say which CPUs have it.
    flags = LEVEL_HIGH | (((1 << cpus) - 1) << 8 if gic_version == 2 else 0)
    with fdt.add_node("timer"):
        fdt.property("compatible", _strings("arm,armv8-timer", "arm,armv7-timer"))
        fdt.property("always-on", b"")
        secure, physical, virtual, hypervisor = 13, 14, 11, 10
        fdt.property("interrupts", b"".join(
            _cells(PPI, number, flags) for number in (secure, physical, virtual, hypervisor)))


def _add_gic(fdt: libfdt.FdtSw, cpus: int, gic_version: int) -> None:
    with fdt.add_node(f"intc@{GICD:x}"):
        if gic_version == 3:
            fdt.property("compatible", _strings("arm,gic-v3"))
            fdt.property_u32("#redistributor-regions", 1)
            fdt.property("reg", _reg((GICD, GICD_SIZE), (GICR, cpus * GICR_STRIDE)))
        else:
            fdt.property("compatible", _strings("arm,cortex-a15-gic"))
            fdt.property("reg", _reg((GICD, GICD_SIZE), (GICC, GICC_SIZE)))
        # Devices whose interrupt-map leads here have no unit address.
        fdt.property_u32("#address-cells", 0)
        fdt.property_u32("#interrupt-cells", 3)
        fdt.property("interrupt-controller", b"")
        fdt.property_u32("phandle", PHANDLE_GIC)


def _add_uart(fdt: libfdt.FdtSw) -> None:
    with fdt.add_node("apb-pclk"):
        fdt.property("compatible", _strings("fixed-clock"))
        fdt.property_u32("#clock-cells", 0)
        fdt.property_u32("clock-frequency", 24_000_000)
        fdt.property_string("clock-output-names", "clk24mhz")
        fdt.property_u32("phandle", PHANDLE_CLOCK)
    with fdt.add_node(f"pl011@{UART:x}"):
        fdt.property("compatible", _strings("arm,pl011", "arm,primecell"))
        fdt.property("reg", _reg((UART, UART_SIZE)))
        fdt.property("interrupts", _cells(SPI, UART_SPI, LEVEL_HIGH))
        fdt.property("clocks", _cells(PHANDLE_CLOCK, PHANDLE_CLOCK))
        fdt.property("clock-names", _strings("uartclk", "apb_pclk"))


def _add_pci(fdt: libfdt.FdtSw) -> None:
    """The host bridge. Without msi-map its drivers use INTx: pin and slot choose one of four lines
    in turn."""
    interrupt_map = b"".join(
        _cells(slot << 11, 0, 0, pin, PHANDLE_GIC, SPI,
               PCI_INTX_SPI + (slot + pin - 1) % PCI_INTX_COUNT, LEVEL_HIGH)
        for slot in range(PCI_INTX_COUNT) for pin in range(1, 5))
    with fdt.add_node(f"pcie@{PCI_MMIO:x}"):
        fdt.property_string("compatible", "pci-host-ecam-generic")
        fdt.property_string("device_type", "pci")
        fdt.property_u32("#address-cells", 3)
        fdt.property_u32("#size-cells", 2)
        fdt.property_u32("#interrupt-cells", 1)
        fdt.property("reg", _reg((PCI_ECAM, PCI_ECAM_SIZE)))
        fdt.property("bus-range", _cells(0, 0))
        fdt.property("ranges", _cells(PCI_MEMORY_32, 0, PCI_MMIO, 0, PCI_MMIO, 0, PCI_MMIO_SIZE))
        fdt.property("dma-coherent", b"")
        fdt.property("interrupt-map-mask", _cells((PCI_INTX_COUNT - 1) << 11, 0, 0, 7))
        fdt.property("interrupt-map", interrupt_map)


def patch_dtb(blob: bytes, *, cmdline: str, append: str, initrd: tuple[int, int] | None) -> bytes:
    """A user's own tree with /chosen completed. Raises ValueError when it is no device tree."""
    tree = flattened.read(blob)
    chosen = tree.root.children.setdefault("chosen", flattened.Node("chosen")).properties
    if append and not cmdline:
        try:
            cmdline = chosen.get("bootargs", b"").decode().rstrip("\0")
        except UnicodeDecodeError:
            raise ValueError("the bootargs in its /chosen are no text") from None
    if cmdline or append:
        chosen["bootargs"] = _strings(f"{cmdline} {append}".strip())
    if initrd:
        chosen["linux,initrd-start"] = struct.pack(">Q", initrd[0])
        chosen["linux,initrd-end"] = struct.pack(">Q", initrd[1])
    return flattened.write(tree, size_hint=len(blob) + len(cmdline) + len(append) + 1024)
