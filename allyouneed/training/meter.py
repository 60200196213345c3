"""Sums over the steps since the last line of the log: mean losses, and tokens per second."""

import time

from torch import Tensor

from allyouneed.training.distributed import World


class Meter:
    """Adds up tensors without looking at them, so that an accelerator is not made to wait at each step."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.weight, self.tokens, self.since = 0, 0, time.monotonic()

    def add(self, sums: dict[str, Tensor], weight: int, tokens: int) -> None:
        for name, value in sums.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.weight += weight
        self.tokens += tokens

    def read(self, world: World) -> dict[str, float]:
        """Means over all ranks (tokens are counted for all of them already), and a new beginning."""
        weight = max(world.share(float(self.weight)), 1.0)
        means = {name: world.share(float(value)) / weight for name, value in self.sums.items()}
        means["tokens_per_second"] = self.tokens / max(time.monotonic() - self.since, 1e-9)
        self.restart()
        return means
