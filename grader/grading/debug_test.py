# SPDX-License-Identifier: MIT
"""`make debug TEST=...`: runs one test, and where it fails hands its machine over to GDB.

The test may be named by a part of its name, as `make why` takes it.

The test's own debugger is taken away while the machine stands at the instruction at which the
finding was made, and an interactive one takes its place at QEMU's stub. A test that only reads the
image's code has none: GDB shows the function then.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grader.machine import images
from grader.machine.machine import Machine
from tools.debug import add_guest, debugger_command, find_debugger
from tools.errors import UserError, run_main


RETURNS_TO = "boot_not_el2"  # of a bench (grader/oracle/calls.py)


class HandOver:
    """A pytest plugin that acts between a test's failure and the end of its machine."""

    def __init__(self) -> None:
        self.machine: Machine | None = None
        self.ran = False
        remember, started = Machine.__init__, self

        def init(machine: Machine, *arguments: Any, **named: Any) -> None:
            remember(machine, *arguments, **named)
            started.machine = machine

        setattr(Machine, "__init__", init)

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[None],
                                  report: pytest.TestReport) -> None:
        if call.when != "call":
            return
        self.ran = True
        print(f"\n{report.longrepr}\n", flush=True)
        finding = f"{report.longrepr}"
        if self.machine is not None:
            take_over(self.machine, finding)
        else:
            look_at(node, finding)


def commands_for(finding: str) -> list[str]:
    """What shows, of an image that does not run, the function that a finding is about."""
    place = (re.search(r"\b([A-Za-z_]\w*)\+0x[0-9a-f]+", finding)
             or re.search(r"\b([A-Za-z_]\w*)\(\)", finding))
    return [f"disassemble /s {place[1]}"] if place else []


def shown_last(text: str) -> str:
    """GDB's command that says this: behind all that it says of itself."""
    return "echo " + text.replace("\\", r"\\").replace("\n", r"\n") + r"\n"


def told(finding: str) -> str:
    """What a finding says, without the console and how to come here."""
    before = finding.strip().partition("\n  console:")[0]
    return "\n".join(line for line in before.split("\n") if not line.startswith("  reproduce:"))


def look_at(node: pytest.Item, finding: str) -> None:
    """A test of the image's code has no machine: GDB shows the code."""
    lab = getattr(getattr(node, "module", None), "LAB", None)
    if lab is None:
        return
    words = [word for line in ("set confirm off", "set pagination off", *commands_for(finding),
                               shown_last(told(finding)))
             for word in ("-ex", line)]
    subprocess.run([find_debugger(), "-q", "-nx", *words, str(images.hypervisor(lab).elf)],
                   check=False)


def how_to_repeat(name: str | None, function: int, arguments: tuple[int, ...]) -> str:
    """What to type to see a call that a test made, and that has returned."""
    has_name = name is not None and name.isidentifier()  # not one of the compiler's, with dots
    place, start = (name, name) if has_name else (f"*{function:#x}", f"{function:#x}")
    return ("The call is over. To step through it once more, on the state that it left:\n"
            f"  tbreak {place}\n"
            f"  print/x ((unsigned long (*)()){start})({', '.join(map(hex, arguments))})\n"
            "Functions that the test answers for are the real ones then.\n")


def take_over(machine: Machine, finding: str) -> None:
    """Replace the machine's debugger by one that a person has."""
    last = told(finding)
    if machine.returned:
        if (home := machine.symbols.place(machine.pc)) == RETURNS_TO:
            last += f"\n{home} is where the test lets its calls return to; it was not executed."
        last += "\n" + how_to_repeat(machine.symbols.place(machine.returned[0]),
                                     *machine.returned)
    machine.gdb.close()
    config = machine.config
    guests = [add_guest(guest.elf, guest.load_address) for guest in config.guests]
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    subprocess.Popen(debugger_command(config.elf, machine._process.stub.path, guests,
                                      ["python target.leave_inlined()", shown_last(last)]),
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)).wait()
    signal.signal(signal.SIGINT, handler)


def whole_name(wanted: str) -> str:
    """The path and name of a test, of which a part is enough: a lab's if there are several."""
    if Path(wanted.split("::")[0]).exists():
        return wanted
    names = _Names()
    pytest.main(["--collect-only", "-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:xdist",
                 "grader/tests"], plugins=[names])
    found = [name for name in names.all if name.endswith(wanted)]
    found = found or [name for name in names.all if wanted in name]
    if not found:
        raise UserError(f"TEST={wanted}: no such test")
    return "grader/" + min(found, key=lambda name: "tests/lab" not in name)


class _Names:
    """A pytest plugin that keeps the names of the tests that there are."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.all = [item.nodeid for item in items]


def main() -> int:
    *told, wanted = sys.argv[1:]
    test = whole_name(wanted)
    plugin = HandOver()
    status = pytest.main(["-q", "-s", "-x", "--tb=no", "-p", "no:cacheprovider",
                          "-p", "no:xdist", *told, test], plugins=[plugin])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED or status == pytest.ExitCode.USAGE_ERROR:
        raise UserError(f"TEST={wanted}: no such test")
    if not plugin.ran:
        print("The test passed: there is no failure to look at.")
    return 0


if __name__ == "__main__":
    run_main(main)
