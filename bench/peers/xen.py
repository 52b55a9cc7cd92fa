# SPDX-License-Identifier: MIT
"""Xen: Debian's build, which starts the payload as domains by itself, without a domain 0.

What it starts stands in the device tree: Xen, docs/misc/arm/device-tree/booting.txt.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.paper import EVENTS, ONE, SWITCH, XEN
from bench.peers import fetch
from bench.run import Setup
from bench.systems import CPUS, Job, outer_machine
from tools import fdt
from tools.files import write_atomically
from tools.vms import MIB

MEMORY = 1024 * MIB
IMAGE_AT = 0x5000_0000  # where the machine has the payload, one copy a domain
IMAGE_STRIDE = 0x10_0000
DOMAIN_KIB = 32 * 1024
FIRST_PORT, FIRST_PHANDLE = 10, 0x7000  # of the event channels
XEN_OPTIONS = "console=dtuart loglvl=info guest_loglvl=info bootscrub=0"


@dataclass(frozen=True)
class Scenario:
    """The domains of a part: vCPUs of each, what each is told, and the machine's CPUs."""

    cpus: int
    domains: tuple[str, ...]
    smp: int
    has_events: bool = False


SCENARIOS = {
    ONE: Scenario(2, ("bench=xen,one",), 2),
    SWITCH: Scenario(1, ("bench=xen,switch", "bench=xen,switch,second"), 1),
    EVENTS: Scenario(1, ("bench=xen,events", "bench=xen,events,second"), 2, has_events=True),
}


def cells(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def domain(scenario: Scenario, index: int, size: int) -> fdt.Node:
    """A domain that Xen creates, and its end of the event channel."""
    address = IMAGE_AT + index * IMAGE_STRIDE
    node = fdt.Node(f"domU{index + 1}", {
        "compatible": text("xen,domain"), "#address-cells": cells(2), "#size-cells": cells(2),
        "cpus": cells(scenario.cpus), "memory": cells(0, DOMAIN_KIB), "vpl011": b""})
    node.children[f"module@{address:x}"] = fdt.Node(f"module@{address:x}", {
        "compatible": text("multiboot,kernel") + text("multiboot,module"),
        "reg": cells(0, address, 0, size), "bootargs": text(scenario.domains[index])})
    if scenario.has_events:
        node.children["evtchn@1"] = fdt.Node("evtchn@1", {
            "compatible": text("xen,evtchn-v1"), "phandle": cells(FIRST_PHANDLE + index),
            "xen,evtchn": cells(FIRST_PORT + index, FIRST_PHANDLE + 1 - index)})
    return node


def machine_tree(machine: list[str], dump: Path) -> fdt.Tree:
    """The tree that QEMU makes for a machine."""
    at = machine.index("-M") + 1
    words = [*machine[:at], f"{machine[at]},dumpdtb={dump}", *machine[at + 1:]]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return fdt.read(dump.read_bytes())


def make_tree(machine: list[str], scenario: Scenario, size: int, dump: Path) -> bytes:
    tree = machine_tree(machine, dump)
    chosen = tree.root.children["chosen"]
    chosen.properties |= {"#address-cells": cells(2), "#size-cells": cells(2),
                          "xen,xen-bootargs": text(XEN_OPTIONS)}
    for index in range(len(scenario.domains)):
        node = domain(scenario, index, size)
        chosen.children[node.name] = node
    return fdt.write(tree, size_hint=1 << 20)


def jobs(setup: Setup, parts: list[str], say: Callable[[str], None]) -> list[Job]:
    image, package = fetch.xen(setup, say)
    qemu = fetch.newer_qemu(setup, say)
    payload = setup.guest("payload")

    def command(cpu: str, part: str) -> list[str]:
        scenario = SCENARIOS[part]
        machine = outer_machine(qemu, cpu, smp=scenario.smp, memory=MEMORY)
        tree = setup.out / f"xen-{part}-{cpu}.dtb"
        write_atomically(tree, make_tree(machine, scenario, payload.stat().st_size,
                                         tree.with_suffix(".machine.dtb")))
        for index in range(len(scenario.domains)):
            address = IMAGE_AT + index * IMAGE_STRIDE
            machine += ["-device", f"loader,file={payload},addr={address:#x},force-raw=on"]
        return [*machine, "-kernel", str(image), "-dtb", str(tree)]
    return [Job(XEN, cpu, part, qemu, partial(command, cpu, part),
                ends=len(SCENARIOS[part].domains), versions={"Xen": package})
            for cpu in CPUS for part in parts]
