# SPDX-License-Identifier: MIT
"""The rules of this repository that no compiler checks. Each finding is one line, file first."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path

from tools.callgraph import CallGraph
from tools.errors import run_main
from tools.files import repository_files
from tools.glossary import check_glossary
from tools.links import check_index, check_links
from tools.rooms import check_rooms

C_TREES = ("kit", "solution", "guests", "grader/host")  # labs/ is generated
SOURCES = {".c", ".h", ".S", ".lds", ".py", ".sh", ".mk", ".toml"}
SPDX = re.compile(r"SPDX-License-Identifier: (\S+)")
LICENSE = "MIT"
PLUGIN_LICENSE = "GPL-2.0-or-later"  # a QEMU plugin links with QEMU
DEVICE_INCLUDES = re.compile(r'"(vmm\.h|vmm_irq\.h|exercise\.h|lib/[a-z_]+\.h)"')
INDEX = "docs/README.md"  # of all pages
MOVED = {"docs/handout.md": "README.md"}  # written to be read in a handout
# The versions of Debian 12 and 13, for which the sources are good. Other versions lay out some
# lines differently, and find other faults.
CLANG_FORMATS = ("14", "19")
MYPYS = ("1.0", "1.15")
FLAKE8S = ("5.0", "7.1")
PYPROJECT = "pyproject.toml"
# What flake8 leaves out when nobody asks, as ruff does, and tabs, which C in a string has.
FLAKE8_IGNORES = ("E101", "E121", "E123", "E126", "E226", "E24", "E704", "W191", "W503", "W504")
# In a macro one takes (x)&y and (x)-y for casts, and braces alone for a block.
AMBIGUOUS = re.compile(r"[^*]\)[*&-]\w|^\t\{\s+\\$")

# No action of a guest may end the hypervisor: nothing that a guest enters may call these.
FATAL = ("panic", "config_error")
# Functions that call them all the same, each with the reason why a guest cannot bring it about.
FATAL_ALLOWED: dict[str, str] = {
    "spin_not_held": "asserts that EL2 holds a lock of its own; no guest takes or frees one",
    "spinlock_wait": "where there is one CPU no lock is waited for; a pointer leads to the wait",
    "page_alloc": "asserts the order of a block, which is a constant at each call",
    "page_alloc_range": "asserts a size, which is that of a VM of the checked bundle",
    "free_checked": "asserts that EL2 gives back only what it allocated, with its own bookkeeping",
    "block_free": "the same, page by page",
    "smmu_issue": "an SMMU that takes no commands any more protects nothing; "
    "no guest has its registers", "smmu_sync": "the same",
    "mmio_create": "asserts the region of a device model, which is constant",
    "gic_v3_init_cpu": "runs on each CPU before its first guest; a pointer in a table of functions",
    "gic_v2_init_cpu": "the same for GICv2",
}


def check_license(files: list[Path]) -> Iterator[str]:
    for path in files:
        is_script = not path.suffix and path.read_bytes()[:2] == b"#!"
        is_source = path.suffix in SOURCES or path.name == "Makefile" or is_script
        if not is_source or not path.stat().st_size:
            continue
        head = path.read_text("utf-8").splitlines()[:2]
        where = 1 if head and head[0].startswith("#!") else 0
        match = SPDX.search(head[where]) if len(head) > where else None
        if not match:
            yield f"{path}:{where + 1}: no SPDX-License-Identifier line"
        elif match[1] != LICENSE and not (match[1] == PLUGIN_LICENSE and "plugin" in path.parts):
            yield f"{path}:{where + 1}: license {match[1]}; this repository is {LICENSE}"


def check_conditionals(path: Path) -> Iterator[str]:
    """No #if inside a function: the body is what stands between { and } in column 1."""
    inside = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.startswith("{"):
            inside = True
        elif line.startswith("}"):
            inside = False
        elif inside and re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b", line):
            yield f"{path}:{number}: #if inside a function"


def check_macros(path: Path) -> Iterator[str]:
    """Whichever clang-format is here, the other one lays it out alike."""
    inside = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if (inside or re.match(r"\s*#\s*define\b", line)) and AMBIGUOUS.search(line):
            yield (f"{path}:{number}: clang-formats lay this macro out differently: put the "
                   "constant first, (0xf & (x)); give braces a type, ((struct a){x})")
        inside = line.endswith("\\") and (inside or "#" in line)


