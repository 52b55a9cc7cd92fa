# SPDX-License-Identifier: MIT
"""What a person reads: progress while tests run, one failure in full, the summary.

With a terminal a bar moves; without one each test is a line. Nothing is said by colour alone.
"""

from __future__ import annotations

import io
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from fractions import Fraction

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from course.lab import so_far
from course.registry import Exercise
from grader.grading.model import CUMULATIVE, ISOLATED, JUDGED, Grading, Result, points
from grader.grading.plan import needs_company, path_of, stands_alone
from grader.grading.properties import REMEDY, WHAT
from course.questions import counts
from grader.machine.console import escape as printable
from grader.machine.verdict import Verdict

STYLES = {Verdict.PASS: "green", Verdict.BLOCKED: "dim", Verdict.TODO: "cyan",
          Verdict.ERROR: "magenta"}
WIDTH = 80
SHOWN_FAILURES = 3
VIOLATED = re.compile(r"\w+: .*: observed .*, expected .*")  # a line of grader/oracle/probe.py


def _number(value: Fraction) -> str:
    return f"{points(value):g}"


class Live:
    """Progress of a run."""

    def __init__(self, grading: Grading) -> None:
        self.grading = grading
        self.console = Console(highlight=False, soft_wrap=True)
        self.progress: Progress | None = None
        if self.console.is_terminal:
            self.progress = Progress(TextColumn("{task.description}"), BarColumn(),
                                     MofNCompleteColumn(),
                                     TimeElapsedColumn(), console=self.console, transient=True)
            self.progress.start()
        self.tasks: dict[str, object] = {}
        self.folded: dict[str, list[str]] = {}  # by column: what a step that failed may explain
        self.held: dict[tuple[str, str], int] = {}  # (column, name): passed, and may not count

    def arrived(self, column: str, name: str) -> None:
        result = self.grading.columns[column].results[name]
        total = len(self.grading.tests)
        done = len(self.grading.columns[column].results)
        if self.progress:
            if column not in self.tasks:
                self.tasks[column] = self.progress.add_task(column, total=total)
            task = self.tasks[column]
            self.progress.update(task, completed=done, total=total)  # type: ignore[arg-type]
        if not result.passed and self._follows(column, name):
            self.folded.setdefault(column, []).append(name)
        elif not self.progress or not result.passed:
            self.held[column, name] = done
            self._tell(lambda column, name: not self._waits_for_another(column, name))

    def _tell(self, ready: Callable[[str, str], bool]) -> None:
        """One line for each result that was held, and is ready."""
        for (column, name), done in [*self.held.items()]:
            if ready(column, name):
                del self.held[column, name]
                result = self.grading.columns[column].results[name]
                style = STYLES.get(result.verdict, "red")
                verdict = f"[{style}]{result.verdict.value:7}[/]"
                self.console.print(f"{done:3}/{len(self.grading.tests)} {column:10} {verdict} "
                                   f"{result.seconds:5.1f} s  {escape(name)}")

    def _waits_for_another(self, column: str, name: str) -> bool:
        """Whether a test has passed that counts only when another of its exercise does."""
        results = self.grading.columns[column].results
        return results[name].passed and needs_company(name) and not any(
            other in results and results[other].passed and not needs_company(other)
            for other in self.grading.names(self.grading.tests[name]))

    def _follows(self, column: str, name: str) -> bool:
        """Whether an exercise has failed by itself, of which a test that is no step may speak."""
        return not stands_alone(name) and any(
            stands_alone(other) and result.verdict in JUDGED
            for other, result in self.grading.columns[column].results.items())

    def close(self) -> None:
        self._tell(lambda *_: True)  # the run is over: what does not count is BLOCKED by now
        for column, names in self.folded.items():
            results = self.grading.columns[column].results
            count = sum(results[name].verdict in JUDGED for name in names)  # not what is BLOCKED
            if count:
                self.console.print(f"        {column:10} {count} more failed after those above, "
                                   "which show exercises by themselves: look at these first")
        if self.progress:
            self.progress.stop()


def _verdict_counts(grading: Grading, column: str, exercise: Exercise) -> str:
    results = grading.columns[column].results
    counts: dict[str, int] = {}
    own, blockers = 0, set()
    for name in grading.names(exercise):
        result = results.get(name)
        if result is None:
            continue
        counts[result.verdict.value] = counts.get(result.verdict.value, 0) + 1
        if result.blocked_by == exercise.id:
            own += 1
        elif result.blocked_by:
            blockers.add(result.blocked_by)
    words = [f"{count} {verdict}"
             for verdict, count in sorted(counts.items(), key=lambda item: item[0] != "PASS")
             if verdict != Verdict.BLOCKED.value]
    blocked = counts.get(Verdict.BLOCKED.value, 0)
    over = sum(bool(results[name].over) for name in grading.names(exercise) if name in results)
    if over:
        words.append(f"{over} of these over the reference's")
    if blocked > own:
        by = f" by {', '.join(sorted(blockers))}" if blockers else ""
        words.append(f"{blocked - own} BLOCKED{by}")
    if own:
        words.append(f"{own} BLOCKED until another one here passes")
    return ", ".join(words)


