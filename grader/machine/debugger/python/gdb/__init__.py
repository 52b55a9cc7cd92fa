# SPDX-License-Identifier: MIT
"""What GDB's Python has in the place of its library (gdb_client.py): nothing but what GDB calls by
itself. Without it GDB complains at each frame, a hundred letters, one system call for each."""


def _execute_unwinders(pending_frame: object) -> None:
    """None: no unwinder is written in Python."""
