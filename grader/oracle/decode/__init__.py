# SPDX-License-Identifier: MIT
"""Decoders of architectural formats, written from the Arm manuals and independent of Strata's C.

Pure functions and dataclasses: what reads memory takes a callback. The tests use them as the
oracle, GDB's `strata` commands to print. Documents: Arm ARM DDI 0487, GICv3 IHI 0069.
"""
