"""How long an output may be and with which tokens it must begin."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from allyouneed.data.subwords import EOS, PAD
from allyouneed.errors import UserError

EXTRA_LENGTH = 50  # the maximum output length is "input length + 50": Vaswani et al. 2017, section 6.1
FREE = -1  # stands where no token is forced

Lengths = Tensor | Sequence[int] | int | None
Prefixes = Sequence[Sequence[int]] | None


class Limits(NamedTuple):
    """What every output must obey. Lengths count output tokens without bos and eos.

    `max_lengths`: one number, one per sentence (b), or None for the length of the source (without eos) + 50.
    A hypothesis that reaches it is closed with eos, whose log-probability it pays like any other.
    `prefix`: for each sentence the ids with which its output begins (without bos; [] leaves it free).
    """

    max_lengths: Lengths = None
    min_length: int = 0
    prefix: Prefixes = None


class Rules(NamedTuple):
    """`Limits` made ready for a batch; batch first, so that sentences may leave it."""

    max_length: Tensor  # b
    min_length: Tensor  # b
    prefix: Tensor  # b p, FREE where nothing is forced

    def forced(self, position: int) -> Tensor:  # -> b
        """The one token that each sentence may have at this position, counted from 0, or FREE."""
        free = torch.full_like(self.max_length, FREE)
        wanted = self.prefix[:, position] if position < self.prefix.shape[1] else free
        return wanted.masked_fill(self.max_length <= position, EOS)

    def may_end(self, position: int) -> Tensor:  # -> b
        return self.min_length <= position


def rules_for(limits: Limits, source: Tensor) -> Rules:
    """The rules for `source` (b m). Raises UserError where the limits contradict one another."""
    prefix = _checked_prefix(limits, len(source))
    least = torch.tensor([max(limits.min_length, len(ids)) for ids in prefix], dtype=torch.long)
    longest = _max_lengths(limits, source, least)
    for i, (low, high) in enumerate(zip(least.tolist(), longest.tolist(), strict=True)):
        if low > high:
            raise UserError(
                f"sentence {i} may have at most {high} output tokens, but its prefix or min_length asks for "
                f"{low}; raise max_lengths or ask for less"
            )
    width = max((len(ids) for ids in prefix), default=0)
    padded = torch.tensor([[*ids, *[FREE] * (width - len(ids))] for ids in prefix], dtype=torch.long)
    minimum = torch.full_like(longest, limits.min_length)
    device = source.device
    return Rules(longest.to(device), minimum.to(device), padded.view(len(source), width).to(device))


def _checked_prefix(limits: Limits, sentences: int) -> Sequence[Sequence[int]]:
    if limits.min_length < 0:
        raise UserError(f"min_length is {limits.min_length}; it must be 0 or more")
    if limits.prefix is None:
        return [[] for _ in range(sentences)]
    if len(limits.prefix) != sentences:
        raise UserError(f"{len(limits.prefix)} prefixes for {sentences} sentences; give one for each, [] for none")
    for i, ids in enumerate(limits.prefix):
        if any(token <= EOS for token in ids):
            raise UserError(f"the prefix of sentence {i} holds pad, bos or eos ({list(ids)}); give the bare token ids")
    return limits.prefix


def _max_lengths(limits: Limits, source: Tensor, least: Tensor) -> Tensor:  # -> b, on the CPU
    if limits.max_lengths is None:
        words = (source != PAD) & (source != EOS)
        return torch.maximum(words.sum(1).cpu() + EXTRA_LENGTH, least)
    given = torch.as_tensor(limits.max_lengths, dtype=torch.long).cpu()
    if given.ndim > 1 or given.numel() not in (1, len(source)):
        raise UserError(
            f"max_lengths has shape {tuple(given.shape)}; give one number, or one for each sentence ({len(source)})"
        )
    if bool((given < 0).any()):
        raise UserError(f"max_lengths holds {int(given.min())}; every length must be 0 or more")
    return given.expand(len(source)).clone()
