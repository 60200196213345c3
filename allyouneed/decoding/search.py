"""The loop of all searches: one model step, one choice, and the sentences that are done leave the batch."""

from collections.abc import Callable
from itertools import count
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from allyouneed.data.subwords import BOS
from allyouneed.decoding.hypotheses import Stepping
from allyouneed.nn.layer import select


class State(Protocol):
    """A NamedTuple of tensors and of such tuples, all batch first: `select` takes sentences out of it."""

    @property
    def tokens(self) -> Tensor: ...  # b k t: what the live rows have read

    @property
    def done(self) -> Tensor: ...  # b


S = TypeVar("S", bound=State)
Advance = Callable[[S, Tensor, int], tuple[S, Tensor | None]]


def run(model: Stepping, source: Tensor, state: S, advance: Advance[S], leave_at: float = 0.25) -> list[S]:
    """Searches until every sentence of `source` (b m) is done; returns the states of all, in parts.

    `advance(state, logits, position)` reads `logits` (b k v; k is 1 at position 0) and gives the next state and,
    for each of its rows, the slot (b k') that it continues, or None where each row continues itself. It must
    leave the result of a sentence that is done as it is: sentences leave only when `leave_at` of the batch is
    done, because taking rows out of a cache costs about what it saves for one or two, and no result may depend
    on when they leave.
    """
    cache = model.init_cache(source)
    ids = torch.full((len(source),), BOS, dtype=torch.long, device=source.device)
    parts: list[S] = []
    for position in count():
        logits, cache = model.step(ids, cache)  # r v
        batch = len(state.done)
        logits = logits.unflatten(0, (batch, -1))  # b k v
        state, slots = advance(state, logits, position)
        going = batch - int(state.done.sum())  # the only wait for the device in a step
        if going == 0:
            break
        rows = _rows(slots, batch, logits.shape[1], source.device)
        if batch - going >= leave_at * batch:
            order = state.done.byte().argsort(stable=True)
            parts.append(select(state, order[going:]))
            stay = order[:going]
            state, cache = select(state, stay), select(cache, rows[stay].flatten(), stay)
        elif slots is not None:
            cache = select(cache, rows.flatten())
        ids = state.tokens[..., -1].flatten()
    return [*parts, state]


def _rows(slots: Tensor | None, batch: int, k: int, device: torch.device) -> Tensor:  # -> b k'
    first = torch.arange(batch, device=device)[:, None] * k
    return first + (torch.arange(k, device=device) if slots is None else slots)
