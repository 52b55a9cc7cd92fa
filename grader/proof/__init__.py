# SPDX-License-Identifier: MIT
"""Whether the grader itself is good: known faults (mutants/), cheats/, images whose fate is known
(selftest/). `make grader-check` tries them (grader_check).
Students do not get faults and cheats.
"""