def summary(grading: Grading, console: Console | None = None) -> None:
    """Points by exercise, and the score."""
    console = console or Console(highlight=False, soft_wrap=True)
    columns = [name for name in (CUMULATIVE, ISOLATED) if name in grading.columns
               and not grading.columns[name].skipped]
    table = Table(box=None, pad_edge=False, show_footer=False)
    table.add_column("exercise")
    table.add_column("of", justify="right")
    for name in columns:
        table.add_column(name, justify="right")
    table.add_column("tests")
    for exercise in grading.exercises:
        earned = ["" if grading.was_cut_short else _number(grading.earned(name, exercise))
                  for name in columns]
        table.add_row(f"{exercise.id} {escape(exercise.title)}", str(exercise.points), *earned,
                      _verdict_counts(grading, grading.best, exercise) if grading.columns else "")
    if grading.asks:
        table.add_row("questions of the text", "0", *("" for _ in columns),
                      "" if grading.answers.error else counts(grading.questions))
    console.print(table)
    for line in question_lines(grading):
        console.print(escape(printable(line)))
    for column in grading.columns.values():
        if column.build_error:
            error = escape(printable(column.build_error))
            console.print(f"{column.name}: does not build:\n{error}")
        elif column.skipped:
            console.print(f"{column.name}: not run, {column.skipped}")
    for line in unwritten_lines(grading):
        console.print(escape(line))
    for text in grading.refused:
        console.print(f"refused: {escape(printable(text))}")
    troubles = grading.infrastructure
    for text in troubles[:SHOWN_FAILURES]:
        console.print(f"not the student's fault: {escape(printable(text))}")
    if len(troubles) > SHOWN_FAILURES:
        console.print(f"... and {len(troubles) - SHOWN_FAILURES} more of this kind")
    how = f" ({_number(grading.column_score(ISOLATED))} isolated x {float(grading.factor):g})" \
        if grading.best == ISOLATED and grading.columns else ""
    what = f"exercise {grading.exercise}" if grading.exercise else f"lab {grading.lab.number}"
    if grading.was_cut_short:
        console.print(f"[bold]{what}: the run is unfinished, so there is no score[/]")
        return
    waiting = [waits for name in grading.tests if (waits := grading.waits_for(name))]
    if waiting:  # before the points, which are few until then
        tests = [result for name in grading.tests if (result := grading.result_of(name))
                 and result.verdict is not Verdict.TODO]
        console.print(so_far(sum(result.passed for result in tests), len(tests) - len(waiting),
                             waiting))
    console.print(f"[bold]{what}: {_number(grading.score)} of {grading.maximum} points[/]{how}")
    if grading.holds_back:
        console.print(escape(held_back(grading)))


def held_back(grading: Grading) -> str:
    """Why a lab of which every test passes has not all of its points."""
    why = (f"every test passes over the reference's lower layers, which counts "
           f"x {float(grading.factor):g}")
    if grading.base == "reference":
        return f"{why}; all points are for your own lower layers: grade without BASE=reference"
    below = ", ".join(f"make grade LAB={lab.number}" for lab in grading.course.labs
                      if lab.number < grading.lab.number)
    return f"{why}; over your own not every test passes: see {below}"


def unwritten_lines(grading: Grading) -> list[str]:
    """What an exercise that is not written keeps from being known."""
    over = {id_ for column in grading.columns.values() for result in column.results.values()
            for id_ in result.over}
    lines = [f"not written: {', '.join(id_ for id_ in grading.begun if id_ in over)}; the tests of "
             "other exercises that came to it ran over the reference's"] if over else []
    if grading.unfilled:
        lines.append(f"not known: what is behind {', '.join(grading.begun)}: {grading.unfilled}")
    for id_, others in grading.waiting().items():
        words = [f"{_number(value)} points of {other}" for other, value in others.items()]
        wait = "waits" if list(others.values()) == [1] else "wait"
        lines.append(f"{' and '.join(words)} {wait} until {id_} is written"
                     .replace("1 points of", "1 point of"))
    return lines


