# SPDX-License-Identifier: MIT
"""Errors that are the user's to mend: one line, no traceback, exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user gave is wrong; the text is one line that says where and what."""


def run_main(main: Callable[[], int]) -> None:
    """Run a tool's main function and end the process with its status."""
    try:
        status = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        sys.stderr.close()
        status = 141
    sys.exit(status)
