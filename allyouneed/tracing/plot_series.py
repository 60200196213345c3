"""Pictures of what goes along a text: when each token halted, and the codes of positions."""

import math

import numpy as np
import torch

from allyouneed.errors import UserError
from allyouneed.tracing.figures import depends_on_distance, position_products, position_table
from allyouneed.tracing.labels import label
from allyouneed.tracing.labels import width as width_of
from allyouneed.tracing.manifest import Halting, Space
from allyouneed.tracing.maps import MASKED, field
from allyouneed.tracing.sheet import Sheet, capital, legend
from allyouneed.tracing.svg import CIVIDIS, colour, element, figure, scale_bar, text, title
from allyouneed.tracing.trace import Trace
from allyouneed.tracing.view import Wanted, fitted, named

CELL, BAR = 22.0, 54.0


def positions(trace: Trace, wanted: Wanted) -> Sheet:
    """The codes that the model adds, and how alike they are: by distance in a text, place by place in an image."""
    if not trace.manifest.positions:
        raise UserError("the model of this trace adds no codes of positions, so there is nothing to draw")
    parts, says = [], []
    for told in trace.manifest.positions:
        codes = torch.from_numpy(trace.arrays[told.codes].astype(np.float32))
        space = trace.manifest.spaces.get(told.space)
        parts.append(position_table(codes, "position" if told.space else "step in depth"))
        size = float(codes.abs().max()) or 1.0
        parts.append(legend(float(f"{size:.3g}"), signed=True))
        if space is not None and space.kind == "grid" and len(codes) == space.size:
            parts += _likeness(codes[space.prefix :].numpy(), space)
            says.append(f"{capital(told.title)}.")
        elif told.space and len(codes) > 2:
            parts.append(position_products(codes))
            same = "depends on their distance alone" if depends_on_distance(codes) else "depends on where they are"
            says.append(f"{capital(told.title)}: how alike two are {same}.")
    return Sheet("Positions", " ".join(says), parts)


def _likeness(codes: np.ndarray, space: Space) -> list[str]:
    """As in figure 7 of the Vision Transformer: for each of some places, how alike its code is to that of all places.

    The scale begins where the codes do: those of neighbours are more alike than any two are unlike.
    """
    length = np.linalg.norm(codes, axis=1, keepdims=True)
    unit = codes / np.where(length > 0, length, 1)
    cosines = unit @ unit.T
    low = min(math.floor(float(cosines.min()) * 10 + 1e-6) / 10, 0.9)
    down, across = (_spread(count) for count in (space.rows, space.columns))
    side = (512.0 - 6 * (len(across) - 1)) / len(across)
    high, parts = side * space.rows / space.columns, []
    for i, y in enumerate(down):
        for j, x in enumerate(across):
            alike = cosines[y * space.columns + x].reshape(space.rows, space.columns)
            says = title(f"likeness to {y + 1},{x + 1}: from {alike.min():.3f} to {alike.max():.3f}")
            drawn = field((alike - low) / (1 - low), np.ones(alike.shape, bool), side, high, 1.0)
            place = f"translate({48 + j * (side + 6):g} {40 + i * (high + 6):g})"
            parts.append(element("g", says, *drawn, class_="likeness", transform=place))
    quiet = dict(font_size=11, fill="currentColor", class_="axis")
    heading = "Likeness (cosine) of one place's code to all"
    parts.append(text(heading, x=0, y=14, font_size=14, font_weight=600, fill="currentColor"))
    parts.append(text("column of the place →", x=48, y=33, **quiet))
    middle = f"translate(40 {40 + len(down) * (high + 6) / 2:g}) rotate(-90)"
    parts.append(text("← row", transform=middle, text_anchor="middle", **quiet))
    return [figure(561.0, 40 + len(down) * (high + 6), heading, *parts), scale_bar(CIVIDIS, f"{low:g}", "1")]


def _spread(count: int, most: int = 7) -> list[int]:
    """Some of so many, from the first to the last."""
    return sorted({round(i * (count - 1) / max(min(count, most) - 1, 1)) for i in range(min(count, most))})


def halting(trace: Trace, wanted: Wanted) -> Sheet:
    """For each token, how sure it was of stopping, step by step, and how many steps it took."""
    if not trace.manifest.halting:
        raise UserError("no token of this trace halted by itself: its model takes the same steps everywhere")
    parts = [_halted(trace, told) for told in trace.manifest.halting]
    bar = legend(1.0, masked=False)
    below = "Colour: probability of halting at that step; hatched: halted before. Above: steps taken."
    return Sheet("Steps per token", below, [*parts, bar], "")


def _halted(trace: Trace, told: Halting) -> str:
    sure, updates, rest = (trace.arrays[name] for name in (told.probabilities, told.updates, told.remainders))
    steps, n = sure.shape
    tokens = fitted(named(trace.manifest.spaces.get(told.space)), n)
    left, top = 44.0, 20 + BAR
    most = max(float(updates.max(initial=0)), 1.0)
    parts = [text(told.title, x=0, y=12, font_size=13, font_weight=600)]
    for j in range(n):
        x, high = left + j * CELL, (BAR - 18) * float(updates[j]) / most
        says = title(f"{tokens[j]}: {updates[j]:g} steps, remainder {rest[j]:.4f}")
        parts.append(
            element("rect", says, x=x + 3, y=top - high, width=CELL - 6, height=high, fill="#8a8f98", class_="bar")
        )
        parts.append(text(f"{updates[j]:g}", x=x + CELL / 2, y=top - high - 3, text_anchor="middle", font_size=9))
        parts += [_step(i, float(sure[i, j]), i < updates[j], x, top + 2 + i * CELL, tokens[j]) for i in range(steps)]
        under = f"translate({x + CELL / 2 + 4:g} {top + steps * CELL + 8:g}) rotate(-90)"
        parts.append(label(tokens[j], transform=under, text_anchor="end", font_size=11))
    for i in range(steps):
        parts.append(text(f"step {i + 1}", x=left - 5, y=top + 6 + (i + 0.5) * CELL, text_anchor="end", font_size=10))
    height = top + steps * CELL + 12 + width_of(tokens)
    width = max(left + n * CELL, 7.6 * len(told.title))
    return figure(width, height, told.title, element("g", *parts, fill="currentColor"))


def _step(step: int, sure: float, running: bool, x: float, y: float, token: str) -> str:
    says = f"{token}, step {step + 1}: " + (f"{sure:.4f}" if running else "halted before")
    fill = colour(sure) if running else MASKED
    kind = "running" if running else "masked"
    return element("rect", title(says), x=x, y=y, width=CELL - 1, height=CELL - 1, fill=fill, class_=kind)