def check_device_model(path: Path) -> Iterator[str]:
    """A device model could run unprivileged: it knows vmm.h and kit/lib, and no system register."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        include = re.match(r"\s*#\s*include\s+(\S+)", line)
        if include and not DEVICE_INCLUDES.fullmatch(include[1]):
            yield f"{path}:{number}: a device model includes only vmm.h and lib/, not {include[1]}"
        is_code = not line.lstrip().startswith(("*", "/*", "//"))
        if is_code and re.search(r"\b(asm|__asm__|extern)\b", line):
            yield f"{path}:{number}: a device model has no assembly and no extern of its own"


def has_version(program: str, known: Collection[str], subject: str) -> bool:
    """Whether the program is one of these versions; if not, says what stays unchecked."""
    done = subprocess.run([program, "--version"], check=False, capture_output=True, text=True)
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    good = found is not None and not {found[0], found[1]}.isdisjoint(known)
    if not good:
        print(f"lint: {program} is not version {' or '.join(known)}: {subject} not checked")
    return good


def check_format(files: list[Path]) -> Iterator[str]:
    if not has_version("clang-format", CLANG_FORMATS, "the layout of C is") or not files:
        return
    done = subprocess.run(["clang-format", "--dry-run", *map(str, files)], check=False,
                          capture_output=True, text=True)
    places = dict.fromkeys(re.findall(r"^([^:\n]+:\d+):\d+: (?:warning|error)", done.stderr,
                                      re.MULTILINE))
    for place in places:
        yield f"{place}: clang-format lays this out differently: make format"


def check_python(files: list[Path]) -> Iterator[str]:
    """The rules of pyproject.toml that flake8 and ruff share."""
    if not has_version("flake8", FLAKE8S, "the style of Python is") or not files:
        return
    rules = tomllib.loads(Path(PYPROJECT).read_text("utf-8"))["tool"]["ruff"]
    done = subprocess.run(["flake8", "--isolated", f"--max-line-length={rules['line-length']}",
                           f"--select={','.join(rules['lint']['select'])}",
                           f"--ignore={','.join(FLAKE8_IGNORES)}", *map(str, files)],
                          check=False, capture_output=True, text=True)
    yield from (done.stdout + done.stderr).splitlines()


def check_types(build: Path) -> Iterator[str]:
    if not has_version("mypy", MYPYS, "the types of Python are"):
        return
    done = subprocess.run(["mypy", "--config-file", PYPROJECT, "--cache-dir", str(build / "mypy"),
                           "--no-error-summary"], check=False, capture_output=True, text=True)
    yield from (done.stdout + done.stderr).splitlines()


def check_texts(files: list[Path]) -> Iterator[str]:
    texts = [path.as_posix() for path in files if path.suffix == ".md"]
    yield from check_links(Path("."), texts, MOVED)
    yield from check_index(Path("."), INDEX, (text for text in texts if text.startswith("docs/")))
    yield from check_glossary(Path("."),
                              (text for text in texts if text.startswith(("docs/", "solution/"))))


def check_fatal_paths(elf: Path, objdump: str) -> Iterator[str]:
    graph = CallGraph(elf, objdump)
    for target in FATAL:
        if target not in graph.edges:
            continue
        allowed = set(FATAL_ALLOWED)
        while chain := graph.path(target, allowed):
            yield f"{elf}: a guest can reach {target}(): {' > '.join(chain)}"
            if len(chain) < 2:
                break
            allowed.add(chain[-2])  # report each caller once


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/lint.py", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--cross", default="aarch64-linux-gnu-")
    arguments = parser.parse_args()

    files = repository_files()
    code = [path for path in files
            if path.suffix in (".c", ".h") and path.as_posix().startswith(C_TREES)]
    python = [path for path in files if path.suffix == ".py"]
    findings = [*check_license(files), *check_format(code), *check_python(python),
                *check_types(arguments.build), *check_texts(files), *check_rooms(files)]
    for path in files:
        if path.suffix in (".c", ".h"):
            findings += [*check_conditionals(path), *check_macros(path)]
        if path.suffix == ".c" and path.name.startswith("dev_"):
            findings += check_device_model(path)
    images = sorted(arguments.build.glob("solution-lab0?/strata.elf"))
    for elf in images:
        findings += check_fatal_paths(elf, f"{arguments.cross}objdump")

    for finding in dict.fromkeys(findings):
        print(finding, file=sys.stderr)
    print(f"lint: {len(files)} files, {len(images)} images: "
          f"{f'{len(findings)} to mend' if findings else 'good'}")
    return int(bool(findings))


if __name__ == "__main__":
    run_main(main)
