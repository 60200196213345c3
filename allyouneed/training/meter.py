"""Sums over the steps since the last line of the log: mean losses, and tokens per second."""

import time
from typing import Any

import torch
from torch import Tensor

from allyouneed.training.distributed import World


class Meter:
    """Adds up tensors without looking at them, so that an accelerator is not made to wait at each step."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.weight, self.tokens, self.since = 0.0, 0, time.monotonic()

    def add(self, sums: dict[str, Tensor], weight: int, tokens: int) -> None:
        for name, value in sums.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.weight += weight
        self.tokens += tokens

    def pause(self, seconds: float) -> None:
        """Leaves out time that was not training's."""
        self.since += seconds

    def state(self, world: World) -> dict[str, Any]:
        """Plain numbers of all ranks together; all must ask."""
        sums = {name: world.share(float(value)) for name, value in self.sums.items()}
        weight = world.share(float(self.weight))
        return {"sums": sums, "weight": weight, "tokens": self.tokens, "seconds": time.monotonic() - self.since}

    def load_state(self, state: dict[str, Any], world: World) -> None:
        """Goes on from there: the first rank holds the sums, the others zeros."""
        mine = float(world.first)
        self.sums = {name: torch.tensor(value * mine, device=world.device) for name, value in state["sums"].items()}
        self.weight, self.tokens = state["weight"] * mine, state["tokens"]
        self.since = time.monotonic() - state["seconds"]

    def read(self, world: World) -> dict[str, float]:
        """Means over all ranks (tokens are counted for all of them already), and a new beginning."""
        weight = max(world.share(self.weight), 1.0)
        means = {name: world.share(float(value)) / weight for name, value in self.sums.items()}
        means["tokens_per_second"] = self.tokens / max(time.monotonic() - self.since, 1e-9)
        self.restart()
        return means
