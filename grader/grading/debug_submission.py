# SPDX-License-Identifier: MIT
"""`make debug LAB=n SUBMISSION=... TEST=...`: a test of somebody's submission, where it fails.

Built and run as it is graded: in the sandbox, and with it the test and the debugger. That finds the
student's sources below labs/. A person's terminal stays outside: the sandbox has one of its own,
whose bytes are copied, so nothing in it can type on the other.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

from course.registry import ROOT, load_course
from grader.grading import sandbox, submission
from grader.grading.grade_submission import Grader
from grader.grading.model import CUMULATIVE, EXIT_INFRASTRUCTURE, EXIT_NOT_BUILT, ISOLATED
from grader.machine.options import Options
from grader.machine.verdict import Finding, infrastructure
from tools.errors import UserError, run_main
from tools.files import scratch

CHUNK = 1 << 14


def on_a_terminal(command: list[str]) -> int:
    """Run it on a terminal of its own, and copy between that and ours."""

    def read(ours: int) -> bytes:
        rows = os.get_terminal_size()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", rows.lines, rows.columns, 0, 0))
        return os.read(ours, CHUNK)

    return os.waitstatus_to_exitcode(pty.spawn(command, read))


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader/grading/debug_submission.py",
                                     description="A test of a submission under GDB.")
    parser.add_argument("--lab", type=int, required=True)
    parser.add_argument("--submission", type=Path, required=True)
    parser.add_argument("--base", choices=("own", "reference"), default="own")
    parser.add_argument("--build", default="build")
    parser.add_argument("--qemu", default="qemu-system-aarch64")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("test")
    arguments = parser.parse_args()
    if not os.path.lexists(arguments.submission):
        raise UserError(f"SUBMISSION={arguments.submission}: no such file or directory")
    problem = sandbox.available()
    if problem:
        print(infrastructure("no sandbox on this machine", problem), file=sys.stderr)
        return EXIT_INFRASTRUCTURE

    grader = Grader(load_course(), arguments.lab, arguments.build, arguments.qemu)
    taken = submission.read(arguments.submission, grader.course, arguments.lab)
    if taken.refused:
        raise UserError(f"refused: {taken.refused[0]}")
    with scratch("strata-debug-") as folder:
        work = folder / "work"
        try:
            grader.prepare(folder / "template")
            grader.lay_out(taken.files, work)
            column = ISOLATED if arguments.base == "reference" else CUMULATIVE
            error = grader.build_image(work, column, set(taken.files))
        except Finding as finding:
            print(finding, file=sys.stderr)
            return EXIT_INFRASTRUCTURE
        if error:
            print(f"does not build:\n{error}", file=sys.stderr)
            return EXIT_NOT_BUILT
        told = Options(build=str(work / "build"), impl="labs", base=arguments.base,
                       qemu=arguments.qemu, seeds=(arguments.seed,), prebuilt=True)
        command = [sys.executable, "-m", "grader.grading.debug_test", *told.arguments(),
                   arguments.test]
        is_person = sys.stdin.isatty() and sys.stdout.isatty()
        wrapped = sandbox.run_command(work, (ROOT, grader.guests), command,
                                      work / "labs", is_person)
        return on_a_terminal(wrapped) if is_person else subprocess.run(wrapped).returncode


if __name__ == "__main__":
    run_main(main)
