"""Reading a drawn matrix: the colour of a cell, and where it lies in the window."""

from typing import Any

CELL = """(id, i, j) => { const c = document.getElementById(id), d = c.dataset, wide = parseFloat(c.style.aspectRatio);
  return [c, wide, +d.left + (j + .5) * d.cell, +d.top + (i + .5) * d.cell]; }"""


def cividis(share: float) -> tuple[int, ...]:
    """The ramp by matplotlib, not by our own table."""
    import matplotlib

    return tuple(round(255 * value) for value in matplotlib.colormaps["cividis"](float(share))[:3])


def colour(view: Any, query: int, key: int, id: str = "matrix") -> tuple[int, ...]:
    """What stands in the middle of a cell of the matrix."""
    script = f"""(cell) => {{ const [c, wide, x, y] = ({CELL})(...cell), r = c.width / wide;
      return [...c.getContext("2d").getImageData(x * r, y * r, 1, 1).data].slice(0, 3); }}"""
    return tuple(view.evaluate(script, [id, query, key]))


def close(one: tuple[int, ...], two: tuple[int, ...], by: int = 4) -> bool:
    return max(abs(a - b) for a, b in zip(one, two)) <= by


def at_cell(view: Any, query: int, key: int, id: str = "matrix") -> tuple[float, float]:
    """Where a cell lies in the window."""
    view.locator(f"#{id}").scroll_into_view_if_needed()
    script = f"""(cell) => {{ const [c, wide, x, y] = ({CELL})(...cell), b = c.getBoundingClientRect(), s = b.width / wide;
      return [b.left + x * s, b.top + y * s]; }}"""
    x, y = view.evaluate(script, [id, query, key])
    return x, y


def state(view: Any) -> dict[str, str]:
    return dict(view.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"))
