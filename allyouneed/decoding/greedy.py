"""Greedy search, and the state of every search that follows single paths."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from allyouneed.data.subwords import EOS, PAD
from allyouneed.decoding.candidates import log_probabilities, top_candidates
from allyouneed.decoding.hypotheses import Hypothesis, Outcome, Stepping, collect
from allyouneed.decoding.limits import Lengths, Limits, Prefixes, Rules, rules_for
from allyouneed.decoding.penalties import PAPER, Penalty, divisors
from allyouneed.decoding.search import run


class Paths(NamedTuple):
    """k paths per sentence, none of which depends on another."""

    tokens: Tensor  # b k t, eos and then pad after the end
    log_prob: Tensor  # b k
    length: Tensor  # b k: tokens without eos
    ended: Tensor  # b k
    finished: Tensor  # b k
    rules: Rules
    keys: Tensor  # b: what the choice may need to know a sentence by (a random seed)
    origin: Tensor  # b

    @property
    def done(self) -> Tensor:  # b
        return self.ended.all(dim=1)


Choose = Callable[[Paths, Tensor, int], Tensor]  # paths, log_probs b k v, position -> tokens b k


def prefers_eos(log_probs: Tensor) -> Tensor:  # b k v -> b k
    """Where eos is the most probable next token, pad and bos, which are never produced, left aside."""
    return log_probs[..., EOS] >= log_probs[..., EOS + 1 :].amax(-1)


def follow(
    model: Stepping, source: Tensor, choose: Choose, k: int, keys: Tensor, penalty: Penalty, limits: Limits,
    weigh: Callable[[Tensor], Tensor] = log_probabilities,
) -> list[list[Hypothesis]]:  # fmt: skip
    """`k` paths for each sentence of `source` (b m), each continued by the token that `choose` names.

    `weigh` makes what `choose` sees, and what a path sums up, of the logits.
    """
    b = len(source)
    if b == 0:
        return []
    rules = rules_for(limits, source)
    first_limit = int(rules.max_length.min())

    def advance(paths: Paths, logits: Tensor, position: int) -> tuple[Paths, Tensor | None]:
        weights = weigh(logits)
        repeats = k // weights.shape[1]  # k at position 0, where all paths of a sentence are still one row
        weights = weights.expand(-1, k, -1) if repeats > 1 else weights
        closing = prefers_eos(weights) if position >= first_limit else None
        paths = _extend(paths, weights, closing, choose(paths, weights, position), position)
        return paths, torch.zeros_like(paths.length) if repeats > 1 else None

    zeros = torch.zeros(b, k, dtype=torch.long, device=source.device)
    nothing, no = zeros.new_zeros(b, k, 0), zeros > 0
    origin = torch.arange(b, device=source.device)
    start = Paths(nothing, zeros.float(), zeros, no, no, rules, keys, origin)
    return collect((_outcome(part, penalty) for part in run(model, source, start, advance)), b)


def _extend(paths: Paths, log_probs: Tensor, closing: Tensor | None, chosen: Tensor, position: int) -> Paths:
    """The paths with `chosen` (b k); `closing` says which would end by themselves, None where none is at its limit."""
    gain = log_probs.gather(-1, chosen[..., None])[..., 0]  # b k
    ends = (chosen == EOS) & ~paths.ended
    open_end = (paths.rules.max_length > position)[:, None]
    own_choice = open_end if closing is None else closing | open_end
    ended = paths.ended | ends | ~open_end  # at the limit even where logits that are no numbers hide the eos
    return paths._replace(
        tokens=torch.cat([paths.tokens, chosen.masked_fill(paths.ended, PAD)[..., None]], dim=-1),
        log_prob=torch.where(paths.ended, paths.log_prob, paths.log_prob + gain),
        length=paths.length + (~ended).long(),
        ended=ended,
        finished=paths.finished | (ends & own_choice),
    )


def _outcome(paths: Paths, penalty: Penalty) -> Outcome:
    score = paths.log_prob / divisors(penalty, paths.length)
    return Outcome(paths.origin, paths.tokens, paths.length, score, paths.log_prob, paths.finished)


def _most_probable(paths: Paths, log_probs: Tensor, position: int) -> Tensor:
    rules = paths.rules
    return top_candidates(log_probs, paths.log_prob, rules.forced(position), rules.may_end(position), 1).tokens


@torch.no_grad()
def greedy(
    model: Stepping,
    source: Tensor,
    penalty: Penalty = PAPER,
    max_lengths: Lengths = None,
    min_length: int = 0,
    prefix: Prefixes = None,
    scored: bool = True,
) -> list[Hypothesis]:
    """The most probable next token, again and again; of equal ones the lowest id. `source` is b m.

    The penalty changes the reported score only. Where nobody asks for scores, `scored=False` saves the softmax: they are
    0 then, and the choice is that of the logits. Put the model into eval mode first: dropout is not switched
    off here. Raises UserError for limits that contradict one another.
    """
    limits = Limits(max_lengths, min_length, prefix)
    keys = torch.zeros(len(source), dtype=torch.long, device=source.device)
    weigh = log_probabilities if scored else Tensor.float
    found = [paths[0] for paths in follow(model, source, _most_probable, 1, keys, penalty, limits, weigh)]
    return found if scored else [path._replace(score=0.0, log_prob=0.0) for path in found]
