"""Line charts as SVG: axes with round numbers, lines that differ in more than colour, exact values on hover."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from allyouneed.tracing.svg import element, figure, text, title

WIDTH, HEIGHT = 500.0, 270.0
LEFT, TOP, BOTTOM = 72.0, 44.0, 40.0
COLOURS = {"blue": "#0072b2", "orange": "#d55e00", "green": "#009e73", "purple": "#b0538b"}
MOST_POINTS = 400


class Line(NamedTuple):
    """One series. `dots` draws each value as a point (few values), otherwise a line alone (many)."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str = "blue"
    dots: bool = False
    dashed: bool = False
    joined: bool = True


class Frame(NamedTuple):
    """From values to places on the paper."""

    x: tuple[float, float]
    y: tuple[float, float]
    right: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - self.right), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, in steps of 1, 2, 2.5 or 5 times a power of ten."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _span(values: Sequence[float], zero: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high > low else (min(low, 0.0), max(high, 0.0) or 1.0)


def short(value: float) -> str:
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value / 1e6:,.4g}M"


def chart(
    heading: str,
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    right: Callable[[float], str] | None = None,
    zero: bool = False,
) -> str:
    """A line chart; `right` writes the second scale beside each tick of the first. Values not finite are left out."""
    lines = [line._replace(points=_thin([p for p in line.points if all(map(math.isfinite, p))])) for line in lines]
    lines = [line for line in lines if line.points]
    label = f"{heading}: {', '.join(line.name for line in lines) or 'nothing recorded yet'}, over {x_name}"
    head = text(heading, x=0, y=14, class_="heading", font_size=14, font_weight=600, fill="currentColor")
    if not lines:
        empty = text("no figures yet", x=WIDTH / 2, y=HEIGHT / 2, text_anchor="middle", fill="currentColor")
        return figure(WIDTH, HEIGHT, label, head, empty, class_="figure chart")
    across = _span([x for line in lines for x, _ in line.points], True)
    up = ticks(*_span([y for line in lines for _, y in line.points], zero))
    frame = Frame(across, (up[0], up[-1]), 52.0 if right else 14.0)
    drawn = [_grid(frame, up, right), _names(x_name, y_name), _legend(lines), *(_series(frame, line) for line in lines)]
    return figure(WIDTH, HEIGHT, label, head, *drawn, class_="figure chart")


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    every = -(-len(points) // MOST_POINTS) or 1
    return [p for i, p in enumerate(points) if (len(points) - 1 - i) % every == 0]


def _grid(frame: Frame, up: list[float], right: Callable[[float], str] | None) -> str:
    end = WIDTH - frame.right
    parts = []
    for value in up:
        _, y = frame.at(frame.x[0], value)
        parts.append(element("line", x1=LEFT, x2=end, y1=y, y2=y, stroke="currentColor", stroke_opacity="0.14"))
        parts.append(text(short(value), x=LEFT - 8, y=y + 4, text_anchor="end"))
        if right:
            parts.append(text(right(value), x=end + 8, y=y + 4))
    for value in ticks(*frame.x):
        if frame.x[0] <= value <= frame.x[1]:
            x, _ = frame.at(value, up[0])
            parts.append(text(short(value), x=x, y=HEIGHT - BOTTOM + 18, text_anchor="middle"))
    return element("g", *parts, font_size=11, fill="currentColor", class_="axis")


def _names(x_name: str, y_name: str) -> str:
    return element(
        "g",
        text(x_name, x=WIDTH / 2, y=HEIGHT - 4, text_anchor="middle"),
        text(y_name, x=-(HEIGHT - BOTTOM + TOP) / 2, y=10, text_anchor="middle", transform="rotate(-90)"),
        font_size=11, fill="currentColor", class_="axis",
    )  # fmt: skip


def _legend(lines: Sequence[Line]) -> str:
    """Names the lines; a single one is named by the axis already."""
    parts, at = [], LEFT
    for line in lines if len(lines) > 1 else ():
        look = dict(stroke=COLOURS[line.colour], class_=f"line {line.colour}", stroke_width=2)
        if line.joined:
            dash = "4 3" if line.dashed else None
            parts.append(element("line", x1=at, x2=at + 20, y1=29, y2=29, stroke_dasharray=dash, **look))
        if line.dots:
            parts.append(_dot(at + 10, 29, line))
        parts.append(text(line.name, x=at + 26, y=33, fill="currentColor"))
        at += 44 + 6.1 * len(line.name)
    return element("g", *parts, font_size=11)


def _series(frame: Frame, line: Line) -> str:
    places = [frame.at(*point) for point in line.points]
    parts = []
    if line.joined and len(places) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            element("polyline", points=path, fill="none", stroke=COLOURS[line.colour], stroke_width=2,
                    stroke_dasharray="4 3" if line.dashed else None, stroke_linejoin="round",
                    class_=f"line {line.colour}")
        )  # fmt: skip
    for (x, y), (x_value, y_value) in zip(places, line.points, strict=True):
        says = title(f"{line.name}: {y_value:.6g} at {x_value:,g}")
        if line.dots or len(places) == 1:
            parts.append(_dot(x, y, line, says))
        else:  # a place for the pointer only
            parts.append(element("circle", says, cx=x, cy=y, r=6, fill="transparent"))
    return element("g", *parts)


def _dot(x: float, y: float, line: Line, says: str = "") -> str:
    filled = line.joined
    return element(
        "circle", says, cx=x, cy=y, r=3.5, stroke=COLOURS[line.colour], stroke_width=1.8,
        fill=COLOURS[line.colour] if filled else "none", class_=f"{'dot' if filled else 'line'} {line.colour}",
    )  # fmt: skip
