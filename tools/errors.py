# SPDX-License-Identifier: MIT
"""Errors that the user can mend: one line, no traceback. Exit status 2; 3 when the disk is full."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from tools.files import FULL

EXIT_DISK_FULL = 3  # the grader's status for what is nobody's fault


class UserError(Exception):
    """Something the user gave is wrong; the text is one line that says where and what."""


def run_main(main: Callable[[], int]) -> None:
    """Run a tool's main function and end the process with its status."""
    try:
        status = main()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        sys.stderr.close()
        status = 141
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"error: {error.filename or 'writing'}: {error.strerror}", file=sys.stderr)
        # At exit Python would write the rest of its output, and fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = EXIT_DISK_FULL
    sys.exit(status)
