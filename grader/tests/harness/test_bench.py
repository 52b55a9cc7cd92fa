# SPDX-License-Identifier: MIT
"""The benchmark's arithmetic: rows of a console, bars beside peers, a reader's own column."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from bench.bars import ROWS as MEASURED
from bench.bars import Bar, Result, print_table
from bench.measure import read_peers
from bench.bench import print_table as print_paper_table
from bench.paper import BENCHMARKS, KVM, ROWS, STRATA, XEN, Measured, verdicts
from bench.peers.xen import SCENARIOS, domain
from bench.published import Published
from bench.report import bar_chart
from bench.rows import Row, rows_of
from tools.errors import UserError

ROOT = Path(__file__).parents[3]


def measured(name: str, system: str, median: int) -> Measured:
    return Measured(name, system, "cortex-a72", Row(4096, median, median, median, median, median))


def test_a_console_gives_its_rows_and_two_sums_make_one() -> None:
    console = ("[a] RESULT hypercall n=4096 min=95 med=96 mean=96.5 p99=97 max=99\n"
               "(XEN) DOM1: SUM io_in sent n=4 sum=1000\n"
               "(XEN) DOM2: SUM io_in received n=4 sum=9000\nSUM lonely sent n=4 sum=1\n")
    rows = rows_of(console, "somebody")
    assert rows == {"hypercall": Row(4096, 95, 96, 96.5, 97, 99),
                    "io_in": Row(4, 2000, 2000, 2000.0, 2000, 2000)}
    with pytest.raises(UserError, match="somebody: the payload gave no row"):
        rows_of("nothing", "somebody")


def test_a_bar_is_a_share_of_the_better_peer() -> None:
    rows = [measured("hypercall", STRATA, 121), measured("hypercall", KVM, 1480),
            measured("hypercall", XEN, 480)]
    bar, = verdicts(rows)
    assert (bar.limit, bar.passed, bar.reason) == (120, False, "1/4 of Xen's 480")
    assert verdicts([measured("hypercall", STRATA, 120), *rows[1:]])[0].passed
    assert verdicts(rows[:1]) == []  # nobody beside whom it would be held


def test_a_bar_of_its_own_needs_no_peer() -> None:
    bar, = verdicts([measured("virq_completion", STRATA, 3)])
    assert (bar.limit, bar.passed) == (2, False)


@pytest.mark.parametrize(("benchmark", "has_bars"), [("gic-trap", False), ("completion", True)])
def test_the_column_of_bars_is_there_if_a_row_has_one(
        benchmark: str, has_bars: bool, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [measured("gic_trap", STRATA, 88), measured("virq_completion", STRATA, 2)]
    print_paper_table(rows, verdicts(rows), {}, Published({}), benchmark)
    told = capsys.readouterr().out
    assert ("Strata may take" in told) == has_bars
    assert ("Interrupt Controller Trap" in told) != has_bars


def test_the_chart_shows_how_far_a_bar_may_reach() -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="charts are drawn by matplotlib")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        for name, has_bar in (("gic_trap", False), ("virq_completion", True)):
            rows = [measured(name, STRATA, 2)]
            drawn = bar_chart(rows, verdicts(rows), "cortex-a72")
            assert ("Strata may take" in drawn) == has_bar, name


def test_a_measurement_stands_beside_the_peers_of_the_last_bench(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_peers(tmp_path / "none.json", "cortex-a76") == {}
    rows = [{"name": "gic_trap", "system": system, "cpu": cpu, "median": median}
            for system, cpu, median in (("Strata", "cortex-a76", 1), ("Xen", "cortex-a76", 583),
                                        ("Xen", "cortex-a72", 2), ("native", "cortex-a76", 3))]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"rows": rows}), "utf-8")
    peers = read_peers(path, "cortex-a76")
    assert peers == {"Xen": {"gic_trap": 583}}
    bar = next(bar for bar in MEASURED if bar.paper == "gic_trap")
    result = Result(bar, "cortex-a76 v3", 181, {"mean": 181.5, "min": 180, "samples": 9})
    print_table([result, Result(Bar("other", "another", None), "image", 7)], peers)
    shown = [line.split() for line in capsys.readouterr().out.splitlines() if "GICD_IIDR" in line]
    assert shown and "583" in shown[0] and "!" in shown[0]
    assert {key: result.as_json()[key] for key in ("name", "system", "cpu", "median", "mean", "min",
                                                   "n", "unit", "passed")} == {
        "name": "gicd_iidr_read", "system": "Strata", "cpu": "cortex-a76 v3", "median": 181,
        "mean": 181.5, "min": 180, "n": 9, "unit": "instructions", "passed": False}


def test_each_row_that_peers_have_is_one_of_the_paper() -> None:
    names = {row.name for row in ROWS}
    assert {bar.paper for bar in MEASURED if bar.paper} <= names


def test_the_makefile_takes_the_benchmarks_that_there_are() -> None:
    line = next(line for line in (ROOT / "bench/bench.mk").read_text("utf-8").splitlines()
                if line.startswith("BENCHMARKS :="))
    assert line.split(":= ")[1].split() == list(BENCHMARKS)


def test_the_columns_of_a_reader_are_shipped_empty(tmp_path: Path) -> None:
    assert Published.read(ROOT / "bench/published.toml").columns == {}
    path = tmp_path / "published.toml"
    path.write_text('["ARM, cycles"]\nhypercall = 7\n', "utf-8")
    published = Published.read(path)
    assert [published.cells(row.name) for row in ROWS][0] == ["7"]
    assert published.cells("io_in") == [""]


@pytest.mark.parametrize(("text", "problem"), [
    ("[", ""), ('x = 1', "x is no table"), ('[x]\nhyper = 1', "no such row"),
    ('[x]\nhypercall = "7"', "is no number")])
def test_a_wrong_column_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "published.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=problem):
        Published.read(path)


def test_each_end_of_an_event_channel_names_the_other() -> None:
    ends = [domain(SCENARIOS["events"], index, 4096).children["evtchn@1"].properties
            for index in range(2)]
    for here, there in (ends, ends[::-1]):
        port, peer = struct.unpack(">II", here["xen,evtchn"])
        assert there["phandle"] == struct.pack(">I", peer)
        assert struct.unpack(">II", there["xen,evtchn"])[0] != port
