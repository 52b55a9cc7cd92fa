# SPDX-License-Identifier: MIT
"""Files: written whole or not at all, a disk without room for them, locks, directories for a while,
names that a debugger reads, the list of the repository's."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM = 1 << 16  # with less free than this, what failed may well have failed for that
_FULL_LINE = re.compile(f"^.*(?:{'|'.join(re.escape(os.strerror(number)) for number in FULL)})$",
                        re.MULTILINE)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write all of the file or nothing of it: on a full disk the old contents stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def full_disk(words: str, folder: Path) -> str:
    """The line that blames a full disk for a program's failure to write into `folder`, or "".

    Not every program names the cause: dash prints "I/O error", so the room left is asked for too. A
    source can make its compiler print such a line, and gains nothing: a build that fails for the
    grader's reasons earns no points either.
    """
    match = _FULL_LINE.search(words)
    if match:
        return match[0]
    room = os.statvfs(folder)
    return f"{folder}: {os.strerror(errno.ENOSPC)}" if room.f_bavail * room.f_frsize < ROOM else ""


def has_room(folder: Path, size: int) -> bool:
    """Whether so many bytes can be written there now: a quota is seen by nothing else."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        return error.errno not in FULL
    return True


def gdb_word(path: Path) -> str:
    """A path as one word of a command of GDB's that takes others beside."""
    return re.sub(r"([\s'\"\\])", r"\\\1", str(path))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """One process at a time among all that name this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A directory below /tmp, as long as this process lives.

    A process that is killed cannot remove it. So each locks its own, and removes those of the same
    prefix that nobody has locked.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with _locked(left) as is_free:
            if is_free:
                shutil.rmtree(left, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        with _locked(folder) as is_ours:
            if is_ours and folder.is_dir():  # nobody took it for one that was left
                try:
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                return


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether this process has got the lock of a directory, for the block."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone, or somebody else's
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        got = True
    except BlockingIOError:
        got = False
    try:
        yield got
    finally:
        os.close(descriptor)


def repository_files() -> list[Path]:
    """What is or may be committed; in an unpacked archive, everything but build output."""
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=False,
                             capture_output=True, text=True)
    if listing.returncode == 0:
        return sorted(path for name in listing.stdout.splitlines()
                      if (path := Path(name)).is_file())
    return sorted(path for path in Path(".").rglob("*")
                  if path.is_file() and path.parts[0] not in (".git", "build"))
