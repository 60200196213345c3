"""Recurrence in depth: one block applied step after step, a fixed number of times or until each position halts.

A position and the number of the step enter anew at every step, as codes that are added ("coordinates"). Halting is
adaptive computation time (Graves 2016, https://arxiv.org/abs/1603.08983) for each position by itself, in the two forms
that are in circulation. It saves no time by itself: a halted position is computed along until all have halted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.shown import Halted


class Coordinates(nn.Module):
    """x + code of the position + code of the step (Dehghani et al. 2019, section 2.1).

    `random_start` lets the positions of a training pass begin anywhere below it, so that the codes of longer texts than
    are trained on have been seen.
    """

    def __init__(self, positions: nn.Module, steps: nn.Module, random_start: int = 0):
        super().__init__()
        self.positions = positions
        self.steps = steps
        self.random_start = random_start

    def start(self) -> int:
        """Where the positions of one pass begin."""
        return int(torch.randint(self.random_start, ())) if self.training and self.random_start else 0

    def forward(self, x: Tensor, step: int, start: int = 0) -> Tensor:  # b n d -> b n d
        if start:
            codes = self.positions.codes(start + x.shape[1])[start:]  # type: ignore[operator]
            return self.steps.at(x + codes.to(x.dtype), step)  # type: ignore[operator]
        return self.steps.at(self.positions(x), step)  # type: ignore[operator]

    def at(self, x: Tensor, position: int, step: int) -> Tensor:  # r 1 d -> r 1 d
        return self.steps.at(self.positions.at(x, position), step)  # type: ignore[operator]


class DepthCache(NamedTuple):
    """What a recurrence in depth keeps of the past."""

    taken: Tensor  # r t: the steps that each position took; their number is the next position
    turns: tuple[Any, ...]  # the block's cache of each step


class InDepth(Layer):
    """The block, its coordinates and the number of steps, or the most; `last` is the norm that ends a pre-norm stack."""

    def __init__(self, block: Layer, coordinates: Coordinates, steps: int, last: nn.Module):
        super().__init__()
        self.block = block
        self.coordinates = coordinates
        self.steps = steps
        self.last = last

    def init_cache(self, x: Tensor, context: Context) -> DepthCache:
        """All steps begin with the same cache: what lies in it from the start, the source's keys, has the same weights."""
        first = self.block.init_cache(x, context)
        return DepthCache(x.new_zeros(x.shape[:2], dtype=torch.long), (first,) * self.steps)

    def timing(self) -> Tensor | None:  # t d
        """The codes of the steps, for who looks from outside; None where a step does not know its number."""
        codes = getattr(self.coordinates.steps, "codes", None)
        return None if codes is None else codes(self.steps)


class FixedDepth(InDepth):
    """The block `steps` times."""

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        start = self.coordinates.start()
        for step in range(self.steps):
            x = self.block(self.coordinates(x, step, start), context)
        return self.last(x)

    def step(self, x: Tensor, cache: DepthCache, context: Context) -> tuple[Tensor, DepthCache]:
        turns, position = [], cache.taken.shape[1]
        for step, past in enumerate(cache.turns):
            x, past = self.block.step(self.coordinates.at(x, position, step), past, context)
            turns.append(past)
        taken = torch.full(x.shape[:2], self.steps, dtype=torch.long, device=x.device)
        return self.last(x), DepthCache(torch.cat([cache.taken, taken], dim=1), tuple(turns))


class Ledger(NamedTuple):
    """The books of adaptive computation time, one line per position."""

    spent: Tensor  # b n: halting probability used up, at most 1
    remainder: Tensor  # b n: what was left at the step that halted, R; it has a gradient
    steps: Tensor  # b n: steps taken, N; it has none
    running: Tensor  # b n: not halted yet

    @classmethod
    def opened(cls, running: Tensor, like: Tensor) -> "Ledger":
        nothing = like.new_zeros(running.shape)
        return cls(nothing, nothing, torch.zeros_like(running, dtype=torch.long), running)

    def turn(self, p: Tensor, threshold: float) -> tuple[Tensor, "Ledger"]:  # b n -> b n and the next line
        """The weight of a step whose halting probability is `p`: p, the remainder where it halts, zero afterwards."""
        left = 1 - self.spent
        halts = self.running & (self.spent + p > threshold)
        goes_on = self.running & ~halts
        rest = torch.where(halts, left, 0.0)
        weight = torch.where(goes_on, p, rest)
        return weight, Ledger(self.spent + weight, self.remainder + rest, self.steps + self.running, goes_on)


def basic(out: Tensor, state: Tensor, weight: Tensor) -> Tensor:
    """The update of the published pseudo-code. The trap: later steps fade the earlier ones, so that weights .5, .3, .2
    act as .28, .24, .20, which do not add up to one."""
    return out * (1 - weight) + state * weight


