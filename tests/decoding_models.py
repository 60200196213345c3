"""Models small enough to enumerate, for the tests of decoding, and what an exhaustive search makes of them."""

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.decoding.hypotheses import Hypothesis
from allyouneed.decoding.penalties import GNMT, Average, NoPenalty
from allyouneed.nn.layer import PerSentence

PAD, BOS, EOS = 0, 1, 2
PENALTIES = [GNMT(0.6), Average(1.0), NoPenalty(), Average(-0.5)]


class Table:
    """Logits looked up by a hash of the source and of all tokens read, in order: exact in any batch, and a cache row
    that is given to the wrong hypothesis or sentence changes what follows."""

    def __init__(self, vocab_size: int = 12, seed: int = 0, eos_bonus: float = 0.0, sharpness: float = 1.5):
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(1009, vocab_size, generator=generator) * sharpness
        self.table[:, EOS] += eos_bonus
        self.rows: list[int] = []

    def init_cache(self, source: Tensor) -> Any:
        weights = torch.arange(1, source.shape[1] + 1)
        key = (source * weights * 7919).sum(1)  # pad is 0 and adds nothing
        return source[:, :0], PerSentence((key,))

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        past, sentence = cache
        past = torch.cat([past, ids[:, None]], dim=1)
        key = sentence.tensors[0]
        self.rows.append(len(ids))
        weights = torch.arange(1, past.shape[1] + 1) * 31 + 17
        hashed = (past * weights).sum(1) + past[:, -1] * 101 + key.repeat_interleave(len(ids) // len(key))
        return self.table[hashed % len(self.table)], (past, sentence)

    def __call__(self, source: Tensor, target: Tensor) -> Tensor:
        cache, logits = self.init_cache(source), []
        for ids in target.T:
            step, cache = self.step(ids, cache)
            logits.append(step)
        return torch.stack(logits, dim=1)


class Recurrent(nn.Module):
    """A real network with attention over the source and floats that feel padding and batching."""

    def __init__(self, vocab_size: int = 80, dim: int = 16):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, dim)
        self.cell = nn.GRUCell(2 * dim, dim)
        self.out = nn.Linear(dim, vocab_size)
        nn.init.normal_(self.out.weight, std=1.0)

    def init_cache(self, source: Tensor) -> Any:
        memory = self.embed(source)
        return memory.new_zeros(len(source), memory.shape[-1]), PerSentence((memory, source != PAD))

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        state, sentence = cache
        memory, mask = sentence.tensors
        query = state.unflatten(0, (len(memory), -1))  # b k d
        scores = (query @ memory.mT).masked_fill(~mask[:, None], -1e9)
        seen = (scores.softmax(-1) @ memory).flatten(0, 1)
        state = self.cell(torch.cat([self.embed(ids), seen], dim=-1), state)
        return self.out(state), (state, sentence)


class Fixed:
    """The same logits always: one step's distribution."""

    def __init__(self, logits: Tensor):
        self.logits = logits

    def init_cache(self, source: Tensor) -> Any:
        return (source[:, :0],)

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        return self.logits.expand(len(ids), -1), cache


def sources(count: int, vocab_size: int = 12, longest: int = 9) -> Tensor:
    lengths = torch.randint(0, longest, (count,)).tolist()
    rows = [torch.cat([torch.randint(3, vocab_size, (n,)), torch.tensor([EOS])]) for n in lengths]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def exhaustive(model: Table, source: Tensor, longest: int, penalty: Any, vocab_size: int) -> list[Hypothesis]:
    """Every output of at most `longest` tokens for one sentence (1 m), best first, scored by teacher forcing."""
    found = []
    for n in range(longest + 1):
        for ids in itertools.product(range(3, vocab_size), repeat=n):
            log_probs = F.log_softmax(model(source, torch.tensor([[BOS, *ids]])), -1)[0]
            total = sum(float(log_probs[i, token]) for i, token in enumerate([*ids, EOS]))
            found.append(Hypothesis(list(ids), total / penalty(n + 1), total, True))
    return sorted(found, key=lambda h: -h.score)


def close(a: list[Hypothesis], b: list[Hypothesis]) -> bool:
    return [h.ids for h in a] == [h.ids for h in b] and all(
        math.isclose(x.score, y.score, rel_tol=1e-4, abs_tol=1e-5)
        and math.isclose(x.log_prob, y.log_prob, rel_tol=1e-4, abs_tol=1e-5)
        for x, y in zip(a, b, strict=True)
    )
