# SPDX-License-Identifier: MIT
"""What is true of a machine that stands: tables, objects, stacks, what probes said. It judges nothing."""
