"""Charts as inline SVG, drawn by small functions that know nothing of evaluations.

Colours come from the page's style sheet (classes s0, s1, …), so that a chart follows light and dark; series differ in
shape too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 40
ROW = 22


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Point:
    """A value with what a hover says about it."""

    x: float
    y: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A mean with its interval, in a labelled row; series 0, 1, … of one label lie below each other."""

    label: str
    series: int
    mean: float
    low: float
    high: float
    title: str = ""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between two values, at most about so many more than asked."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def scatter(
    series: Sequence[Sequence[Point]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    lines: Sequence[tuple[float, str, str]] = (),
    diagonal: bool = False,
    joined: bool = False,
    x_ticks: bool = True,
    links: bool = False,
    columns: Sequence[tuple[float, float, float]] = (),
) -> str:
    """Points in a frame.

    Args:
        series: points of each.
        title: for those who do not see it.
        x_label: of the axis below.
        y_label: of the axis at the left.
        x_range: shown.
        y_range: shown.
        lines: horizontal ones: value, CSS class, text at the right end.
        diagonal: draw y = x.
        joined: a line through each series.
        x_ticks: whether numbers stand on the x axis.
        links: join the points of equal rank of all series, for pairs.
        columns: faint bars from the bottom: from x, to x, height as a share of the frame.
    """
    x, y = Scale(*x_range, LEFT, WIDTH - RIGHT), Scale(*y_range, HEIGHT - BOTTOM, TOP)
    body = [_axes(x, y, x_label, y_label, x_ticks)]
    for start, end, share in columns:
        height = share * (HEIGHT - BOTTOM - TOP)
        body.append(_rect(x(start) + 1, HEIGHT - BOTTOM - height, x(end) - x(start) - 2, height, "column"))
    if diagonal:
        low, high = max(x_range[0], y_range[0]), min(x_range[1], y_range[1])
        body.append(_line(x(low), y(low), x(high), y(high), "guide"))
    for value, style, text in lines:
        body.append(_line(LEFT, y(value), WIDTH - RIGHT, y(value), style))
        if text:
            body.append(_text(WIDTH - RIGHT - 2, y(value) - 4, text, "end"))
    if links and len(series) > 1:
        for group in zip(*series, strict=True):
            heights = [y(point.y) for point in group]
            body.append(_line(x(group[0].x), min(heights), x(group[0].x), max(heights), "link"))
    for number, points in enumerate(series):
        if joined and points:
            path = " ".join(f"{x(point.x):.1f},{y(point.y):.1f}" for point in points)
            body.append(f'<polyline class="curve s{number}" points="{path}"/>')
        body += [mark(number, x(point.x), y(point.y), point.title) for point in points]
    return _svg(WIDTH, HEIGHT, title, body)


def intervals(
    bars: Sequence[Bar], *, title: str, x_label: str, x_range: tuple[float, float], zero: bool = False
) -> str:
    """Means with intervals, a row for each label.

    Args:
        bars: in the order of the rows.
        title: for those who do not see it.
        x_label: of the axis.
        x_range: shown.
        zero: draw a line at 0.
    """
    rows: list[tuple[str, list[Bar]]] = []
    for bar in bars:
        if not rows or rows[-1][0] != bar.label:
            rows.append((bar.label, []))
        rows[-1][1].append(bar)
    left = min(170, max(130, 24 + 6.2 * max(len(label) for label, _ in rows)))
    height = TOP + BOTTOM + sum(ROW * max(1.0, 0.75 * len(group)) for _, group in rows)
    x = Scale(*x_range, left, WIDTH - RIGHT)
    floor = height - BOTTOM
    body = []
    for value in ticks(*x_range, 4):
        body.append(_line(x(value), TOP, x(value), floor, "grid"))
        body.append(_text(x(value), floor + 15, tick_text(value), "middle"))
    body.append(_text((left + WIDTH - RIGHT) / 2, height - 6, x_label, "middle"))
    if zero:
        body.append(_line(x(0), TOP, x(0), floor, "guide"))
    top = float(TOP)
    for label, group in rows:
        tall = ROW * max(1.0, 0.75 * len(group))
        body.append(_text(left - 8, top + tall / 2 + 4, label, "end"))
        for place, bar in enumerate(group):
            middle = top + tall * (place + 0.5) / len(group)
            body.append(_line(x(bar.low), middle, x(bar.high), middle, f"whisker s{bar.series}"))
            body.append(mark(bar.series, x(bar.mean), middle, bar.title, size=4.5))
        top += tall
    return _svg(WIDTH, height, title, body)


def mark(series: int, x: float, y: float, title: str = "", size: float = 3.4) -> str:
    """A series' symbol: circle, diamond, square, triangle."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    style = f'class="mark s{series}"'
    if series % 4 == 0:
        return f'<circle {style} cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}">{inside}</circle>'
    corners = {
        1: ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        2: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        3: ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    }[series % 4]
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
    return f'<polygon {style} points="{points}">{inside}</polygon>'


def tick_text(value: float) -> str:
    """A number on an axis; thousands as k."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k".replace("-", "−")
    return f"{value:g}".replace("-", "−")


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """A range that holds all values with a little room on both sides."""
    low, high = min(values), max(values)
    room = (high - low or abs(high) or 1.0) * share
    return low - room, high + room


def _axes(x: Scale, y: Scale, x_label: str, y_label: str, x_ticks: bool) -> str:
    parts = []
    for value in ticks(y.low, y.high):
        parts.append(_line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid"))
        parts.append(_text(LEFT - 6, y(value) + 4, tick_text(value), "end"))
    for value in ticks(x.low, x.high) if x_ticks else ():
        parts.append(_line(x(value), HEIGHT - BOTTOM, x(value), HEIGHT - BOTTOM + 4, "axis"))
        parts.append(_text(x(value), HEIGHT - BOTTOM + 16, tick_text(value), "middle"))
    parts.append(_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text transform="translate(9 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, title: str, body: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{"".join(body)}</svg>'