def accumulated(out: Tensor, state: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum of Graves 2016, equation 6."""
    return out + state * weight


UPDATES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"basic": basic, "accumulated": accumulated}


class Halting(NamedTuple):
    """The numbers of adaptive computation time."""

    update: str = "basic"
    epsilon: float = 0.01  # a position halts when it has spent more than 1 - epsilon
    freeze: bool = False
    """Whether a halted position stays as it is for the others to see, as the paper's text says, or is still worked on,
    as its code does."""


class Steps(nn.Module):
    """Gives back the steps that each position took: weightless, there for who wants to look, by a forward hook."""

    def forward(self, steps: Tensor) -> Tensor:  # b n -> b n
        return steps


class Thought(NamedTuple):
    """What came out of it and what it took."""

    x: Tensor  # b n d
    ponder: Tensor  # b n: N + R, which Graves adds to the loss (equation 12)


class _Now(NamedTuple):
    state: Tensor  # b n d
    out: Tensor  # b n d: what the halted steps weigh up to
    ledger: Ledger


def may_stop() -> bool:
    """Whether steps that no position takes may be left out. The result is the same: what has halted has weight zero.

    A compiled graph goes all the way, and so do several processes: sharded weights are gathered by all at once.
    """
    alone = not (distributed.is_available() and distributed.is_initialized())
    return alone and not torch.compiler.is_compiling()


class AdaptiveDepth(InDepth):
    """The block until each position halts, `steps` times at the most.

    Before each step a position gives a probability of halting; the output weighs the states after the steps by them.
    Traps: a position that is stopped by the limit never gets its remainder, so its weights add up to less than one; and
    a start that halts soon (p = .73 by the bias of 1) teaches most positions to take two steps.
    """

    def __init__(self, block: Layer, coordinates: Coordinates, steps: int, last: nn.Module, dim: int, halting: Halting):
        super().__init__(block, coordinates, steps, last)
        self.halt = nn.Linear(dim, 1)
        self.halting = halting
        self.taken = Steps()

    def probability(self, x: Tensor) -> Tensor:  # b n d -> b n
        """A product and a sum, not a matrix product: autocast would add up probabilities of eight bits."""
        return torch.sigmoid((x * self.halt.weight[0]).sum(-1) + self.halt.bias)

    def _begin(self, x: Tensor, context: Context) -> _Now:
        real = torch.ones_like(x[..., 0], dtype=torch.bool) if context.mask is None else context.mask[:, 0].any(1)
        return _Now(x, torch.zeros_like(x), Ledger.opened(real.expand(x.shape[:2]), x))

    def think(self, x: Tensor, context: Context) -> Thought:
        now, start = self._begin(x, context), self.coordinates.start()
        for step in range(self.steps):
            if may_stop() and not now.ledger.running.any():
                break
            seen = self.coordinates(now.state, step, start)
            now = self._turn(now, seen, self.block(seen, context))
        steps = self.taken(now.ledger.steps)
        return Thought(self.last(now.out), steps + now.ledger.remainder)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        return self.think(x, context).x

    def show(self, x: Tensor, context: Context) -> list[Halted]:
        """The same steps once more, with the probabilities kept."""
        now, sure = self._begin(x, context), []
        for step in range(self.steps):
            if not now.ledger.running.any():
                break
            seen = self.coordinates(now.state, step)
            sure.append(self.probability(seen) * now.ledger.running)
            now = self._turn(now, seen, self.block(seen, context))
        probabilities = torch.stack(sure, dim=1) if sure else x.new_zeros(x.shape[0], 0, x.shape[1])
        return [Halted(probabilities, now.ledger.steps, now.ledger.remainder, self.last(now.out))]

    def step(self, x: Tensor, cache: DepthCache, context: Context) -> tuple[Tensor, DepthCache]:
        """All steps for every position: a later one that takes more of them will want to see this one's."""
        turns, position = [], cache.taken.shape[1]
        now = _Now(x, torch.zeros_like(x), Ledger.opened(torch.ones_like(x[..., 0], dtype=torch.bool), x))
        for step, past in enumerate(cache.turns):
            seen = self.coordinates.at(now.state, position, step)
            after, past = self.block.step(seen, past, context)
            now = self._turn(now, seen, after)
            turns.append(past)
        steps = self.taken(now.ledger.steps)
        return self.last(now.out), DepthCache(torch.cat([cache.taken, steps], dim=1), tuple(turns))

    def _turn(self, now: _Now, seen: Tensor, after: Tensor) -> _Now:
        weight, ledger = now.ledger.turn(self.probability(seen), 1 - self.halting.epsilon)
        out = UPDATES[self.halting.update](now.out, after, weight[..., None])
        state = torch.where(now.ledger.running[..., None], after, now.state) if self.halting.freeze else after
        return _Now(state, out, ledger)
