# SPDX-License-Identifier: MIT
"""The report: one page of HTML that needs no other file, with plots as SVG.

Plots by matplotlib, the page by jinja2 (report.html). Both are given what bench.json holds.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from bench.paper import (FLOOR, GROUPS, KVM, KVM_VHE, NATIVE, PEERS, ROWS, STRATA, XEN, Measured,
                         PaperRow, Verdict, find)
from bench.published import Published
from tools.errors import UserError

TEMPLATE = "report.html"
COLORS = {STRATA: "#0b7285", KVM: "#e8590c", KVM_VHE: "#c99700", XEN: "#7048a8", NATIVE: "#868e96"}
MAIN = [row for row in ROWS if not row.title.startswith(" ")]  # the paper's; others explain them

# Why a hypercall of ours does without a group, or does not.
REASONS = {
    "group_general": "needed: EL2's code is compiled and uses them; all of them are saved, so that "
                     "any exit may become a switch",
    "group_return": "needed: an exception at EL2 would overwrite them, and a switch takes them "
                    "along",
    "group_el1": "not touched: EL2 runs with its own registers (E2H = 0), so EL1's stay in place "
                 "until another vCPU is loaded",
    "group_timer": "not touched: the guest's timer runs on in hardware; EL2 has its own, CNTHP",
    "group_vgic": "not touched: list registers are a cache, folded back when an interrupt is given "
                  "or another vCPU is loaded",
    "group_traps": "not touched: EL2 is never the subject of its own traps, so they stay set",
    "group_stage2": "not touched: EL2 has a translation of its own, and there is no host to switch "
                    "to",
    "group_simd": "not touched: EL2 is compiled without SIMD; loaded when a guest uses it",
}


def least_bar(bars: list[Verdict], row: PaperRow, cpu: str) -> Verdict | None:
    """Of the bars that the row has, the one that is hardest to reach."""
    its = [bar for bar in bars if (bar.row, bar.cpu) == (row, cpu)]
    return min(its, key=lambda bar: bar.limit) if its else None


def bar_chart(results: list[Measured], bars: list[Verdict], cpu: str) -> str:
    """The paper's rows, a group of bars each, on a scale of powers of ten.

    A triangle over Strata's bar says how far it may reach.
    """
    from matplotlib.figure import Figure

    systems = [s for s in (STRATA, XEN, KVM_VHE, KVM, NATIVE)
               if any((m.system, m.cpu) == (s, cpu) for m in results)]
    rows = [row for row in MAIN if find(results, row.name, STRATA, cpu)]
    figure = Figure(figsize=(9.6, (0.2 + 0.13 * len(systems)) * len(rows) + 1.2),
                    layout="constrained")
    axes = figure.subplots()
    height = 0.84 / len(systems)
    for index, system in enumerate(systems):
        at = [number + (index - (len(systems) - 1) / 2) * height for number in range(len(rows))]
        values = [getattr(find(results, row.name, system, cpu), "median", 0) for row in rows]
        axes.barh(at, values, height * 0.92, color=COLORS[system], label=system)
        for y, value in zip(at, values, strict=True):
            if value:
                axes.text(value * 1.06, y, f"{value:,}", va="center", fontsize=7.5,
                          color=COLORS[system])
    limits = [(bar.limit, number - 0.46) for number, row in enumerate(rows)
              if (bar := least_bar(bars, row, cpu))]
    if limits:
        axes.plot([limit for limit, _ in limits], [y for _, y in limits], linestyle="",
                  marker="v", markersize=5, color="#212529", label="Strata may take")
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1, 20000)
    axes.set_xticks(powers := [10 ** n for n in range(5)], [f"{n:,}" for n in powers])
    axes.minorticks_off()
    axes.set_xlabel("instructions, median (each grey line is ten times the one before)")
    finish(axes)
    axes.legend(loc="lower right", frameon=False, ncols=len(systems) + 1, fontsize=9,
                bbox_to_anchor=(1, 1))
    return as_svg(figure)


def breakdown_chart(costs: dict[str, int], floor: int | None, hypercall: int | None) -> str:
    """What a hypercall would pay for each group of registers; the needed ones in our color."""
    from matplotlib.figure import Figure

    names = [name for name in GROUPS if name in costs]
    figure = Figure(figsize=(9.6, 0.36 * len(names) + 1.1), layout="constrained")
    axes = figure.subplots()
    needed = [REASONS[name].startswith("needed") for name in names]
    axes.barh(range(len(names)), [costs[name] for name in names],
              color=[COLORS[STRATA] if is_needed else "#ced4da" for is_needed in needed])
    for y, name in enumerate(names):
        axes.text(costs[name] + 1.5, y, str(costs[name]), va="center", fontsize=9)
    axes.set_yticks(range(len(names)), [GROUPS[name] for name in names])
    axes.invert_yaxis()
    for value, label in ((floor, "floor"), (hypercall, "Strata's whole hypercall")):
        if value:
            axes.axvline(value, color="#343a40", linewidth=0.9, linestyle=":")
            axes.text(value + 0.8, len(names) - 0.6, f"{label}: {value}", fontsize=8.5,
                      color="#343a40", rotation=90, va="bottom")
    axes.set_xlabel("instructions to save and to restore")
    finish(axes)
    return as_svg(figure)


def scaling_chart(series: dict[str, list[tuple[int, int]]], xlabel: str) -> str:
    """Lines over a count that doubles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.7, 3.1), layout="constrained")
    axes = figure.subplots()
    palette = (COLORS[STRATA], COLORS[KVM], COLORS[XEN])
    for color, (name, points) in zip(palette, series.items(), strict=False):
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, marker="o", color=color, label=name, linewidth=1.8)
        axes.text(xs[-1], ys[-1] * 1.05, f"{ys[-1]:,}", color=color, ha="right", fontsize=8.5)
    axes.set_xscale("log", base=2)
    axes.set_xticks([x for x, _ in next(iter(series.values()))],
                    [str(x) for x, _ in next(iter(series.values()))])
    axes.set_ylim(0, 1.3 * max(y for points in series.values() for _, y in points))
    axes.set_xlabel(xlabel)
    axes.set_ylabel("instructions, median")
    finish(axes, grid="y")
    axes.legend(frameon=False, fontsize=8.5)
    return as_svg(figure)


