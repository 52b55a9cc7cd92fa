# SPDX-License-Identifier: MIT
"""A machine under test, from stop to stop: QEMU, GDB, the monitor, memory, console, the budget of
instructions. Here nothing is known of what runs in it: a machine asks the Oracle that it is given.
`machine.Machine` is the way in.
"""
