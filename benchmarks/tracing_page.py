"""How long the explorer takes to show its first picture, in headless Chromium, by the size of the model."""

import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Size(NamedTuple):
    """Layers and heads of a decoder, and how much it reads."""

    layers: int
    heads: int
    tokens: int


SIZES = {"6x8x64": Size(6, 8, 64), "12x12x512": Size(12, 12, 512), "2x4x4096": Size(2, 4, 4096)}


def recorded(size: Size) -> Any:
    """A trace of a model with random weights, heads of width 64."""
    import torch

    from allyouneed.models.gpt import GPTConfig, gpt
    from allyouneed.tracing.record import record

    torch.manual_seed(1)
    dim = 64 * size.heads
    numbers: dict[str, Any] = dict(vocab_size=1000, dim=dim, heads=size.heads, ffn_dim=dim, depth=size.layers)
    model = gpt(GPTConfig(positions_length=size.tokens, dropout=0.0, **numbers)).eval()
    with torch.inference_mode(), record(model) as seen:
        model(torch.randint(4, 1000, (1, size.tokens)))
    return seen.trace()


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium, or None where there is none."""
    from playwright.sync_api import sync_playwright

    program = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if program is None:
        yield None
        return
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def opening(turns: int) -> dict[str, Any]:
    """Median milliseconds from the address to the first picture, by the page's own clock and by ours; bytes of the page."""
    found: dict[str, Any] = {}
    with browser() as opened, TemporaryDirectory() as folder:
        if opened is None:
            return {"skipped": "there is no Chromium on this machine"}
        for name, size in SIZES.items():
            begun = time.perf_counter()
            text = recorded(size).html()
            made = time.perf_counter() - begun
            path = Path(folder) / f"{name}.html"
            path.write_text(text, encoding="utf-8")
            times = [_open(opened, path) for _ in range(turns)]
            own, wall = (statistics.median(column) for column in zip(*times, strict=True))
            found[name] = {"bytes": path.stat().st_size, "ready_ms": own, "wall_ms": wall, "made_seconds": made}
    return found


def _open(browser: Any, path: Path) -> tuple[float, float]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    begun = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
    wall = 1000 * (time.perf_counter() - begun)
    own = float(page.evaluate("document.documentElement.dataset.ready"))
    page.close()
    return own, wall
