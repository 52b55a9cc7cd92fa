# SPDX-License-Identifier: MIT
"""What runs inside GDB: the `strata` commands, on the decoders with which the grader judges.
`strata.py` is sourced; `target.py` asks GDB.
They only look: nothing in the machine changes.
"""
