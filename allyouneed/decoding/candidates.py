"""The best continuations of a beam, exactly and in one fixed order: value downwards, then index upwards.

`torch.topk` leaves the choice among equal values open and is slow over k * v numbers. Here the largest value
of every block of tokens is found first; the best `count` candidates lie in the `count` best blocks, because
each block that is passed over has `count` better ones before it, every one with a candidate that is better
than all it holds. So only few numbers are ordered, and ordering a pair (value, index) packed into one integer
makes the choice unique.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from allyouneed.data.subwords import EOS

BLOCK = 32


class Candidates(NamedTuple):
    values: Tensor  # b c, best first; -inf where there are fewer candidates than asked for
    slots: Tensor  # b c: the hypothesis that is continued, 0 ... k - 1
    tokens: Tensor  # b c


TOGETHER = 2**19
"""Numbers that go through the softmax at a time on a CPU: they are still in its cache for the second look."""


def log_probabilities(logits: Tensor) -> Tensor:  # ... v -> ... v
    """`log_softmax` in float32."""
    rows = logits.flatten(0, -2)
    together = max(1, TOGETHER // logits.shape[-1])
    if logits.device.type != "cpu" or len(rows) <= together or logits.dtype != torch.float32:
        return F.log_softmax(logits, dim=-1, dtype=torch.float32)
    out = torch.empty_like(rows)
    for part, place in zip(rows.split(together), out.split(together), strict=True):
        torch._log_softmax(part, -1, False, out=place)
    return out.view(logits.shape)


def ordered_top(values: Tensor, index: Tensor, count: int) -> Tensor:  # b c, b c -> b count
    """Places of the `count` largest float32 `values`; of equal ones the smaller `index` (below 2**31) first.

    A single one is looked for where `index` rises with the place, and `argmax` gives the first of equal ones.
    """
    if count == 1:
        return values.argmax(-1, keepdim=True)
    bits = (values + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0, which is equal but has other bits
    rising = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()  # integers in the order of the floats
    keys = (rising << 32) | (0xFFFFFFFF - index)
    return keys.topk(count, dim=-1).indices


def allowed(tokens: Tensor, forced: Tensor, may_end: Tensor) -> Tensor:
    """Which `tokens` may come next; `forced` and `may_end` have any shape that broadcasts with theirs."""
    open_choice = (tokens > EOS) | ((tokens == EOS) & may_end)  # pad and bos, the two ids below eos, never
    return torch.where(forced < 0, open_choice, tokens == forced)


def _block_maxima(log_probs: Tensor, may_end: Tensor) -> Tensor:  # b k v, b -> b k blocks
    whole = log_probs.shape[-1] // BLOCK
    maxima = log_probs[..., : whole * BLOCK].unflatten(-1, (whole, BLOCK)).amax(-1)
    if log_probs.shape[-1] % BLOCK:
        maxima = torch.cat([maxima, log_probs[..., whole * BLOCK :].amax(-1, keepdim=True)], dim=-1)
    head = log_probs[..., :BLOCK]  # only this block holds tokens that may be forbidden
    maxima[..., 0] = torch.where(may_end[:, None], head[..., EOS:].amax(-1), head[..., EOS + 1 :].amax(-1))
    return maxima


def _only_forced(maxima: Tensor, log_probs: Tensor, forced: Tensor) -> Tensor:  # b k blocks, b k v, b -> b k blocks
    token = forced.clamp(min=0)[:, None, None].expand(*maxima.shape[:2], 1)
    only = torch.full_like(maxima, float("-inf")).scatter(-1, token // BLOCK, log_probs.gather(-1, token))
    return torch.where(forced[:, None, None] < 0, maxima, only)


def top_candidates(log_probs: Tensor, before: Tensor, forced: Tensor, may_end: Tensor, count: int) -> Candidates:
    """The `count` best of `before[b, k] + log_probs[b, k, v]`, all hypotheses of a sentence together.

    `log_probs` b k v in float32, `before` b k, `forced` b (a token or FREE), `may_end` b. Nothing in it waits
    for a device.
    """
    k, v = log_probs.shape[1:]
    maxima = _only_forced(_block_maxima(log_probs, may_end), log_probs, forced) + before[..., None]  # b k blocks
    blocks = maxima.shape[-1]
    maxima = maxima.flatten(1)  # b k*blocks
    places = torch.arange(k * blocks, device=maxima.device)
    best = ordered_top(maxima, places, min(count, k * blocks))[..., None]  # b c 1
    slots = best // blocks
    tokens = best % blocks * BLOCK + torch.arange(BLOCK, device=best.device)  # b c BLOCK
    usable = allowed(tokens, forced[:, None, None], may_end[:, None, None]) & (tokens < v)
    index = (slots * v + tokens.clamp(max=v - 1)).flatten(1)  # b c*BLOCK, into k*v
    values = log_probs.flatten(1).gather(1, index) + before.gather(1, slots.expand_as(tokens).flatten(1))
    values = values.masked_fill(~usable.flatten(1), float("-inf"))
    top = ordered_top(values, index, min(count, index.shape[1]))
    missing = (0, count - top.shape[1])
    values = F.pad(values.gather(1, top), missing, value=float("-inf"))
    index = F.pad(index.gather(1, top), missing)
    return Candidates(values, index // v, index % v)
