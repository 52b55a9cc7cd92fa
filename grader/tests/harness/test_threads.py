# SPDX-License-Identifier: MIT
"""The unit tests that run threads find the faults for which they were written.

No machine shows most of these: QEMU's CPUs keep their stores in order, and meet too seldom.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from grader.machine.images import ROOT

# Seconds until a message that nobody takes is lost; as many commands as with FULL=1.
LONG = {"STRATA_LATE": "3", "STRATA_COMMANDS": "30000"}
PATIENCE_SECONDS = 60
VCPU, ENTRY, DEADLINE, PTIMER = (
    f"solution/{file}"
    for file in ("lab01-el2-boot/vcpu.c", "lab01-el2-boot/vcpu_entry.c",
                 "lab04-vtimer/deadline.c", "lab04-vtimer/ptimer.c")
)


@dataclass(frozen=True)
class Fault:
    name: str
    test: str
    file: str
    old: str
    new: str


FAULTS = [
    Fault(
        "no second look at whose vCPU it is",
        "lab01_smp",
        VCPU,
        "if (__atomic_load_n(&vcpu->cpu, __ATOMIC_ACQUIRE) == cpu)\n",
        "if (cpu)\n",
    ),
    Fault(
        "no last look before a vCPU sleeps",
        "lab01_smp",
        VCPU,
        "\tif (hook_vcpu_has_wakeup && hook_vcpu_has_wakeup(vcpu))\n\t\tvcpu_wake(vcpu);\n",
        "",
    ),
    Fault(
        "a CPU that sleeps is not told",
        "lab01_smp",
        VCPU,
        "\tif (state == VCPU_BLOCKED || state == VCPU_RUNNING)\n\t\tcpu_kick(cpu);\n",
        "",
    ),
    Fault(
        "a vCPU is stolen while its registers are in the CPU",
        "lab01_smp",
        VCPU,
        "if (vcpu_is_loaded(vcpu, from) || ",
        "if (",
    ),
    Fault(
        "saved registers are not released",
        "lab01_smp",
        ENTRY,
        "__atomic_store_n(&cpu->vcpu, vcpu, __ATOMIC_RELEASE);",
        "__atomic_store_n(&cpu->vcpu, vcpu, __ATOMIC_RELAXED);",
    ),
    Fault(
        "who leaves for good stays in the queue",
        "lab01_smp",
        ENTRY,
        "\tif (vcpu->state == VCPU_RUNNABLE)\n\t\trun_queue_remove(cpu, vcpu);\n"
        "\tvcpu_set_state(vcpu, VCPU_RUNNING);\n", "",
    ),
    Fault(
        "layers are saved in the order in which they are loaded",
        "lab01_smp",
        ENTRY,
        "\t\tfor_each_vcpu_hooks_reverse (hooks)\n\t\t\thooks->save(previous);\n",
        "\t\tfor_each_vcpu_hooks (hooks)\n\t\t\thooks->save(previous);\n",
    ),
    Fault(
        "a deadline that was taken off is not released",
        "lab04_smp",
        DEADLINE,
        "__atomic_store_n(&deadline->cpu, NULL, __ATOMIC_RELEASE);",
        "__atomic_store_n(&deadline->cpu, NULL, __ATOMIC_RELAXED);",
    ),
    Fault(
        "CNTP expires while its guest writes it",
        "lab04_smp",
        PTIMER,
        "\tspin_lock(&timers->lock);\n\tptimer_update(container_of(timers, struct vcpu, vtimer));\n"
        "\tspin_unlock(&timers->lock);\n",
        "\tptimer_update(container_of(timers, struct vcpu, vtimer));\n",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_threads_find(fault: Fault, tmp_path: Path) -> None:
    for name in ("Makefile", "course", "grader", "guests", "kit", "tools", "course.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "solution", tmp_path / "solution")
    file = tmp_path / fault.file
    text = file.read_text("utf-8")
    assert text.count(fault.old) == 1, f"{fault.file} is not what this fault was made for"
    file.write_text(text.replace(fault.old, fault.new), "utf-8")
    binary = f"build/host/solution/test_{fault.test}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(["make", "-C", tmp_path, binary], check=True, capture_output=True,
                   env=environment)
    with subprocess.Popen([tmp_path / binary], env=environment | LONG,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            output, errors = run.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:  # what it has found, it has told
            run.kill()
            output, errors = run.communicate()
    assert run.returncode != 0, f"not found: {output}"
    assert re.search(r"CHECK\(|data race|was called without", errors), errors[-2000:]
