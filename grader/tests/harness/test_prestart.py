# SPDX-License-Identifier: MIT
"""A program that stands before its main() and runs as often as it is asked to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.machine import images, prestart
from grader.machine.budget import build_prestart

START = ["sh", "-c"]
FOR_EVER = "exec sleep infinity"  # until it is killed


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    known: dict[tuple[int, str], prestart.Prestarted | None] = {}
    monkeypatch.setattr(prestart, "_programs", known)
    yield build_prestart(images.build_directory() / "grader")
    for program in known.values():
        if program is not None:
            program.close()


def run(library: Path | None, script: str, output: Path, *fds: int) -> prestart.Child:
    with output.open("wb") as file:
        return prestart.start([*START, script], library, os.environ, file.fileno(), fds)


@pytest.mark.parametrize("copied", [True, False])
def test_it_runs_as_a_program_that_we_have_started(library: Path, tmp_path: Path,
                                                   copied: bool) -> None:
    out = tmp_path / "out"
    read, write = os.pipe()
    script = (f"echo $PPID $(pwd) [$LD_PRELOAD$PRESTART_FD]; echo told >/proc/self/fd/{write};"
              " exit 3")
    child = run(library if copied else None, script, out, write)
    os.close(write)
    assert child.wait() == 3
    assert child.wait(0) == 3
    assert out.read_text() == f"{os.getpid()} {os.getcwd()} []\n"
    assert os.read(read, 64) == b"told\n"
    os.close(read)
    assert (prestart._programs.get((os.getpid(), "sh")) is not None) == copied


def test_it_runs_many_times_and_several_at_once(library: Path, tmp_path: Path) -> None:
    children = [run(library, f"exit {number}", tmp_path / "out") for number in range(8)]
    assert [child.wait() for child in children] == list(range(8))
    read, write = os.pipe()
    sleeper = run(library, f"echo >/proc/self/fd/{write}; {FOR_EVER}", tmp_path / "out", write)
    assert os.read(read, 1) == b"\n"  # it runs its program: what comes before that is over
    os.close(read)
    os.close(write)
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert sleeper.wait(0) is None
    sleeper.kill()
    assert sleeper.wait() == -9
    sleeper.kill()  # of a process that has ended, nobody else's
    assert run(library, "kill -ABRT $$", tmp_path / "out").wait() == -6


def test_it_ends_with_the_process_that_asked_for_it(library: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    asker = os.fork()
    if not asker:
        prestart._programs.clear()
        run(library, f"echo $$ >/proc/self/fd/{write}; {FOR_EVER}", tmp_path / "out", write)
        os.read(read, 1)
        os._exit(0)
    os.waitpid(asker, 0)
    os.close(write)
    while os.read(read, 64):  # until nobody has the other end any more
        pass
    os.close(read)


def test_a_program_that_cannot_be_copied_is_started_as_any_other(
        library: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nothing.so"
    assert run(missing, "exit 4", tmp_path / "out").wait() == 4
    assert prestart._programs == {(os.getpid(), "sh"): None}