def question_lines(grading: Grading) -> list[str]:
    """What is to be said of the answers: nothing where they are right or open."""
    if grading.answers.error:
        return [f"answers not read: {grading.answers.error}"]
    return [str(row) for row in grading.questions
            if grading.asks and row.state in ("wrong", "not measured")]


def failures(grading: Grading) -> list[tuple[str, str, Result]]:
    """What is worth looking at first: not what is blocked, the lowest exercise first, and of its
    tests those that show it by itself."""
    found = []
    for exercise in grading.exercises:
        for name in sorted(grading.names(exercise), key=lambda name: not stands_alone(name)):
            result = grading.result_of(name)
            if result and not result.passed and result.verdict is not Verdict.BLOCKED:
                found.append((exercise.id, name, result))
    return found


def explain(grading: Grading, name: str, result: Result, build: str = "build") -> Iterator[str]:
    """A failure in full: property, observation, place, likely cause, manual, how to repeat it."""
    exercise = grading.tests[name]
    yield f"{(result.shown or result.verdict).value} {name}"
    if result.blocked_by:
        own = result.blocked_by == exercise.id
        yield (f"  BLOCKED: counts when another test of exercise {exercise.id} passes" if own else
               f"  BLOCKED: exercise {result.blocked_by} comes first")
    yield f"  exercise {exercise.id} \"{exercise.title}\": {grading.lab.text_of(exercise)}"
    below = grading.fault_below(exercise)
    if below and not result.blocked_by:
        yield from _wrapped(f"it stands on exercise {grading.tests[below].id}, which fails by "
                            f"itself: look at {below.partition('::')[2]} first")
    yield from _field("tested", result.what)
    yield from _field("observed", result.observed)
    yield from _field("expected", result.expected)
    for line in result.where:
        yield from [f"  {line}"] if line.startswith(REMEDY) else _wrapped(printable(line))
    yield from _field("likely cause", result.symptom)
    for section in exercise.manual:
        yield from _field("manual", section)
    is_judged = (result.shown or result.verdict) not in (Verdict.ERROR, Verdict.TODO)
    if is_judged and WHAT not in result.what:
        yield from _field("hint", hint_for(exercise, name, result))
    if result.over:
        yield (f"  seen over the reference's {', '.join(result.over)}, which is not written here: "
               "write that, and it can be reproduced")
    else:
        yield f"  reproduce: {reproduce(grading, name, result)}"


def hint_for(exercise: Exercise, name: str, result: Result) -> str:
    """The exercise's hint that fits this failure, and of a probe's properties those violated."""
    violated = filter(VIOLATED.fullmatch, result.where)
    return exercise.hint_for(" ".join([name.partition("::")[2], result.what, result.observed,
                                       result.expected, *violated]))


def _field(title: str, text: str) -> Iterator[str]:
    if text:
        yield from _wrapped(f"{title}: {' '.join(printable(text).split())}")


def _wrapped(text: str) -> list[str]:
    """Lines of a terminal's width; no number is broken."""
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ",
                         break_long_words=False, break_on_hyphens=False) or [""]


def reproduce(grading: Grading, name: str, result: Result) -> str:
    """The command whose GDB stands at the instruction of the failing observation."""
    words = ["make debug", f"TEST='{path_of(name)}'", f"IMPL={grading.impl}"]
    if grading.best == ISOLATED:
        words.append("BASE=reference")
    return " ".join([*words, f"SEED={result.seed}"] if result.seed else words)


def whole(grading: Grading) -> str:
    """The summary, and every failure in full: what a page of the student's shows."""
    out = io.StringIO()
    summary(grading, Console(file=out, width=WIDTH, highlight=False, soft_wrap=True))
    texts = ["\n".join(explain(grading, name, result)) for _, name, result in failures(grading)]
    return "\n\n".join([out.getvalue().rstrip("\n"), *texts]) + "\n"


def print_failures(grading: Grading) -> None:
    """The first few, and where the others are."""
    found = failures(grading)
    seen: set[str] = set()
    shown: list[tuple[str, Result]] = []
    for id_, name, result in found:
        if id_ not in seen and len(shown) < SHOWN_FAILURES:
            seen.add(id_)
            shown.append((name, result))
    for name, result in shown:
        print()
        print("\n".join(explain(grading, name, result)))
    more = [name for _, name, _ in found if name not in dict(shown)]
    if more:
        example = next(filter(stands_alone, more), more[-1])
        print(f"\n{len(more)} more failure{'s' if len(more) > 1 else ''}, in full: "
              "make why TEST=name, for example")
        print(f"  make why TEST='{example.split('::')[1]}'")
    sys.stdout.flush()
