# SPDX-License-Identifier: MIT
"""The grader: drives the real QEMU and the real GDB, and judges from outside the machine."""
