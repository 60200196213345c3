"""Beam search."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from allyouneed.data.subwords import EOS
from allyouneed.decoding.candidates import Candidates, log_probabilities, ordered_top, top_candidates
from allyouneed.decoding.greedy import prefers_eos
from allyouneed.decoding.hypotheses import Hypothesis, Outcome, Stepping, collect
from allyouneed.decoding.limits import Lengths, Limits, Prefixes, Rules, rules_for
from allyouneed.decoding.penalties import PAPER, Penalty, divisors
from allyouneed.decoding.search import run
from allyouneed.errors import UserError

NEVER = float("-inf")


class Decision(NamedTuple):
    """One step of a search as it was decided, for who watches it."""

    position: int  # tokens that the hypotheses had
    candidates: Candidates  # b c, best first; their values are sums of log-probabilities. -inf: there is none
    ended: Tensor  # b c: those that end here and went to the finished ones
    going: Tensor  # b k: places among the candidates of the rows that live on, in their order in the next step


Watch = Callable[[Decision], None]
RIVALS = 4
"""Candidates that a watcher is shown beyond the beam at least, where there are so many."""


class Pool(NamedTuple):
    """The finished hypotheses, best first; a score of -inf marks an empty place."""

    tokens: Tensor  # b k t
    length: Tensor  # b k: tokens without eos
    score: Tensor  # b k
    log_prob: Tensor  # b k
    finished: Tensor  # b k


class Beam(NamedTuple):
    tokens: Tensor  # b k t: the live hypotheses
    log_prob: Tensor  # b k, best first; -inf marks an empty place
    pool: Pool
    done: Tensor  # b
    rules: Rules
    origin: Tensor  # b


@torch.no_grad()
def beam(
    model: Stepping,
    source: Tensor,
    size: int = 5,
    penalty: Penalty = PAPER,
    n_best: int = 1,
    max_lengths: Lengths = None,
    min_length: int = 0,
    prefix: Prefixes = None,
    watch: Watch | None = None,
) -> list[list[Hypothesis]]:
    """The `n_best` distinct hypotheses of each sentence of `source` (b m), best first (fewer where fewer exist).

    At each position the 2 * size best continuations of all live hypotheses of a sentence are taken. Those
    among the first `size` that end in eos move to a pool of finished ones (which keeps the `size` best); the
    `size` best others live on, so that the beam stays full. Equal values are ordered by hypothesis and token
    id.

    **A sentence is done** when (1) its `n_best`-th finished hypothesis cannot be beaten by any live one,
    whose best possible score is its log-probability (which can only fall) divided by the largest penalty that
    it can still meet, or (2) the pool is full, or (3) the length limit closes the live ones. The second makes
    a beam of size 1 greedy search, and keeps the search short: the bound alone is loose as long as the limit
    is far. With a beam wide enough to hold every prefix the result is that of an exhaustive search.

    `watch` is told each step as it was decided; nothing else changes.

    Put the model into eval mode first: dropout is not switched off here. Raises UserError for impossible
    demands.
    """
    if size < 1 or not 1 <= n_best <= size:
        raise UserError(f"beam size {size} with n_best {n_best}: both must be 1 or more and n_best at most the size")
    if len(source) == 0:
        return []

    rules = rules_for(Limits(max_lengths, min_length, prefix), source)
    first_limit = int(rules.max_length.min())

    def advance(state: Beam, logits: Tensor, position: int) -> tuple[Beam, Tensor | None]:
        log_probs = log_probabilities(logits)
        closing = prefers_eos(log_probs) if position >= first_limit else None
        return _advance(state, log_probs, closing, position, size, penalty, n_best, watch)

    start = _start(rules, size)
    return collect((_outcome(part, n_best) for part in run(model, source, start, advance)), len(source))


def _start(rules: Rules, size: int) -> Beam:
    b, device = len(rules.max_length), rules.max_length.device
    empty = torch.full((b, size), NEVER, device=device)
    zeros = torch.zeros(b, size, dtype=torch.long, device=device)
    nothing = zeros.new_zeros(b, size, 0)
    pool = Pool(nothing, zeros, empty, empty, zeros > 0)
    origin = torch.arange(b, device=device)
    return Beam(nothing[:, :1], zeros[:, :1].float(), pool, origin < 0, rules, origin)


def _advance(
    state: Beam, log_probs: Tensor, closing: Tensor | None, position: int, size: int, penalty: Penalty, n_best: int,
    watch: Watch | None,
) -> tuple[Beam, Tensor]:  # fmt: skip
    rules = state.rules
    forced, may_end = rules.forced(position), rules.may_end(position)
    count = max(2 * size, size + RIVALS) if watch else 2 * size
    every = top_candidates(log_probs, state.log_prob, forced, may_end, count)
    best = Candidates(*(field[:, : 2 * size] for field in every)) if watch else every  # each b 2*size
    first = Candidates(*(field[:, :size] for field in best))
    pool = _merge(state.pool, _finished(state, closing, first, position, penalty))
    # A live row ends in eos at most once, so that at least `size` of the candidates go on.
    going = (best.tokens == EOS).byte().argsort(dim=1, stable=True)[:, :size]
    log_prob, slots, tokens = (field.gather(1, going) for field in best)  # each b size
    if watch:
        places = torch.arange(count, device=going.device)
        watch(Decision(position, every, (every.tokens == EOS) & (places < size), going))
    live = torch.cat([_gather(state.tokens, slots), tokens[..., None]], dim=-1)  # b size t+1
    closed = rules.max_length <= position
    soonest = divisors(penalty, torch.full_like(rules.max_length, position + 1))
    widest = torch.maximum(soonest, divisors(penalty, rules.max_length))  # of the divisors that may still come
    beaten = pool.score[:, n_best - 1] >= log_prob[:, 0] / widest
    done = state.done | closed | beaten | (pool.score[:, -1] > NEVER)
    return Beam(live, log_prob, pool, done, rules, state.origin), slots


def _finished(state: Beam, closing: Tensor | None, best: Candidates, position: int, penalty: Penalty) -> Pool:
    """The candidates as finished hypotheses; -inf where one does not end or its sentence is done already.

    `closing` (b k) says which live hypotheses would end by themselves; None where no sentence is at its limit yet.
    """
    ending = (best.tokens == EOS) & ~state.done[:, None]  # b size
    log_prob = best.values.masked_fill(~ending, NEVER)
    own_choice = torch.ones_like(ending)
    if closing is not None:
        own_choice = closing.gather(1, best.slots) | (state.rules.max_length > position)[:, None]
    length = torch.full_like(best.tokens, position)
    score = log_prob / divisors(penalty, length)
    return Pool(_gather(state.tokens, best.slots), length, score, log_prob, own_choice)


def _merge(pool: Pool, new: Pool) -> Pool:
    """The best of both, in order; of equal scores the one that was there first."""
    grown = F.pad(pool.tokens, (0, new.tokens.shape[-1] - pool.tokens.shape[-1]))
    pairs = zip(pool._replace(tokens=grown), new, strict=True)
    both = Pool(*(torch.cat(pair, dim=1) for pair in pairs))  # each b 2*size
    places = torch.arange(both.score.shape[1], device=grown.device)
    top = ordered_top(both.score, places, pool.score.shape[1])
    return Pool(_gather(both.tokens, top), *(field.gather(1, top) for field in both[1:]))


def _gather(tokens: Tensor, slots: Tensor) -> Tensor:  # b k t, b c -> b c t
    return tokens.gather(1, slots[..., None].expand(-1, -1, tokens.shape[-1]))


def _outcome(state: Beam, n_best: int) -> Outcome:
    tokens, length, score, log_prob, finished = (field[:, :n_best] for field in state.pool)
    return Outcome(state.origin, tokens, length, score, log_prob, finished)