def finish(axes: Any, grid: str = "x") -> None:
    axes.grid(axis=grid, color="#dee2e6", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#adb5bd")
    axes.tick_params(length=0)


def as_svg(figure: Any) -> str:
    """The element alone, without the time and the program that made it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return re.sub(r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', r"\1", svg[svg.index("<svg"):], 1)


def table(results: list[Measured], bars: list[Verdict], published: Published,
          cpu: str) -> dict[str, Any]:
    """The numbers of one CPU as the page shows them."""
    systems = [s for s in (STRATA, *PEERS, NATIVE)
               if any((m.system, m.cpu) == (s, cpu) for m in results)]
    rows = []
    for row in ROWS:
        ours = find(results, row.name, STRATA, cpu)
        cells = []
        for system in systems:
            found = find(results, row.name, system, cpu)
            times = (f"{found.median / ours.median:.1f}×" if found and ours and system in PEERS
                     and ours.median and found.median != ours.median else "")
            cells.append({"value": f"{found.median:,}" if found else "", "times": times,
                          "ours": system == STRATA})
        least = least_bar(bars, row, cpu)
        rows.append({"title": row.title.strip(), "detail": row.title.startswith(" "),
                     "cells": cells, "published": published.cells(row.name),
                     "bar": f"≤ {least.limit:.0f}" if least else "",
                     "reason": least.reason if least else "",
                     "missed": least is not None and not least.passed})
    return {"systems": systems, "rows": rows, "published": list(published.columns)}


def render(results: list[Measured], bars: list[Verdict], published: Published,
           values: dict[str, Any]) -> str:
    """The page; `values` is what bench.json holds."""
    try:
        import matplotlib
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise UserError(f"{error.name} is missing: `make doctor` says how to get it") from None
    # Text stays text, in the reader's font; ids do not differ from run to run.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "strata",
                                "font.family": "sans-serif", "font.size": 10})
    cpus = list(dict.fromkeys(m.cpu for m in results))
    pages = []
    for cpu in cpus:
        floor = find(results, FLOOR, NATIVE, cpu)
        hypercall = find(results, "hypercall", STRATA, cpu)
        costs = values["breakdown"].get(cpu, {})
        pages.append({
            "cpu": cpu, "chart": bar_chart(results, bars, cpu),
            "table": table(results, bars, published, cpu),
            "breakdown": breakdown_chart(costs, floor.median if floor else None,
                                         hypercall.median if hypercall else None)
            if costs else ""})
    groups = [{"name": GROUPS[name], "cost": next(iter(values["breakdown"].values()))[name],
               "reason": REASONS[name]} for name in GROUPS] if values["breakdown"] else []
    scaling = [scaling_chart(chart["series"], chart["over"]) for chart in values["scaling"]]
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(TEMPLATE).render(
        pages=pages, groups=groups, scaling=scaling, has_peers=any(m.system in PEERS
                                                                   for m in results),
        bars=bars, **{key: values[key] for key in ("versions", "missing", "passed")})
