"""`Trace.plot`: pictures of a trace for a paper, a page or a slide. They are drawn here, without a browser."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.tracing.figures import learning_curves, stacked
from allyouneed.tracing.paper import FORMATS, paper, write
from allyouneed.tracing.plot_heads import attention, heads, lines
from allyouneed.tracing.plot_image import image, rolled
from allyouneed.tracing.plot_search import beam
from allyouneed.tracing.plot_series import halting, positions
from allyouneed.tracing.sheet import Sheet
from allyouneed.tracing.trace import Trace
from allyouneed.tracing.view import Wanted

KINDS: dict[str, Callable[[Trace, Wanted], Sheet]] = {
    "attention": attention, "heads": heads, "lines": lines, "positions": positions, "beam": beam, "halting": halting,
    "image": image, "rollout": rolled,
}  # fmt: skip
"""What can be drawn of a trace."""


def plot(
    trace: Trace,
    what: str,
    wanted: Wanted,
    output: str | Path | None = None,
    width: float | None = None,
    scale: float = 3,
) -> str:
    """The picture as SVG; written to `output` too, if given."""
    if what == "curves":
        raise UserError("a trace holds no learning curves; `allyouneed picture RUN --what curves` draws those of a run")
    if what not in KINDS:
        raise UserError(f"there is no picture {what!r}; there are {', '.join([*KINDS, 'curves'])}")
    return finished(KINDS[what](trace, wanted), output, width, scale)


def curves(
    metrics: Sequence[Mapping[str, Any]], title: str = "", output: str | Path | None = None, width: float | None = None,
    scale: float = 3,
) -> str:  # fmt: skip
    """The learning curves of a run, from the lines of its `metrics.jsonl`."""
    drawn = learning_curves(metrics)
    if not drawn:
        raise UserError("there are no figures of a training to draw: metrics.jsonl is empty or was not found")
    return finished(Sheet("Learning curves", title, [stacked(list(drawn.values()))]), output, width, scale)


def finished(sheet: Sheet, output: str | Path | None, width: float | None, scale: float) -> str:
    """On paper, and in a file if there is to be one; a wrong name is refused before anything is drawn."""
    if width is not None and not 10 <= width <= 2000:
        raise UserError(f"a width of {width:g} mm is not between 10 and 2000")
    if output is not None and Path(output).suffix.lower() not in FORMATS:
        write("", output)
    svg = paper(*sheet[:3], width, sheet.note)
    if output is not None:
        write(svg, output, scale)
    return svg
