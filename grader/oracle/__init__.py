# SPDX-License-Identifier: MIT
"""What is true of a machine that stands: tables, objects, stacks, the crash mailbox, what probes
said. All is read from outside, by decoders written from the Arm manuals (decode/). Here nobody gets
points. `strata.ORACLE` is what a Machine asks; `probe` packs VMs and judges their reports.
"""
