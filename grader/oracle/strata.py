# SPDX-License-Identifier: MIT
"""What a machine is told about the programs that run in it: this hypervisor and its guests."""

from __future__ import annotations

from grader.machine.machine import Oracle
from grader.oracle import crash, guest_stack, quiescence

ORACLE = Oracle(crash=crash.verdict, why_quiet=quiescence.reason,
                timer_ahead=quiescence.timer_ahead, guest_frames=guest_stack.lines)
