# SPDX-License-Identifier: MIT
"""`make trace`: the run of `make run` under the deterministic clock, as a picture of its time.

The machine runs as always; a plugin of the emulator watches it, with the image's symbols and the
kit's headers. So the machine does not know, and an unfinished hypervisor can be watched too.
Written are trace.json in the trace-event format and trace.html, which needs nothing but a browser.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from rich.console import Console
from rich.table import Table

from bench.plugins import compile_plugin
from bench.timeline import (DEADLINES, Row, Timeline, exits_by_reason, read_records, shares,
                            stages_of_interrupts, trace_events)
from bench.timeline_svg import Picture
from grader.machine.symbols import Symbols
from tools.errors import UserError, run_main
from tools.files import write_atomically
from tools.qemu import add_machine_arguments, option_value, qemu_command
from tools.run import add_vm_arguments, knows_batch, prepared, run_batch

TEMPLATES = Path(__file__).parent / "templates"
RECORDS_MAX = 600_000  # what a browser still shows without delay
UNITS = {"": 1, "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
SYMBOLS = ("image_start", "image_end", "vectors", "vms", "cpus")


def nanoseconds(text: str) -> int:
    """A time of the machine, for example 1500us or 0.2s; a plain number is of nanoseconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|us|ms|s|)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text}: a time is a number with ns, us, ms or s")
    return round(float(match[1]) * UNITS[match[2]])


def page_data(timeline: Timeline) -> dict[str, object]:
    """What the page's script draws. Spans are [start, length, kind, VM, index of a text, more]."""
    texts: dict[str, int] = {}

    def text(label: str) -> int:
        return texts.setdefault(label, len(texts))

    lanes: list[dict[str, object]] = []
    for cpu, spans in sorted(timeline.cpus.items()):
        lanes.append({
            "name": f"CPU {cpu}", "kind": "cpu",
            "spans": [[span.start, span.length, span.kind[0], span.who >> 8,
                       text(f"{span.label}\n{span.detail}"), span.instructions]
                      for span in spans],
            "due": [one.due for one in timeline.deadlines
                    if DEADLINES[one.number] == "time slice" and one.who == cpu
                    and one.end >= one.due]})
    for who, spans in sorted(timeline.vcpus.items()):
        if all(span.kind == "off" for span in spans):
            continue
        lanes.append({
            "name": timeline.name(who), "kind": "vcpu",
            "spans": [[span.start, span.length, span.kind[0], span.who >> 8,
                       text(f"{span.label}\n")] for span in spans],
            "due": [one.due for one in timeline.deadlines
                    if DEADLINES[one.number] != "time slice" and one.who == who]})
        lanes.append({
            "name": "interrupts", "kind": "irq",
            "spans": [[one.raised, one.end(timeline.end) - one.raised, "i",
                       who >> 8, text(f"INTID {one.intid}\n"), one.listed, one.acknowledged]
                      for one in timeline.interrupts if one.who == who]})
    return {"start": timeline.start, "end": timeline.end, "lanes": lanes, "texts": list(texts)}


def render(timeline: Timeline, title: str) -> str:
    """The page, whole in one file."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True,
                              trim_blocks=True, lstrip_blocks=True)
    data = json.dumps(page_data(timeline), separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template("timeline.html").render(
        title=title, timeline=timeline, data=data, exits=exits_by_reason(timeline),
        interrupts=stages_of_interrupts(timeline), shares=shares(timeline))


def table_of(title: str, rows: Sequence[Row], what: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in (what, "times", "median", "longest", "in all"):
        table.add_column(name, justify="left" if name == what else "right")
    for row in rows:
        table.add_row(row.name, f"{row.count:,}", f"{row.median:,}", f"{row.longest:,}",
                      f"{row.total:,}")
    return table


def report(timeline: Timeline) -> None:
    console = Console()
    console.print(table_of("exits to EL2, in instructions", exits_by_reason(timeline), "reason"))
    stages = stages_of_interrupts(timeline)
    if stages:
        console.print(table_of("interrupts of guests, in nanoseconds", stages, "way"))
    for cpu, share in shares(timeline).items():
        console.print(f"CPU {cpu}: guests {share['guest']:.1%}, EL2 {share['exit']:.1%}, "
                      f"idle {share['idle']:.1%}")
    if timeline.is_cut:
        console.print(f"more than {RECORDS_MAX:,} records: the picture ends at "
                      f"{timeline.end / 1e6:.3f} ms; FROM= and FOR= show another part")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/trace.py",
                                     description="a run as a picture of its time")
    add_machine_arguments(parser)
    add_vm_arguments(parser)
    parser.add_argument("--from", dest="begin", type=nanoseconds, default=0)
    parser.add_argument("--for", dest="duration", type=nanoseconds, default=1 << 62)
    parser.add_argument("--svg", type=Path, help="write that part as a picture for a text; all "
                        "that came before is recorded, too")
    arguments = parser.parse_args()
    arguments.icount = True
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    plugin = compile_plugin("trace", arguments.qemu, out)
    symbols = Symbols(arguments.image.with_suffix(".elf"))
    records = out / "trace.bin"
    # Which of its interrupts a guest acknowledges is known to who saw all that came before.
    begin = 0 if arguments.svg else arguments.begin
    with prepared(arguments, batch=True) as (options, file, bundle):
        words = [option_value(plugin), f"out={option_value(records)}", f"ram={options.memory}",
                 f"gic={options.gic}", f"from={begin}",
                 f"until={arguments.begin + arguments.duration}", f"records={RECORDS_MAX}",
                 *(f"{name}={symbols[name]}" for name in SYMBOLS)]
        command = qemu_command(options, arguments.image, bundle,
                               serial=["-serial", "stdio", "-monitor", "none"],
                               extra=["-plugin", ",".join(words)])
        status = run_batch(command, [vm.name for vm in file.vms
                                     if knows_batch(vm) and f"hostname={vm.name}" in vm.cmdline],
                           file.expect)
    timeline = Timeline(read_records(records.read_bytes()), begin)
    records.unlink()
    if not timeline.cpus:
        raise UserError("the machine never entered a guest in that time: there is nothing to show")
    cpus = "1 CPU" if options.smp == 1 else f"{options.smp} CPUs"
    title = f"{arguments.vms.stem}, layers 1 to {arguments.lab}, {cpus}"
    write_atomically(out / "trace.json", json.dumps(trace_events(timeline)).encode())
    write_atomically(out / "trace.html", render(timeline, title).encode())
    if arguments.svg:
        end = min(arguments.begin + arguments.duration, timeline.end)
        write_atomically(arguments.svg, Picture(timeline, arguments.begin, end).draw())
    report(timeline)
    print(f"{out / 'trace.html'}: open it in a browser; {out / 'trace.json'}: for ui.perfetto.dev")
    return status


if __name__ == "__main__":
    run_main(main)
