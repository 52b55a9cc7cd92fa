# SPDX-License-Identifier: MIT
"""Several processes that share a run's tests: `--workers=2` of a graded run.

They are copies of the one that has read all tests: to start Python and read the tests takes as long
as several tests. Each takes the next test that nobody has taken from a pipe, and passes results on
itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback

import pytest

PLACE_BYTES = 2
ROOM = 1 << 16  # of a pipe
PR_SET_PDEATHSIG = 1


class Workers:
    """Runs the tests of a session in so many processes."""

    def __init__(self, count: int) -> None:
        self.count = count

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        count = min(self.count, len(session.items))
        if count < 2 or session.testsfailed or PLACE_BYTES * len(session.items) > ROOM:
            return None  # pytest's own loop
        _make_directory(session)
        todo, places = os.pipe()
        os.write(places, b"".join(place.to_bytes(PLACE_BYTES, "little")
                                  for place in range(len(session.items))))
        os.close(places)
        sys.stdout.flush()
        children = [_fork(session, todo) for _ in range(count)]
        os.close(todo)
        ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if any(ended):
            raise session.Interrupted(f"processes that ran tests ended with {ended}")
        return True


def _make_directory(session: pytest.Session) -> None:
    """One for all processes: the first removes it at its end."""
    getattr(session.config, "_tmp_path_factory").getbasetemp()


def _fork(session: pytest.Session, todo: int) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            _run(session, todo)
            status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(session: pytest.Session, todo: int) -> None:
    """As pytest's own loop, which knows what comes next: fixtures of a file end with its tests."""
    item = _take(session, todo)
    while item is not None:
        following = _take(session, todo)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        item = following


def _take(session: pytest.Session, todo: int) -> pytest.Item | None:
    place = os.read(todo, PLACE_BYTES)
    return session.items[int.from_bytes(place, "little")] if place else None
