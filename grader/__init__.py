# SPDX-License-Identifier: MIT
"""The grader: drives the real QEMU and the real GDB, and judges from outside the machine.
Its rooms stand on each other: machine, oracle, grading, proof; tests use all. tools/rooms.py holds
that.
README.md draws the way from `make grade` to a verdict.
"""
