# SPDX-License-Identifier: MIT
"""Two Linux VMs of four vCPUs each on four CPUs: in one vCPUs come and go, the other one ends."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from grader.machine.images import build_directory
from grader.machine.options import current
from grader.machine.verdict import infrastructure
from grader.tests.harness.test_make_run import command, environment
from tools import cpio

ROUNDS, ROUNDS_FULL = 4, 100
SECONDS, SECONDS_FULL = 400, 3600  # a run that takes this long says nothing about the hypervisor
# What a kernel says when it is not well, even if it goes on.
TROUBLE = re.compile(r"Call trace|rcu_\w+ detected|soft lockup|WARNING:|BUG:|failed to come online"
                     r"|may not have shut down")

# With strata.part=hotplug a VM takes all vCPUs but the first offline and online again; in between
# each of them has a process of its own. With strata.part=load it computes on all of them, and goes
# off in the middle of that.
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
read -r cmdline < /proc/cmdline
compute() { i=0; while [ $i -lt $1 ]; do i=$((i + 1)); done; }
wrong() { errors=$((errors + 1)); }
online() { for n in 1 2 3; do echo $1 > /sys/devices/system/cpu/cpu$n/online || wrong; done; }
count() { [ "$(nproc)" = $1 ] || wrong; }
echo "userspace: Linux $(nproc) CPUs"
case " $cmdline " in
*" strata.part=load "*)
	for n in 0 1 2 3; do taskset $((1 << n)) sh -c 'while :; do :; done' & done
	compute 4000
	echo "going off with $(nproc) CPUs at work"
	poweroff -f ;;
esac
errors=0 round=0
while [ $round -lt ROUNDS ]; do
	online 0
	count 1
	online 1
	count 4
	for n in 0 1 2 3; do
		taskset $((1 << n)) sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i + 1)); done; exit 7' &
	done
	for pid in $(jobs -p); do wait $pid; [ $? = 7 ] || wrong; done
	round=$((round + 1))
done
echo "$round rounds, $errors errors, $(nproc) CPUs"
poweroff -f
"""


def rounds() -> int:
    return ROUNDS_FULL if current().full else ROUNDS


def write_vms(folder: Path) -> Path:
    linux = build_directory() / "linux"
    (folder / "initramfs.cpio.gz").write_bytes(cpio.make_initramfs([
        *(cpio.directory(name) for name in ("bin", "dev", "proc", "sys")),
        cpio.character_device("dev/console", 5, 1),
        cpio.executable("bin/busybox", (linux / "busybox").read_bytes()),
        cpio.executable("init", INIT.replace("ROUNDS", str(rounds())).encode("ascii")),
    ]))
    vms = folder / "vms.toml"
    vms.write_text("".join(
        f'[[vm]]\nname = "{name}"\ncpus = 4\nmemory = "256M"\npage_size = "4K"\n'
        f'kernel = "{linux}/Image"\ninitrd = "initramfs.cpio.gz"\n'
        f'cmdline = "console=ttyAMA0 quiet strata.part={part}"\n'
        for name, part in (("alpha", "hotplug"), ("beta", "load"))), "utf-8")
    return vms


@pytest.mark.parametrize("gic", ["3", "2"])
def test_vcpus_of_linux_come_and_go_beside_a_vm_that_ends_under_load(
    tmp_path: Path, gic: str
) -> None:
    if gic == "2" and not current().full:
        pytest.skip("make test FULL=1 runs it")
    subprocess.run(command("image", "linux", LAB="6"), check=True, capture_output=True,
                   env=environment())
    seconds = SECONDS_FULL if current().full else SECONDS
    machine = command("run", LAB="6", SMP="4", GIC=gic, ICOUNT="1", VMS=str(write_vms(tmp_path)))
    try:
        done = subprocess.run(machine, check=False, capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, env=environment(),
                              timeout=seconds)
    except subprocess.TimeoutExpired as late:
        raise infrastructure(f"no end after {seconds} s", str(late.stdout)[-2000:])
    shown = done.stdout
    assert f"[alpha] {rounds()} rounds, 0 errors, 4 CPUs" in shown, shown[-3000:]
    assert "[beta] going off with 4 CPUs at work" in shown, shown[-3000:]
    assert shown.index("beta: powered off") < shown.index("alpha: powered off"), shown[-3000:]
    assert not TROUBLE.search(shown), shown[-3000:]
    assert done.returncode == 0, shown[-3000:] + done.stderr
