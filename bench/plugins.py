# SPDX-License-Identifier: MIT
"""Compiles the TCG plugins of this directory for the emulator at hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from grader.machine.budget import plugin_api
from tools.errors import UserError
from tools.qemu import qemu_version

SOURCES = Path(__file__).parent / "plugin"
SHARED = Path("grader/machine/plugin")  # with the interface of the emulator


def compile_plugin(name: str, qemu: str, directory: Path) -> Path:
    """The shared object of plugin/`name`.c for this QEMU, made in `directory`."""
    api = plugin_api(qemu_version(qemu)[:2])
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"{name}-api{api}.so"
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        raise UserError("a host C compiler is needed for the emulator's plugins")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-fvisibility=hidden", f"-DPLUGIN_API_VERSION={api}", "-Ikit", f"-I{SHARED}",
                    "-o", str(target), str(SOURCES / f"{name}.c")], check=True)
    return target
