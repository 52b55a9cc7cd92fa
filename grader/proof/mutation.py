# SPDX-License-Identifier: MIT
"""Known faults put into the solution one at a time: do the tests that should notice notice?

A mutant is a patch, grader/proof/mutants/labNN/name.patch. Its first lines say what is wrong and
which tests must fail:

    # SPDX-License-Identifier: MIT
    # HPFAR_EL2 is taken for an address
    # fails: test_lab02.py::test_abort_reports_the_right_guest_address

They are built in copies of the tree below build/mutants, one for each that is tried at a time, so
that a mutant costs one object and a link.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from course.registry import ROOT, load_course
from grader.grading import run
from grader.grading.filled import copy_tree
from grader.grading.model import CUMULATIVE, Column, Grading
from grader.machine.verdict import Verdict
from tools.errors import UserError

FOLDER = ROOT / "grader" / "proof" / "mutants"
SOURCES = ("Makefile", "course.toml", "course", "kit", "solution", "tools")
FAILS = "# fails: "
SAMPLE = "# sample: "  # one or two of a lab: every `make test` tries them
PATIENCE = 4  # a mutant either does about what the solution does, or runs until it is stopped
STATIC = "_barriers.py::"  # in the name of a test that looks at the disassembly


@dataclass(frozen=True)
class Mutant:
    """One patch."""

    path: Path
    lab: int
    text: str
    fails: tuple[str, ...]
    sample: bool = False

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"


@dataclass
class Outcome:
    """What the tests said of a mutant."""

    mutant: Mutant
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    problem: str = ""  # the patch does not apply or the tree not build
    seconds: float = 0.0

    @property
    def killers(self) -> list[str]:
        quiet = (Verdict.PASS, Verdict.ERROR)
        return sorted(name for name, verdict in self.verdicts.items() if verdict not in quiet)

    @property
    def errors(self) -> list[str]:
        """Tests about which nothing is known: the grader did not work."""
        return sorted(name for name, verdict in self.verdicts.items() if verdict is Verdict.ERROR)

    @property
    def missed(self) -> list[str]:
        """Tests that should have failed and did not."""
        return [name for name in self.mutant.fails if name not in self.killers]

    @property
    def good(self) -> bool:
        return bool(self.mutant.fails) and not (self.problem or self.missed or self.errors)


def read(path: Path) -> Mutant:
    head = [line for line in path.read_text("utf-8").splitlines() if line.startswith("# ")]
    text = next((line[2:] for line in head
                 if "SPDX" not in line and not line.startswith((FAILS, SAMPLE))), "")
    fails = tuple(line.removeprefix(FAILS) for line in head if line.startswith(FAILS))
    return Mutant(path, int(path.parent.name[3:]), text, fails,
                  any(line.startswith(SAMPLE) for line in head))


def all_mutants(lab: int = 0) -> list[Mutant]:
    found = [read(path) for path in sorted(FOLDER.glob("lab[0-9][0-9]/*.patch"))]
    return [mutant for mutant in found if lab in (0, mutant.lab)]


def sampled(mutants: list[Mutant]) -> list[Mutant]:
    """Those that every `make test` tries: always the same."""
    return [mutant for mutant in mutants if mutant.sample]


def hunks(text: str) -> Iterator[tuple[str, str, str]]:
    """File, old lines and new lines of each hunk of a unified diff."""
    file, old, new = "", "", ""
    for line in text.splitlines(keepends=True):
        if line.startswith(("# ", "--- ")):
            continue
        if line.startswith(("+++ ", "@@ ")):
            if old:
                yield file, old, new
            old = new = ""
            file = line[4:].strip().split("/", 1)[1] if line.startswith("+++ ") else file
        else:
            old += line[1:] if line[0] in " -" else ""
            new += line[1:] if line[0] in " +" else ""
    if old:
        yield file, old, new


def patched(mutant: Mutant, tree: Path) -> dict[str, str]:
    """The files of the tree that it changes, and their new texts.

    UserError when the solution has moved on from what the patch knows.
    """
    changed: dict[str, str] = {}
    for file, old, new in hunks(mutant.path.read_text("utf-8")):
        text = changed.get(file) or (tree / file).read_text("utf-8")
        if text.count(old) != 1:
            raise UserError(f"{mutant.name}: the patch does not apply to {file}: "
                            "the solution has changed")
        changed[file] = text.replace(old, new)
    return changed


class Workshop:
    """A copy of the tree in which one mutant after the other is built, and tried by one process."""

    def __init__(self, build: str, number: int) -> None:
        self.folder = (ROOT / build / "mutants" / str(number)).resolve()
        self.tree = self.folder / "tree"
        self.refresh()
        guests = (ROOT / build / "guests").resolve()
        link = self.folder / "guests"
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(guests, self.folder))

    def refresh(self) -> None:
        """Bring the copy up to date; a file that has not changed keeps its time, for make."""
        copy_tree(SOURCES, self.tree, {})

    def build(self, lab: int) -> str:
        """The image of a lab; the compiler's words when it does not build."""
        settings = run.Settings(impl="solution", build=str(self.folder), root=self.tree)
        return run.build_image(settings, lab, CUMULATIVE, targets=("image",))

    def apply(self, mutant: Mutant) -> list[Path]:
        """Change the copy; UserError as patched()."""
        changed = patched(mutant, self.tree)
        for file, text in changed.items():
            (self.tree / file).write_text(text, "utf-8")
        return [self.tree / file for file in changed]

    def restore(self, paths: list[Path]) -> None:
        for path in paths:
            shutil.copy(ROOT / path.relative_to(self.tree), path)

    def try_mutant(self, mutant: Mutant, whole: bool) -> Outcome:
        """Build it and run its tests, or all of the lab."""
        outcome, start = Outcome(mutant), time.monotonic()
        try:
            paths = self.apply(mutant)
        except UserError as error:
            outcome.problem = str(error)
            return outcome
        try:
            outcome.problem = self.build(mutant.lab)
            if not outcome.problem and (whole or mutant.fails):
                self._run(outcome, () if whole else mutant.fails)
        finally:
            self.restore(paths)
            outcome.seconds = time.monotonic() - start
        return outcome

    def _run(self, outcome: Outcome, only: tuple[str, ...]) -> None:
        course = load_course()
        grading = Grading(course, course.lab(outcome.mutant.lab), "solution")
        column = grading.columns.setdefault(CUMULATIVE, Column(CUMULATIVE))
        settings = run.Settings(impl="solution", build=str(self.folder), seeds=(1,),
                                prebuilt=True, workers=0, only=only, patience=PATIENCE)
        run.run_tests(grading, CUMULATIVE, settings, lambda _column, _name: None)
        outcome.verdicts = {name: result.verdict for name, result in column.results.items()}
        if column.broken:
            outcome.problem = column.broken[0]


