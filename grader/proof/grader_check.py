# SPDX-License-Identifier: MIT
"""`make grader-check`: proves the grader with what it must catch.

Known faults in the solution (grader/proof/mutants/) have to fail the tests that they name, and
submissions that try to get points without earning them (grader/proof/cheats/) have to get their
documented verdict. Sampled by default. FULL=1 tries everything and prints which test notices which
fault; it also grades the solution and the starters on 20 seeds, with one machine at a time and with
more than there are cores, and holds their verdicts against each other.

    exit status  0 as it must be   1 something slipped through
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from pathlib import Path

from course.registry import ROOT, load_course
from grader.grading import run, sandbox
from grader.grading.model import Grading
from grader.machine.verdict import Verdict
from grader.proof import cheating, mutation
from grader.proof.mutation import Outcome
from tools.errors import run_main

SEEDS = tuple(range(1, 21))
WORKERS = (2, 1, 8)
# What `make grade` must give: the tree, its points, and the runs whose verdicts must not differ:
# (seeds, workers). A test stops at the first seed that fails, so a starter's seeds have runs of
# their own.
SCORES = (
    ("solution", 100, tuple((SEEDS, workers) for workers in WORKERS)),
    ("labs", 0, tuple(((seed,), WORKERS[seed % len(WORKERS)]) for seed in SEEDS)),
)


def say(outcome: Outcome) -> None:
    mutant = outcome.mutant
    if outcome.problem:
        print(f"PROBLEM  {mutant.name}: {outcome.problem}", flush=True)
    elif not mutant.fails:
        print(f"UNNAMED  {mutant.name}: its patch names no test", flush=True)
    elif outcome.missed:
        print(f"SURVIVES {mutant.name}: {mutant.text}; not noticed by", flush=True)
        for name in outcome.missed:
            verdict = outcome.verdicts.get(name)
            print(f"           {name} ({verdict.value if verdict else 'did not run'})", flush=True)
    elif outcome.errors:
        print(f"ERROR    {mutant.name}: nothing is known of {', '.join(outcome.errors)}",
              flush=True)
    else:
        verdicts = sorted({outcome.verdicts[name].value for name in mutant.fails})
        print(f"killed   {mutant.name}: {mutant.text} ({', '.join(verdicts)})", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader/proof/grader_check.py",
                                     description="Prove the grader.")
    parser.add_argument("--build", default="build")
    parser.add_argument("--lab", type=int, default=0)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", action="append", default=[], help="labNN/name of a mutant")
    parser.add_argument("--cheats", default="",
                        help="only these cheats, by a regular expression, and no mutants")
    parser.add_argument("--scores", action="store_true", help="only the solution and the starters")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    parser.add_argument("--record", action="store_true",
                        help="keep in the patches the tests that failed")
    arguments = parser.parse_args()

    if arguments.scores:
        return int(bool(try_scores(arguments)))
    mutants = mutation.all_mutants(arguments.lab)
    if arguments.only:
        mutants = [mutant for mutant in mutants if mutant.name in arguments.only]
    elif not arguments.full:
        mutants = mutation.sampled(mutants)
    cheats_bad = 0 if arguments.only or arguments.record else try_cheats(arguments)
    if arguments.cheats:
        return int(bool(cheats_bad))
    outcomes = mutation.try_all(arguments.build, mutants, arguments.full, say,
                                min(arguments.jobs, len(mutants)))
    if arguments.full:
        print("\n".join(mutation.matrix(outcomes)))
    if arguments.record:
        mutation.record(outcomes)
    write(outcomes, ROOT / arguments.build / "grade" / "mutants.json")
    bad = sum(not outcome.good for outcome in outcomes)
    print(f"grader-check: {len(outcomes)} mutants, {len(outcomes) - bad} noticed as they must be")
    scores_bad = try_scores(arguments) if arguments.full and not arguments.only else 0
    return int(bool(bad or cheats_bad or scores_bad))


def try_scores(arguments: argparse.Namespace) -> int:
    """Grade solution and starters again and again; the number of labs with a wrong result."""
    course, bad = load_course(), 0
    for impl, points, runs in SCORES:
        for lab in course.labs:
            if arguments.lab not in (0, lab.number):
                continue
            problems: list[str] = []
            verdicts: dict[str, dict[Verdict, str]] = {}
            for seeds, workers in runs:
                grading = Grading(course, lab, impl)
                run.grade(grading, run.Settings(impl, arguments.build,
                                                workers=workers, seeds=seeds),
                          lambda _column, _name: None)
                which = f"seeds {seeds[0]} to {seeds[-1]}, {workers} machines at a time"
                problems += wrong_results(grading, points, which)
                for column in grading.columns.values():
                    for name, result in column.results.items():
                        verdicts.setdefault(f"{column.name} {name}",
                                            {}).setdefault(result.verdict, which)
            for name, found in verdicts.items():
                if len(found) > 1:
                    seen = (f"{verdict.value} with {which}" for verdict, which in found.items())
                    problems.append(f"{name} differs: {'; '.join(seen)}")
            bad += bool(problems)
            print(f"{'SCORE   ' if problems else 'score   '} {impl} lab {lab.number}: "
                  f"{points} points and the same verdicts "
                  f"in {len(runs)} runs of {len(runs[0][0])} seeds", flush=True)
            for text in problems:
                print(f"           {text}", flush=True)
    return bad


def wrong_results(grading: Grading, points: int, which: str) -> list[str]:
    """What a grading that must earn all points, or none, has otherwise."""
    problems = [f"{grading.score} points, {which}"] if float(grading.score) != points else []
    for column in grading.columns.values():
        problems += [f"{text}, {which}" for text in (*column.broken, column.build_error) if text]
        problems += [f"{name}: {result.verdict.value}, seed {result.seed}, {which}: {result.what}"
                     for name, result in column.results.items() if result.passed != (points == 100)]
    return problems


def try_cheats(arguments: argparse.Namespace) -> int:
    """Grade the cheats; how many got what they must not get."""
    cheats = [cheat for cheat in cheating.all_cheats() if arguments.lab in (0, cheat.lab)]
    if arguments.cheats:
        cheats = [cheat for cheat in cheats if re.search(arguments.cheats, cheat.name)]
    elif not arguments.full:
        cheats = [cheat for cheat in cheats if cheat.name in cheating.SAMPLE]
    if not cheats:
        return 0
    problem = sandbox.available()
    if problem:
        print(f"cheats: not tried, there is no sandbox here: {problem}")
        return 0

    def done(cheat: cheating.Cheat, problems: list[str]) -> None:
        print(f"{'CHEATS  ' if problems else 'caught  '} cheats/{cheat.name}: "
              f"{cheat.values['text']}", flush=True)
        for text in problems:
            print(f"           {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="strata-cheats-") as folder:
        bad = cheating.try_all(arguments.build, cheats, Path(folder), done)
    print(f"grader-check: {len(cheats)} cheats, {len(cheats) - bad} got what they must get")
    return bad


def write(outcomes: list[Outcome], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {outcome.mutant.name: {"killed_by": outcome.killers, "missed": outcome.missed,
                                    "problem": outcome.problem,
                                    "seconds": round(outcome.seconds, 1)} for outcome in outcomes}
    path.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    run_main(main)
