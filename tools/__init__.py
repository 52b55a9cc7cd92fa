# SPDX-License-Identifier: MIT
"""What builds and runs a machine, and keeps the repository's rules: the doctor, the packer of VMs,
QEMU's command line, GDB, the lint. Here nothing is known of exercises, points or tests.
`make` calls these modules; all rooms above use them.
"""
