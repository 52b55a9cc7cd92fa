# SPDX-License-Identifier: MIT
"""A part of a timeline as one picture without scripts, for a text."""

from __future__ import annotations

import html

from bench.timeline import NOBODY, Interrupt, Span, Timeline

WIDTH, LEFT, TOP = 860, 78, 26
VMS = ("#4c78a8", "#59a14f", "#b279a2", "#9d755d")
COLOURS = {"exit": "#e4572e", "idle": "#eceff2", "waits": "#f2b134", "sleeps": "#dfe5ea"}
STAGES = (("line is up", "#f7cfc6"), ("in a list register", "#ee9580"), ("handled", "#b8321a"))
DARK = ("exit", "guest", "runs")
LEAST_LABEL = 40  # pixels of a span that has room for a word


def _rectangle(x: float, y: int, width: float, height: int, colour: str, title: str) -> str:
    return (f'<rect x="{x:.1f}" y="{y}" width="{max(width, 0.6):.1f}" height="{height}" '
            f'fill="{colour}"><title>{html.escape(title)}</title></rect>')


def _text(x: float, y: int, text: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {extra}>{html.escape(text)}</text>'


class Picture:
    """Lanes of a timeline between two times."""

    def __init__(self, timeline: Timeline, start: int, end: int) -> None:
        self.timeline, self.start, self.end = timeline, start, end
        self.scale = (WIDTH - LEFT - 8) / (end - start)
        self.parts: list[str] = []
        self.y = TOP

    def _place(self, start: int, end: int) -> tuple[float, float]:
        begin, stop = max(start, self.start), min(end, self.end)
        return LEFT + (begin - self.start) * self.scale, (stop - begin) * self.scale

    def _lane(self, name: str, spans: list[Span], height: int) -> None:
        self.parts.append(_text(LEFT - 8, self.y + height // 2 + 4, name, 'text-anchor="end"'))
        for span in spans:
            if span.end < self.start or span.start > self.end or span.kind == "off":
                continue
            x, width = self._place(span.start, span.end)
            colour = COLOURS.get(span.kind) or VMS[(span.who >> 8) % len(VMS)]
            self.parts.append(_rectangle(x, self.y, width, height, colour,
                                         f"{span.label}, {span.length:,} ns"))
            if width > LEAST_LABEL:
                ink = "#fff" if span.kind in DARK else "#44505c"
                shown = span.label[:int(width / 6.2)]
                self.parts.append(_text(x + 4, self.y + height // 2 + 4, shown, f'fill="{ink}"'))
        self.y += height + 3

    def _interrupts(self, interrupts: list[Interrupt]) -> None:
        for one in interrupts:
            end = one.end(self.timeline.end)
            taken = one.acknowledged or end
            stops = (one.raised, one.listed or taken, taken, end)
            for (what, colour), start, stop in zip(STAGES, stops, stops[1:]):
                if stop > start and stop >= self.start and start <= self.end:
                    x, width = self._place(start, stop)
                    self.parts.append(_rectangle(x, self.y - 1, width, 7, colour,
                                                 f"INTID {one.intid}: {what}, {stop - start:,} ns"))
        self.y += 12

    def _step(self) -> int:
        """The distance of the axis' marks: four to ten of them, at round times."""
        steps = (digit * 10 ** power for power in range(12) for digit in (1, 2, 5))
        return next(step for step in steps if step >= (self.end - self.start) / 10)

    def _tick(self, at: int) -> str:
        x = LEFT + at * self.scale
        shown = f"{at / 1_000_000:g} ms" if self._step() >= 1_000_000 else f"{at / 1000:g} µs"
        return (f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{self.y}" stroke="#dfe5ea"/>'
                + (_text(x + 3, 14, shown) if x + LEAST_LABEL < WIDTH else ""))

    def draw(self) -> str:
        """The picture, as SVG."""
        for cpu, spans in sorted(self.timeline.cpus.items()):
            self._lane(f"CPU {cpu}", spans, 22)
        self.y += 8
        for who, spans in sorted(self.timeline.vcpus.items()):
            inside = [span for span in spans if span.end >= self.start and span.start <= self.end]
            if who == NOBODY or all(span.kind == "off" for span in inside):
                continue
            self._lane(self.timeline.name(who), inside, 15)
            self._interrupts([one for one in self.timeline.interrupts if one.who == who])
        axis = "".join(self._tick(at) for at in range(0, self.end - self.start, self._step()))
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y + 4}" '
                f'font-family="system-ui, sans-serif" font-size="11" fill="#1d2733">'
                f'<rect width="{WIDTH}" height="{self.y + 4}" fill="#fff"/>'
                f'{axis}{"".join(self.parts)}</svg>\n')
