# SPDX-License-Identifier: MIT
"""`make grade LAB=n [EX=n.m]`: runs the lab's tests, and says the points and why.

    exit status  0 all points   1 some are missing   2 does not build   3 the grader did not work

Results stand in build/grade/labNN.json (docs/grading.md), beside it as JUnit XML and for
Gradescope; with GITHUB_STEP_SUMMARY set, a summary goes there too. With --submission an archive or
directory is graded as data that nobody trusts (grader/grading/grade_submission.py), and --out says
where results go. --unconfined does without a sandbox: for a container in which none can be had, and
which exists for this submission alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from course import questions, unwritten
from course.registry import LABS, ROOT, Course, load_course
from course.submit import hash_of_labs
from grader.grading import budgets, filled, formats, properties, run, text
from grader.grading.model import EXIT_FAILED, EXIT_INFRASTRUCTURE, Column, Grading
from grader.machine.verdict import Finding, infrastructure
from tools.errors import UserError, run_main
from tools.files import FULL


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="grader/grading/grade.py", description="Grade a lab.")
    made.add_argument("--lab", type=int, required=True)
    made.add_argument("--exercise", default="")
    made.add_argument("--impl", choices=("labs", "solution"), default="labs")
    made.add_argument("--base", choices=("own", "reference"), default="own")
    made.add_argument("--build", default="build")
    made.add_argument("--qemu", default="qemu-system-aarch64")
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--seeds", type=int, default=2, help="how many; a probe runs once with each")
    made.add_argument("--submission", type=Path,
                      help="a tar.gz or directory, as make submit makes it")
    made.add_argument("--unconfined", action="store_true",
                      help="with --submission: no sandbox; labs/ is overwritten, "
                           "so use it in a container that is thrown away")
    made.add_argument("--out", type=Path, help="directory for results (default: BUILD/grade)")
    made.add_argument("--measure", action="store_true",
                      help="write grader/grading/budgets.json and properties.json")
    made.add_argument("--seed", type=int, default=1, help="the first seed")
    return made


def stem_of(folder: Path, grading: Grading) -> Path:
    """build/grade/lab02, or build/grade/exercise-2.3, which is no score of a lab."""
    name = (f"exercise-{grading.exercise.replace('.', '-')}" if grading.exercise
            else f"lab{grading.lab.number:02}")
    return folder / name


def start(course: Course, arguments: argparse.Namespace) -> Grading:
    lab = course.lab(arguments.lab)
    exercise = course.exercise(arguments.exercise) if arguments.exercise else None
    if exercise and exercise.lab != lab.number:
        raise UserError(f"EX={exercise.id} belongs to lab {exercise.lab}, not to LAB={lab.number}")
    # Below the first lab there is nothing that could be the reference's.
    base = "own" if lab is course.labs[0] else arguments.base
    answers = questions.read_file(ROOT / arguments.impl / lab.directory / questions.FILE, lab)
    return Grading(course, lab, arguments.impl, base=base,
                   exercise=exercise.id if exercise else "", answers=answers,
                   source=(hash_of_labs(ROOT, course, lab.number) if arguments.impl == LABS
                           else ""))


def instructions(grading: Grading) -> dict[str, int]:
    """How long the machines of the tests that passed ran for."""
    column = grading.columns[grading.best]
    points = {name: result.instructions for name, result in column.results.items() if result.passed}
    return {name: count for name, count in {**points, **column.spent}.items() if count}


def digests(grading: Grading) -> dict[str, list[str]]:
    """What the probes of the tests that passed looked at."""
    results = grading.columns[grading.best].results
    return {name: result.properties for name, result in results.items()
            if result.passed and result.properties}


def not_measured(grading: Grading) -> list[str]:
    """The tests, those of the questions too, that did not pass: --measure needs all of them."""
    column = grading.columns.get(grading.best, Column(grading.best))
    bad = [name for name in grading.tests
           if not ((result := column.results.get(name)) and result.passed)]
    bad += [f"{name}: not measured" for name in column.unmeasured]
    return bad or ([] if grading.tests and grading.complete and not grading.infrastructure
                   else ["the run did not come to its end"])


def measured(grading: Grading, stem: Path) -> int:
    """Write what was measured, if it was measured of every test; else nothing, and say why."""
    bad = not_measured(grading)
    if not bad:
        budgets.write(instructions(grading))
        properties.write(digests(grading))
    status = finish(grading, stem)
    if bad:
        print(f"error: --measure has written nothing, since these tests did not pass: "
              f"{', '.join(bad)}", file=sys.stderr)
    return status or (EXIT_FAILED if bad else status)


def finish(grading: Grading, stem: Path) -> int:
    """Everything that is said and written at the end."""
    formats.write_all(grading, stem)
    text.print_failures(grading)
    print()
    text.summary(grading)
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as out:
            out.write("\n".join(formats.step_summary(grading)) + "\n")
    print(f"results: {os.path.relpath(stem.with_suffix('.json'), ROOT)}")
    return grading.status


def graded_submission(arguments: argparse.Namespace, seeds: tuple[int, ...]) -> int | None:
    """The same for an archive or directory that nobody trusts; None: it is graded unconfined."""
    from grader.grading import grade_submission  # with the sandbox, which nobody else needs

    missing = grade_submission.no_sandbox()
    if missing and arguments.unconfined:
        if (ROOT / "solution").is_dir():
            raise infrastructure("without a sandbox a submission is graded from a handout",
                                 f"{missing}; and here it could read solution/")
        print(f"no sandbox here, so graded without one: {missing}", file=sys.stderr)
        return None
    if missing:
        raise infrastructure("no sandbox on this machine", missing)
    grader = grade_submission.Grader(load_course(), arguments.lab, arguments.build, arguments.qemu,
                                     arguments.workers, seeds)
    grading = grade_submission.grade_one(grader, arguments.submission.absolute())
    folder = arguments.out or ROOT / arguments.build / "grade" / "submission"
    return finish(grading, stem_of(folder, grading))


def main() -> int:
    arguments = parser().parse_args()
    if arguments.measure and arguments.exercise:
        raise UserError("--measure replaces the numbers of a whole lab: give no --exercise")
    seeds = tuple(arguments.seed + 1000 * i for i in range(arguments.seeds))
    status = graded_submission(arguments, seeds) if arguments.submission else None
    if status is not None:
        return status
    grading = start(load_course(), arguments)
    settings = run.Settings(impl=arguments.impl, build=arguments.build, qemu=arguments.qemu,
                            workers=arguments.workers, seeds=seeds, measure=arguments.measure)
    if arguments.submission:
        from grader.grading import grade_submission

        settings = grade_submission.take_over(grading, settings, arguments.submission.absolute())
    if settings.impl == "labs" and not grading.refused:
        grading.unwritten = unwritten.read(grading.lab)
        if unwritten.can_fill():
            settings = replace(settings, filler=filled.beside(grading, settings))
    stem = stem_of(arguments.out or ROOT / arguments.build / "grade", grading)
    live = text.Live(grading)

    def arrived(column: str, name: str) -> None:
        grading.write(stem.with_suffix(".json"))
        live.arrived(column, name)

    try:
        if grading.refused:
            grading.complete = True
        else:
            run.grade(grading, settings, arrived)
    except KeyboardInterrupt:
        print("interrupted: these are the results so far", file=sys.stderr)
        grading.block()
    finally:
        live.close()
        formats.write_all(grading, stem)
    return measured(grading, stem) if arguments.measure else finish(grading, stem)


def guarded() -> int:
    """Whatever breaks in here is the grader's fault: exit status 3."""
    try:
        return main()
    except (UserError, KeyboardInterrupt):
        raise
    except OSError as error:
        if error.errno in FULL:
            raise  # one line, and this status
        sys.excepthook(type(error), error, error.__traceback__)
        return EXIT_INFRASTRUCTURE
    except Finding as finding:  # QEMU, compiler or sandbox are not as they should be
        print(finding, file=sys.stderr)
        return EXIT_INFRASTRUCTURE
    except Exception as error:  # noqa: BLE001 - a traceback must not look like a result
        sys.excepthook(type(error), error, error.__traceback__)
        return EXIT_INFRASTRUCTURE


if __name__ == "__main__":
    run_main(guarded)
