# SPDX-License-Identifier: MIT
"""The picture of a run's time: what the plugin's records mean, and a whole run of `make trace`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.timeline import (NEVER, NOBODY, Kind, Record, Timeline, exits_by_reason, read_records,
                            reason_of, shares, stages_of_interrupts)
from bench.timeline_svg import Picture
from bench.trace import nanoseconds, render
from grader.machine import images

ALPHA, BETA = 0x000, 0x101  # vCPU 0 of VM 0, vCPU 1 of VM 1
HVC, WFI = 0x16 << 26 | 1 << 25, 0x01 << 26 | 1 << 25
IRQ, SYNCHRONOUS = 0x480, 0x400
PENDING_27 = 1 << 62 | 0xA0 << 48 | 27
PENDING_1_FIRST = 1 << 62 | 0x20 << 48 | 1


def record(time: int, kind: Kind, cpu: int = 0, who: int = ALPHA, number: int = 0, value: int = 0,
           executed: int | None = None) -> Record:
    return Record(time, time if executed is None else executed, kind, cpu, who, number, value)


def name(who: int, text: bytes) -> list[Record]:
    return [record(0, Kind.NAME, who=who & 0xFF00, number=at,
                   value=int.from_bytes(text.ljust(16, b"\0")[at:at + 8], "little"))
            for at in (0, 8)]


def test_a_cpu_is_in_a_guest_at_el2_or_idle() -> None:
    timeline = Timeline([
        *name(ALPHA, b"a-long-name"), record(100, Kind.ENTRY),
        record(150, Kind.EXIT, value=SYNCHRONOUS), record(190, Kind.ENTRY, value=HVC),
        record(200, Kind.EXIT, value=IRQ), record(260, Kind.ENTRY, value=HVC),
        record(300, Kind.EXIT, value=SYNCHRONOUS), record(330, Kind.IDLE, value=WFI),
        record(1000, Kind.AWAKE, executed=330), record(1005, Kind.ENTRY, who=BETA, executed=335)])
    assert [(span.start, span.end, span.kind, span.label) for span in timeline.cpus[0]] == [
        (100, 150, "guest", "a-long-name/0"), (150, 190, "exit", "HVC"),
        (190, 200, "guest", "a-long-name/0"), (200, 260, "exit", "IRQ"),
        (260, 300, "guest", "a-long-name/0"), (300, 330, "exit", "WFI"),
        (330, 1000, "idle", "idle"), (1000, 1005, "exit", "wake-up"),
        (1005, 1005, "guest", "vm1/1")]
    rows = {row.name: (row.count, row.longest, row.example) for row in exits_by_reason(timeline)}
    assert rows == {"HVC": (1, 40, (150, 190)), "IRQ": (1, 60, (200, 260)),
                    "WFI": (1, 30, (300, 330)), "wake-up": (1, 5, (1000, 1005))}
    share = shares(timeline)[0]
    assert share == pytest.approx({"guest": 100 / 905, "exit": 135 / 905, "idle": 670 / 905})


def test_a_device_access_is_no_memory_fault() -> None:
    """Nor is one device another; what EL2 has not noted has the name of its class."""
    reasons = [reason_of(0x24 << 26, ipa)[0]
               for ipa in (0x0800_0000, 0x080B_0000, 0x0900_0000, 0x4000_0000, 0x7FFF_F000, 0)]
    assert reasons == ["access to GICD", "access to GICR", "access to UART", "memory fault",
                       "memory fault", "data abort"]
    timeline = Timeline([record(0, Kind.ENTRY), record(5, Kind.EXIT, value=SYNCHRONOUS),
                         record(9, Kind.ENTRY, number=0x9000, value=0x24 << 26)])
    row, = exits_by_reason(timeline)
    assert row.name == "access to UART"


def test_instructions_of_an_exit_are_the_cpus_own() -> None:
    """Of CPUs that take turns each exit is as long as it would be alone."""
    timeline = Timeline([record(0, Kind.ENTRY, executed=0),
                         record(10, Kind.EXIT, value=SYNCHRONOUS, executed=10),
                         record(5000, Kind.ENTRY, value=HVC, executed=100)])
    row, = exits_by_reason(timeline)
    assert (row.median, row.example) == (90, (10, 5000))


def test_an_interrupt_from_its_line_to_its_completion() -> None:
    """The guest is given what has the highest priority, whichever list register holds it."""
    timeline = Timeline([
        record(10, Kind.IRQ, number=27, value=1), record(20, Kind.LIST_REGISTER, value=PENDING_27),
        record(30, Kind.IRQ, number=1, value=2),
        record(35, Kind.LIST_REGISTER, number=1, value=PENDING_1_FIRST),
        record(40, Kind.ACKNOWLEDGE), record(50, Kind.ACKNOWLEDGE), record(60, Kind.COMPLETE),
        record(70, Kind.COMPLETE), record(80, Kind.ACKNOWLEDGE)])
    seen = [(one.intid, one.raised, one.listed, one.acknowledged, one.completed)
            for one in timeline.interrupts]
    assert seen == [(27, 10, 20, 50, 60), (1, 30, 35, 40, 70)]
    assert [(row.name, row.count, row.longest) for row in stages_of_interrupts(timeline)] == [
        ("line to list register", 2, 10), ("list register to acknowledgement", 2, 30),
        ("acknowledgement to completion", 2, 30)]


def test_a_shared_interrupt_is_taken_by_whichever_vcpu_it_goes_to() -> None:
    spi = 1 << 62 | 0xA0 << 48 | 33
    timeline = Timeline([record(5, Kind.IRQ, who=0x100, number=33, value=1),
                         record(9, Kind.LIST_REGISTER, who=BETA, value=spi),
                         record(11, Kind.ACKNOWLEDGE, who=BETA),
                         record(15, Kind.COMPLETE, who=BETA)])
    one, = timeline.interrupts
    assert (one.who, one.raised, one.acknowledged, one.completed) == (BETA, 5, 11, 15)


def test_an_interrupt_that_nobody_takes_ends_with_its_line() -> None:
    timeline = Timeline([record(5, Kind.IRQ, number=27, value=1), record(9, Kind.IRQ, number=27),
                         record(20, Kind.EXIT, value=IRQ)])
    one, = timeline.interrupts
    assert (one.withdrawn, one.acknowledged, one.end(timeline.end)) == (9, None, 9)


def test_states_and_deadlines_last_until_they_change() -> None:
    timeline = Timeline([
        record(0, Kind.STATE, number=2, value=2), record(40, Kind.STATE, number=2, value=3),
        record(40, Kind.DEADLINE, number=0, value=90),
        record(95, Kind.DEADLINE, number=0, value=NEVER),
        record(96, Kind.STATE, number=2, value=1), record(100, Kind.ENTRY, cpu=2)])
    assert [(span.start, span.end, span.label) for span in timeline.vcpus[ALPHA]] == [
        (0, 40, "runs on CPU 2"), (40, 96, "sleeps"), (96, 100, "waits")]
    deadline, = timeline.deadlines
    assert (deadline.armed, deadline.due, deadline.end) == (40, 90, 95)


def test_a_part_begins_with_what_was_so_before() -> None:
    timeline = Timeline([record(0, Kind.STATE, value=3), record(600, Kind.ENTRY),
                         record(700, Kind.EXIT, value=IRQ), record(720, Kind.FULL)], start=500)
    assert timeline.vcpus[ALPHA][0].start == 500
    assert timeline.is_cut


def test_times_have_units() -> None:
    assert [nanoseconds(text) for text in ("7", "7ns", "1.5us", "270ms", "2s")] == [
        7, 7, 1500, 270_000_000, 2_000_000_000]
    with pytest.raises(Exception, match="a time is a number with ns, us, ms or s"):
        nanoseconds("soon")


def test_half_a_record_is_none() -> None:
    assert not list(read_records(b"x" * 31))


def trace(out: Path, qemu: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A run of `make trace` of small VMs on one CPU."""
    build = images.build_directory()
    return subprocess.run(
        [sys.executable, "-m", "bench.trace", "--qemu", qemu, "--smp", "1", "--lab", "4",
         "--image", str(build / "solution-lab04" / "strata.bin"), "--out", str(out), *more,
         str(build / "guests" / "irqs.toml")], capture_output=True, text=True)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, qemu: str) -> Path:
    out = tmp_path_factory.mktemp("trace")
    done = trace(out, qemu, "--svg", str(out / "part.svg"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exits to EL2, in instructions" in done.stdout
    return out


def test_a_run_is_recorded_whole(traced: Path) -> None:
    """Who is on a CPU at a time is one; VMs ran, waited and were interrupted."""
    events = json.loads((traced / "trace.json").read_text("utf-8"))["traceEvents"]
    lanes: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        if event["ph"] == "X":
            lanes.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["dur"]))
    for spans in lanes.values():
        for (start, length), (following, _) in zip(spans, spans[1:]):
            assert start + length == pytest.approx(following, abs=2)
    names = {event["name"] for event in events if event["ph"] == "X"}
    assert {"HVC", "IRQ", "MSR ICC_SGI1R_EL1", "runs on CPU 0", "waits",
            "access to GICD"} <= names
    assert "data abort" not in names
    finished = [event for event in events if event["ph"] == "e" and event["cat"] == "interrupt"]
    taken = [event for event in events if event.get("name") == "acknowledged"]
    assert len(taken) > 10 and len(finished) >= len(taken)


