# SPDX-License-Identifier: MIT
"""`make measure`: what the finished hypervisor costs, counted in instructions, and the bars that it
must hold. Machines are run without GDB and without the grader, so that nothing but the count is
between. `measure` is what make starts; README.md says what is measured.
"""
