# SPDX-License-Identifier: MIT
"""`make profile BENCH=hypercall`: where the instructions of an exit go, by function and by line.

The payload of `make bench` runs, and a plugin of the emulator counts what EL2 executes for each
exit. Exits of a row that leave the guest at the same place are alike; the numbers are of one of
them, on average. With IMPL=labs the reference's stand beside the student's.
"""

from __future__ import annotations

import argparse
import html
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.paper import BENCHMARKS, ONE, PART_OF, ROWS, PaperRow
from bench.plugins import compile_plugin
from bench.rows import ROW, rows_of
from bench.run import Setup, run_until
from bench.systems import END, strata_job
from bench.timeline import IRQ_VECTOR, reason_of
from grader.machine.symbols import Symbols
from tools.errors import UserError, run_main
from tools.files import write_atomically
from tools.qemu import CPUS, option_value

OFTEN = 0.2  # of a row's samples: exits that happen less often do not belong to what is measured
LINES = 12  # of source that are shown
MARK = "row_add"
SYMBOLS = ("image_start", "image_end", "vectors", "cpus")
Path_ = tuple[str, ...]  # functions, from the vector inwards


@dataclass
class Exits:
    """Exits of one row that are alike; numbers are of one of them."""

    vector: int
    esr: int
    cpu: int
    times: int
    paths: Counter[Path_] = field(default_factory=Counter)  # executed in the last one of a path
    addresses: Counter[int] = field(default_factory=Counter)

    @property
    def reason(self) -> str:
        return "IRQ" if self.vector == IRQ_VECTOR else reason_of(self.esr)[0]

    @property
    def insns(self) -> float:
        return sum(self.paths.values()) / self.times

    def by_function(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for path, insns in self.paths.items():
            found[path[-1]] += insns
        return found


def function_of(symbols: Symbols, address: int) -> str:
    return (symbols.place(address) or f"{address:#x}").split("+")[0]


class _Section:
    """What the plugin wrote between two lines "row"."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.exits: dict[int, Exits] = {}
        self.calls: dict[int, tuple[int, int]] = {}

    def take(self, words: list[str]) -> None:
        numbers = [int(word, 0) for word in words[1:]]
        if words[0] == "exit":
            index, vector, esr, cpu, times, _ = numbers
            self.exits[index] = Exits(vector, esr, cpu, times)
        elif words[0] == "call":
            self.calls[numbers[0]] = (numbers[1], numbers[2])
        elif words[0] == "block":
            index, node, pc, insns, times = numbers
            exits = self.exits[index]
            exits.paths[self._path(node, pc)] += insns * times
            for at in range(pc, pc + 4 * insns, 4):
                exits.addresses[at] += times

    def _path(self, node: int, pc: int) -> Path_:
        """The functions that called each other, and the one that a tail call led to."""
        chain: list[str] = []
        while node:
            node, function = self.calls[node]
            chain.append(function_of(self.symbols, function))
        chain.append("vectors")
        chain.reverse()
        last = function_of(self.symbols, pc)
        return (*chain, last) if last != chain[-1] else tuple(chain)


def read_profile(text: str, symbols: Symbols) -> list[list[Exits]]:
    """Of each row that the payload measured, in its order, the exits."""
    rows: list[list[Exits]] = []
    section = _Section(symbols)
    for line in text.splitlines():
        if line == "row":
            rows.append([one for one in section.exits.values() if one.times])
            section = _Section(symbols)
        else:
            section.take(line.split())
    return rows


@dataclass(frozen=True)
class Profile:
    """What one image does in one row."""

    row: PaperRow
    median: int
    exits: list[Exits]


def profile(setup: Setup, cpu: str, benchmark: str) -> list[Profile]:
    """Run the payload's part that has this benchmark, and take its rows apart."""
    symbols = Symbols(setup.image.with_suffix(".elf"))
    payload = Symbols(setup.build / "guests" / "payload.elf")
    job = strata_job(setup, cpu, PART_OF.get(benchmark, ONE))
    assert job is not None
    command = job.make_command()
    out = setup.out / "profile.txt"
    memory = int(command[command.index("-m") + 1].rstrip("M")) << 20
    words = [option_value(compile_plugin("profile", setup.qemu, setup.out)),
             f"out={option_value(out)}", f"ram={memory}",
             *(f"{name}={symbols[name]}" for name in SYMBOLS),
             *(f"mark{n}={payload.word(payload[MARK] + 4 * n)}" for n in range(4))]
    console = run_until([*command, "-plugin", ",".join(words)], END, job.ends)
    measured = rows_of(console, job.what)
    sections = read_profile(out.read_text("ascii"), symbols)
    names = [match[0] for match in ROW.findall(console)]
    found = []
    for index, name in enumerate(names):
        row = next((row for row in ROWS if row.name == name and row.benchmark == benchmark), None)
        if row is None:
            continue
        # Two rows of one measurement: the second one has no exits of its own.
        exits = sections[index] or sections[index - 1]
        often = [one for one in exits if one.times >= OFTEN * measured[name].samples]
        found.append(Profile(row, measured[name].median,
                             sorted(often, key=lambda one: -one.insns * one.times)))
    if not found:
        raise UserError(f"{job.what}: the payload measured no row of {benchmark}")
    return found


def lines_of(image: Path, addresses: Counter[int], cross: str) -> Counter[str]:
    """`file:line` and how many instructions of it were executed."""
    ordered = sorted(addresses)
    done = subprocess.run([f"{cross}addr2line", "-e", image.with_suffix(".elf")], check=True,
                          input="\n".join(map(hex, ordered)), capture_output=True, text=True)
    found: Counter[str] = Counter()
    for address, line in zip(ordered, done.stdout.splitlines()):
        found[line.split(" (")[0].removeprefix("./")] += addresses[address]
    return found


def _number(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def function_table(exits: Exits, other: Exits | None) -> Table:
    """Instructions of one exit by function; `other` is the reference's exit of the same kind."""
    table = Table(title=f"{exits.reason} on CPU {exits.cpu}: {_number(exits.insns)} instructions",
                  title_justify="left")
    for name in ("function", "instructions", "share", *(("reference", "more") if other else ())):
        table.add_column(name, justify="left" if name == "function" else "right")
    ours = exits.by_function()
    theirs = other.by_function() if other else Counter()
    for name in sorted({*ours, *theirs}, key=lambda name: (-ours[name], -theirs[name])):
        each = ours[name] / exits.times
        if each < 0.5 and (not other or theirs[name] / other.times < 0.5):
            continue  # now and then, not in each of them
        cells = [name, _number(each), f"{each / exits.insns:.0%}"]
        if other:
            reference = theirs[name] / other.times
            cells += [_number(reference), f"{each - reference:+,.0f}"]
        table.add_row(*cells)
    return table


def line_table(image: Path, exits: Exits, cross: str) -> Table:
    table = Table(title=f"the {LINES} lines with the most", title_justify="left")
    table.add_column("line")
    table.add_column("instructions", justify="right")
    for line, insns in lines_of(image, exits.addresses, cross).most_common(LINES):
        table.add_row(line, _number(insns / exits.times))
    return table


class Flame:
    """A flame graph: who called whom from below to above, as wide as its instructions.

    The two lowest frames say which row of the table it is and which exit.
    """

    WIDTH, HEIGHT, TOP, CHARACTER = 1100, 20, 56, 6.7
    COLOURS = ("#e4572e", "#ef8354", "#f2a65a", "#f2b134", "#d9a441", "#e07a5f")
    GROUND = ("#c3ccd5", "#dfe5ea")
    HOW = ("Above each function stand those that it called; it is as wide as its instructions "
           "and theirs. Each exit is the average of its kind.")

    def __init__(self, title: str) -> None:
        self.title = title
        self.paths: Counter[Path_] = Counter()

    def add(self, row: str, exits: Exits) -> None:
        where = f"{exits.reason}, CPU {exits.cpu}"
        for path, insns in exits.paths.items():
            self.paths[row, where, *path] += round(10 * insns / exits.times)

    def _label(self, name: str, insns: float, width: float) -> str:
        """What there is room for: the name with its number, the name, its beginning, nothing."""
        room = int((width - 8) / self.CHARACTER)
        counted = f"{name}: {insns:,.0f}"
        if len(counted) <= room:
            return counted
        if len(name) <= room:
            return name
        return f"{name[:room - 1]}\u2026" if room > 4 else ""

    def _frames(self, paths: Counter[Path_], depth: int, x: float, scale: float,
                parts: list[str]) -> int:
        """Draw all that has called itself from here on; the greatest depth."""
        deepest = depth
        groups: dict[str, Counter[Path_]] = {}
        for path, insns in paths.items():
            if len(path) > depth:
                groups.setdefault(path[depth], Counter())[path] = insns
        for name, inside in groups.items():
            total = sum(inside.values())
            width = total * scale
            label = html.escape(f"{name}: {total / 10:g} instructions")
            shown = html.escape(self._label(name, total / 10, width))
            parts.append(
                f'<g><title>{label}</title><rect x="{x:.1f}" y="Y{depth}" width="{width:.1f}" '
                f'height="{self.HEIGHT - 1}" rx="2" fill="{self._colour(name, depth)}" '
                f'stroke="#fff" stroke-width="0.6"/>'
                f'<text x="{x + 4:.1f}" y="T{depth}">{shown}</text></g>')
            deepest = max(deepest, self._frames(inside, depth + 1, x, scale, parts))
            x += width
        return max(deepest, depth)

    def _colour(self, name: str, depth: int) -> str:
        if depth < len(self.GROUND):
            return self.GROUND[depth]
        return self.COLOURS[sum(name.encode()) % len(self.COLOURS)]

    def draw(self) -> str:
        """The graph, as SVG without scripts; a browser shows the numbers under the pointer."""
        parts: list[str] = []
        depth = self._frames(self.paths, 0, 0, self.WIDTH / max(self.paths.total(), 1), parts)
        height = depth * self.HEIGHT + self.TOP  # the deepest level has no frame
        drawn = "".join(parts)
        for level in range(depth, -1, -1):
            y = height - 4 - (level + 1) * self.HEIGHT
            drawn = drawn.replace(f'"Y{level}"', f'"{y}"').replace(f'"T{level}"', f'"{y + 14}"')
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {height}" '
                f'font-family="system-ui, sans-serif" font-size="12" fill="#1d2733">'
                f'<rect width="{self.WIDTH}" height="{height}" fill="#fff"/>'
                f'<text x="4" y="20" font-size="16">{html.escape(self.title)}</text>'
                f'<text x="4" y="40" fill="#5b6873">{self.HOW}</text>'
                f'{drawn}</svg>\n')


def counterpart(exits: Exits, others: list[Exits]) -> Exits | None:
    return next((one for one in others
                 if (one.reason, one.cpu) == (exits.reason, exits.cpu)), None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/profile.py",
                                     description="where the instructions of an exit go")
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--qemu", default="qemu-system-aarch64")
    parser.add_argument("--cpu", default="cortex-a76", choices=CPUS)
    parser.add_argument("--cross", default="aarch64-linux-gnu-")
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--reference", type=Path, help="another image to compare with")
    parser.add_argument("--benchmark", choices=BENCHMARKS, required=True)
    arguments = parser.parse_args()

    def profile_of(image: Path) -> list[Profile]:
        return profile(Setup(arguments.build, image, arguments.qemu), arguments.cpu,
                       arguments.benchmark)

    profiles = profile_of(arguments.image)
    reference = ({one.row.name: one.exits for one in profile_of(arguments.reference)}
                 if arguments.reference else {})
    console = Console()
    flame = Flame(f"{arguments.benchmark}: instructions of EL2, {arguments.cpu}")
    shown: list[list[Exits]] = []
    for one in profiles:
        console.print(f"\n{one.row.title.strip()}: {one.median:,} instructions, median")
        if one.exits in shown:
            console.print("the exits of the row before")
            continue
        shown.append(one.exits)
        for exits in one.exits:
            other = counterpart(exits, reference.get(one.row.name, []))
            console.print(function_table(exits, other))
            console.print(line_table(arguments.image, exits, arguments.cross))
            flame.add(one.row.title.strip(), exits)
    target = arguments.build / "bench" / f"profile-{arguments.benchmark}.svg"
    write_atomically(target, flame.draw())
    print(f"{target}: the same as a flame graph")
    return 0


if __name__ == "__main__":
    run_main(main)
