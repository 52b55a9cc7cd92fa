# SPDX-License-Identifier: MIT
"""Every encoding of MRS and MSR in two VMs (guests/probes/encodings.c), on all kinds of machine.

What may answer, and why, is told in guests/probes/encodings.h. `make test` tries some machines;
FULL=1 tries all of them, each image on each CPU with each interrupt controller:

    make test TESTS=grader/tests/hypervisor/test_encodings.py FULL=1 [QEMU=...]
"""

from __future__ import annotations


import pytest

from grader.conftest import LABS, WHOLE, MakeLab
from grader.machine import options
from grader.oracle.probe import ProbeVm

CPUS = ("cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1", "max")
SOME = [
    (WHOLE, "cortex-a76", 2),
    (WHOLE, "cortex-a57", 3),
    (WHOLE, "max", 3),
    (3, "cortex-a53", 3),
    (2, "max", 2),
    (1, "neoverse-n1", 3),
]
ALL = [(number, cpu, gic) for number in LABS for cpu in CPUS for gic in (3, 2)]
MACHINES = ALL if options.current().full else SOME
BUDGET = 400_000_000


def of_layers_above(number: int) -> tuple[str, ...]:
    """What an image without these layers does not promise (head of world.c)."""
    return tuple(f"of layer {layer}" for layer in (3, 4) if layer > number)


@pytest.mark.parametrize(("number", "cpu", "gic"), MACHINES)
def test_no_register_leaks_and_none_is_hidden_in_vain(
        make_lab: MakeLab, number: int, cpu: str, gic: int) -> None:
    vms = [ProbeVm("encodings"), ProbeVm("encodings")]
    make_lab(number, gic).probe(*vms, cpu=cpu, budget=BUDGET, ignore=of_layers_above(number))