def try_all(build: str, mutants: list[Mutant], whole: bool, done: Callable[[Outcome], None],
            jobs: int = 1) -> list[Outcome]:
    """`jobs` of them at a time; `done` after each. Outcomes are in the order of the mutants."""
    free: SimpleQueue[Workshop] = SimpleQueue()
    for number in range(jobs):
        workshop = Workshop(build, number)
        for lab in sorted({mutant.lab for mutant in mutants}):
            problem = workshop.build(lab)
            if problem:
                raise UserError(f"the solution of lab {lab} does not build:\n{problem}")
        free.put(workshop)

    def attempt(mutant: Mutant) -> Outcome:
        workshop = free.get()
        try:
            return workshop.try_mutant(mutant, whole)
        finally:
            free.put(workshop)

    with ThreadPoolExecutor(jobs) as pool:
        tried = [pool.submit(attempt, mutant) for mutant in mutants]
        try:
            for outcome in as_completed(tried):
                done(outcome.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [outcome.result() for outcome in tried]


def record(outcomes: list[Outcome], most: int = 3) -> None:
    """Write into each patch the tests that fail, those first that the fewest mutants fail."""
    for outcome in outcomes:
        often = {name: sum(name in other.killers for other in outcomes
                           if other.mutant.lab == outcome.mutant.lab)
                 for name in outcome.killers}
        telling = sorted(outcome.killers, key=lambda name: (often[name], name))[:most]
        lines = outcome.mutant.path.read_text("utf-8").splitlines(keepends=True)
        lines = [line for line in lines if not line.startswith(FAILS)]
        lines[2:2] = [f"{FAILS}{name}\n" for name in telling]
        outcome.mutant.path.write_text("".join(lines), "utf-8")


def matrix(outcomes: list[Outcome]) -> Iterator[str]:
    """Which test kills which mutant, lab by lab; idle tests; mutants seen in disassembly alone."""
    for lab in sorted({outcome.mutant.lab for outcome in outcomes}):
        mine = [outcome for outcome in outcomes if outcome.mutant.lab == lab]
        tests = sorted({name for outcome in mine for name in outcome.verdicts})
        yield f"lab {lab}: columns are mutants; # is killed, ! an error of the grader"
        for number, outcome in enumerate(mine, start=1):
            yield (f"  {number:2} {outcome.mutant.path.stem}: {outcome.mutant.text}"
                   f" ({len(outcome.killers)} tests, {outcome.seconds:.0f} s)")
        for name in tests:
            cells = "".join("#" if name in outcome.killers
                            else "!" if name in outcome.errors else "." for outcome in mine)
            yield f"  {cells} {name}"
        telling = [outcome for outcome in mine if 2 * len(outcome.killers) <= len(tests)]
        idle = [name for name in tests if not any(name in outcome.killers for outcome in telling)]
        yield (f"  {len(tests)} tests; {len(idle)} of them kill no mutant, "
               "or only such as most other tests kill too" + (":" if idle else ""))
        yield from (f"    {name}" for name in idle)
        hidden = [outcome.mutant.path.stem for outcome in mine
                  if outcome.killers and all(STATIC in name for name in outcome.killers)]
        yield ("  killed by tests of the disassembly alone, since QEMU does not show them: "
               f"{', '.join(hidden) or 'none'}")
