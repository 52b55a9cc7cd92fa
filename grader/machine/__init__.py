# SPDX-License-Identifier: MIT
"""A machine under test, from stop to stop: QEMU, GDB, the monitor, the console, the budget of instructions."""
