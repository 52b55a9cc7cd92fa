# SPDX-License-Identifier: MIT
"""Tools of the build machine: the doctor, the VM packer, QEMU's command line, the lint."""
