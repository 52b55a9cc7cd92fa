# SPDX-License-Identifier: MIT
"""Whether the grader itself is good: known faults, cheats, images whose fate is known."""
