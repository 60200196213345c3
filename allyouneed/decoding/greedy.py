"""Greedy search, and the state of every search that follows single paths."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from allyouneed.data.subwords import EOS, PAD
from allyouneed.decoding.candidates import top_candidates
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
    model: Stepping, source: Tensor, choose: Choose, k: int, keys: Tensor, penalty: Penalty, limits: Limits
) -> list[list[Hypothesis]]:
    """`k` paths for each sentence of `source` (b m), each continued by the token that `choose` names."""

    def advance(paths: Paths, log_probs: Tensor, position: int) -> tuple[Paths, Tensor | None]:
        repeats = k // log_probs.shape[1]  # k at position 0, where all paths of a sentence are still one row
        log_probs = log_probs.expand(-1, k, -1) if repeats > 1 else log_probs
        paths = _extend(paths, log_probs, choose(paths, log_probs, position), position)
        return paths, torch.zeros_like(paths.length) if repeats > 1 else None

    b = len(source)
    if b == 0:
        return []
    zeros = torch.zeros(b, k, dtype=torch.long, device=source.device)
    nothing, no = zeros.new_zeros(b, k, 0), zeros > 0
    origin = torch.arange(b, device=source.device)
    start = Paths(nothing, zeros.float(), zeros, no, no, rules_for(limits, source), keys, origin)
    return collect((_outcome(part, penalty) for part in run(model, source, start, advance)), b)


def _extend(paths: Paths, log_probs: Tensor, chosen: Tensor, position: int) -> Paths:
    gain = log_probs.gather(-1, chosen[..., None])[..., 0]  # b k
    ends = (chosen == EOS) & ~paths.ended
    open_end = (paths.rules.max_length > position)[:, None]
    own_choice = prefers_eos(log_probs) | open_end
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
) -> list[Hypothesis]:
    """The most probable next token, again and again; of equal ones the lowest id. `source` is b m.

    The penalty changes the reported score only. Put the model into eval mode first: dropout is not switched
    off here. Raises UserError for limits that contradict one another.
    """
    limits = Limits(max_lengths, min_length, prefix)
    keys = torch.zeros(len(source), dtype=torch.long, device=source.device)
    return [paths[0] for paths in follow(model, source, _most_probable, 1, keys, penalty, limits)]
