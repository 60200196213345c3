"""What tests of the explorer's screens share: opening a trace's page at a state, and reading colours and tables off it."""

from collections.abc import Callable
from typing import Any

from allyouneed.tracing.trace import Trace

Open = Callable[..., Any]
BRIGHTEST, DARKEST = (254, 232, 56), (0, 34, 78)  # the ends of cividis
STRIPES = (138, 145, 156), (201, 205, 211)
PIXEL = """([id, x, y]) => { const c = document.getElementById(id), p = c.getContext('2d');
  return [...p.getImageData(Math.floor(x * c.width), Math.floor(y * c.height), 1, 1).data].slice(0, 3); }"""


def show(browser_page: Open, trace: Trace, state: str, **more: Any) -> Any:
    return browser_page(trace.html(), hash=state, **more)


def go(page: Any, state: str) -> None:
    page.evaluate("state => { location.hash = state; }", state)
    page.wait_for_timeout(60)


def cell(page: Any, number: int, rows: int = 3, columns: int = 5) -> tuple[int, ...]:
    """The colour of a cell of the grid, a little off its middle."""
    y, x = divmod(number, columns)
    return tuple(page.evaluate(PIXEL, ["s-grid", (x + 0.4) / columns, (y + 0.6) / rows]))


def near(one: tuple[int, ...], other: tuple[int, ...], by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def table(page: Any) -> list[list[str]]:
    page.evaluate("document.querySelector('#screen details.twin').open = true")
    page.wait_for_selector("#screen details.twin tbody tr", state="attached")
    rows: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#screen details.twin tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    return rows[1:]
