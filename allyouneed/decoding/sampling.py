"""Sampling: temperature, top-k, top-p; its random numbers belong to a sentence, not to a batch."""

import torch
from torch import Tensor

from allyouneed.decoding.candidates import allowed, top_candidates
from allyouneed.decoding.greedy import Paths, follow
from allyouneed.decoding.hypotheses import Hypothesis, Stepping
from allyouneed.decoding.limits import Lengths, Limits, Prefixes
from allyouneed.decoding.penalties import PAPER, Penalty
from allyouneed.errors import UserError


@torch.no_grad()
def sample(
    model: Stepping,
    source: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    n: int = 1,
    seed: int | Tensor = 0,
    penalty: Penalty = PAPER,
    max_lengths: Lengths = None,
    min_length: int = 0,
    prefix: Prefixes = None,
) -> list[list[Hypothesis]]:
    """`n` independent outputs for each sentence of `source` (b m), in the order drawn.

    The logits are divided by `temperature`; then the `top_k` most probable tokens are kept (None: all); then
    of these, renormalised, the fewest whose probabilities sum to `top_p` (nucleus sampling, Holtzman et al.
    2020). The reported log-probability is the model's own, without any of this.

    The random number for (sentence, path, position) is a hash of the three and of the seed. With one integer
    as `seed` a sentence is known by its place in this batch; with a LongTensor of b seeds (line numbers, say)
    it is known by its own, and its outputs are the same in any batch and order. Put the model into eval mode
    first.
    """
    if temperature <= 0:
        raise UserError(
            f"the temperature is {temperature}; it must be above 0 (greedy search takes the most probable token)"
        )
    if (top_k is not None and top_k < 1) or n < 1 or not 0 < top_p <= 1:
        raise UserError(f"top_k {top_k}, top_p {top_p}, n {n}: top_k and n must be 1 or more, top_p in (0, 1]")

    def choose(paths: Paths, log_probs: Tensor, position: int) -> Tensor:
        forced, may_end = paths.rules.forced(position), paths.rules.may_end(position)
        values, tokens = _ranked(log_probs / temperature, forced, may_end, top_k, top_p < 1)
        picked = pick(values, top_p, uniforms(paths.keys, n, position))
        return tokens.expand_as(values).gather(-1, picked[..., None])[..., 0]

    return follow(
        model,
        source,
        choose,
        n,
        _sentence_keys(seed, source),
        penalty,
        Limits(max_lengths, min_length, prefix),
    )


def _ranked(
    logits: Tensor, forced: Tensor, may_end: Tensor, top_k: int | None, in_order: bool
) -> tuple[Tensor, Tensor]:
    """Logits b k v -> logits of the tokens that may be drawn (b k c) and these tokens (b k c, or c)."""
    b, k, v = logits.shape
    if top_k is not None:  # every path is a sentence of its own here: the paths do not compete
        alone, per_path = (
            logits.reshape(b * k, 1, v),
            (forced.repeat_interleave(k), may_end.repeat_interleave(k)),
        )
        best = top_candidates(alone, alone.new_zeros(b * k, 1), *per_path, min(top_k, v))
        return best.values.view(b, k, -1), best.tokens.view(b, k, -1)
    tokens = torch.arange(v, device=logits.device)
    open_to = allowed(tokens, forced[:, None, None], may_end[:, None, None])  # b 1 v
    logits = logits.masked_fill(~open_to, float("-inf"))
    return logits.sort(dim=-1, descending=True, stable=True) if in_order else (logits, tokens)


def pick(logits: Tensor, top_p: float, uniform: Tensor) -> Tensor:
    """Draws a place in the last axis of `logits` (b k c, falling where `top_p` < 1) by `uniform` (b k).

    The inverse of the cumulative distribution, in float64: float32 sums over a large vocabulary lose rare
    tokens.
    """
    probs = logits.double().softmax(-1)
    if top_p < 1:
        above = probs.cumsum(-1) - probs  # what the more probable ones have gathered: the first is always kept
        probs = probs.masked_fill(above >= top_p, 0)
    cumulative = probs.cumsum(-1)
    places = torch.searchsorted(cumulative, uniform[..., None] * cumulative[..., -1:], right=True)
    return places[..., 0].clamp(max=logits.shape[-1] - 1)


def _sentence_keys(seed: int | Tensor, source: Tensor) -> Tensor:  # -> b
    if isinstance(seed, Tensor):
        if seed.shape != source.shape[:1]:
            raise UserError(
                f"seed has shape {tuple(seed.shape)}; give one number, or one for each sentence ({len(source)})"
            )
        return seed.to(source.device, torch.long)
    seed = (seed + 2**63) % 2**64 - 2**63  # any integer, as 64 signed bits
    return mix(torch.tensor(seed, device=source.device)) + torch.arange(len(source), device=source.device)


def mix(x: Tensor) -> Tensor:
    """A bijection of 64-bit integers that looks random (the finaliser of splitmix64, Steele et al. 2014)."""
    x = x + _signed(0x9E3779B97F4A7C15)
    x = (x ^ ((x >> 30) & (2**34 - 1))) * _signed(0xBF58476D1CE4E5B9)  # the mask makes the signed shift a logical one
    x = (x ^ ((x >> 27) & (2**37 - 1))) * _signed(0x94D049BB133111EB)
    return x ^ ((x >> 31) & (2**33 - 1))


def _signed(constant: int) -> int:
    return constant - 2**64 if constant >= 2**63 else constant


def uniforms(keys: Tensor, n: int, position: int) -> Tensor:  # b -> b n
    """One number in [0, 1) for each (sentence, path) at this position."""
    paths = mix(mix(keys)[:, None] + torch.arange(n, device=keys.device))
    return ((mix(paths + position) >> 16) & (2**48 - 1)).double() / 2**48