def test_the_same_run_has_the_same_picture(traced: Path, tmp_path: Path, qemu: str) -> None:
    assert trace(tmp_path, qemu).returncode == 0
    assert (tmp_path / "trace.json").read_bytes() == (traced / "trace.json").read_bytes()


def test_a_part_shows_what_a_cpu_did_before(tmp_path: Path, traced: Path, qemu: str) -> None:
    """Of a part without an exit the CPU's lane is not empty."""
    events = json.loads((traced / "trace.json").read_text("utf-8"))["traceEvents"]
    spans = [event for event in events if event["ph"] == "X" and event["pid"] == 1]
    span = next(one for one in spans[10:] if one["cat"] == "guest" and one["dur"] > 0.1)
    at = round(span["ts"] * 1000)
    done = trace(tmp_path, qemu, "--from", f"{at + 20}ns", "--for", f"{span['dur'] * 1000:.0f}ns")
    assert done.returncode == 0, done.stderr
    part = json.loads((tmp_path / "trace.json").read_text("utf-8"))["traceEvents"]
    first = next(event for event in part if event["ph"] == "X" and event["pid"] == 1)
    assert (first["name"], first["ts"]) == (span["name"], (at + 20) / 1000)


def test_nothing_to_show_is_said(tmp_path: Path, qemu: str) -> None:
    done = trace(tmp_path, qemu, "--from", "900s")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2, "error: the machine never entered a guest in that time: there is nothing to show")


def test_the_page_draws_itself(traced: Path) -> None:
    """In a browser without a screen: the script ends without an error, and has drawn spans."""
    found = map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))
    browser = next((path for path in found if path), None)
    if browser is None:
        pytest.skip("no browser here: apt install chromium-headless-shell")
    done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                           f"file://{traced / 'trace.html'}#t=0,90000000"],
                          capture_output=True, text=True)
    body = re.search(r"<body[^>]*>", done.stdout)
    assert body and "data-error" not in body[0], done.stdout[:400]
    drawn = re.search(r'data-drawn="(\d+)"', body[0])
    assert drawn and int(drawn[1]) > 50


def test_the_page_needs_nothing_but_itself(traced: Path) -> None:
    page = (traced / "trace.html").read_text("utf-8")
    assert not re.search(r'(src|href)="(?!#)', page)


def test_names_of_vms_are_text_in_the_page() -> None:
    timeline = Timeline([*name(ALPHA, b"</script><b>"), record(1, Kind.ENTRY),
                         record(5, Kind.EXIT, value=IRQ, who=NOBODY)])
    assert "</script><b>" not in render(timeline, "<b>")
    assert "<b>" not in Picture(timeline, 0, 5).draw()
