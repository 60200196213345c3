"""What a person sees of a run in training: a bar with loss, speed and time left; plain lines without a terminal."""

import sys
import time
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Reporter(Protocol):
    def progress(self, fraction: float, seconds_left: float | None, figures: dict[str, float]) -> None: ...

    def say(self, line: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    def progress(self, fraction: float, seconds_left: float | None, figures: dict[str, float]) -> None: ...

    def say(self, line: str) -> None: ...

    def close(self) -> None: ...


def clock(seconds: float | None) -> str:
    """h:mm:ss."""
    if seconds is None:
        return "?"
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


class Bar:
    """On a terminal a bar that is redrawn; elsewhere a line every `every` seconds."""

    def __init__(self, title: str, every: float = 15.0):
        self.console = Console(stderr=True)
        self.every, self.last, self.begun = every, 0.0, time.monotonic()
        self.bar: Progress | None = None
        self.title = title
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
                       TextColumn("{task.fields[figures]}"), TimeElapsedColumn())  # fmt: skip
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task(title, total=1.0, figures="")
            self.bar.start()

    def progress(self, fraction: float, seconds_left: float | None, figures: dict[str, float]) -> None:
        if seconds_left is None and fraction > 0:
            seconds_left = (time.monotonic() - self.begun) * (1 - fraction) / fraction
        text = f"{describe(figures)}  left {clock(seconds_left)}".strip()
        if self.bar:
            self.bar.update(self.task, completed=fraction, figures=text)
        elif (now := time.monotonic()) - self.last >= self.every:
            self.last = now
            print(f"{self.title} {fraction:4.0%}  {text}", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        if self.bar:
            self.bar.stop()


def describe(figures: dict[str, Any]) -> str:
    """`loss 3.21  12,345 tokens/s` from the figures of a step."""
    parts = [f"step {figures['step']:,.0f}"] if "step" in figures else []
    parts += [f"loss {figures['loss']:.3f}"] if "loss" in figures else []
    parts += [f"{figures['tokens_per_second']:,.0f} tokens/s"] if "tokens_per_second" in figures else []
    return "  ".join(parts)
