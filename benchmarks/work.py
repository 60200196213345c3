"""The work of the translation benchmarks: Multi30k in subwords and in batches, the same for every system."""

import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from allyouneed.data.batches import plan
from allyouneed.data.parallel import read_corpus
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.tasks.translation import Batch, Learning, TranslationTask, Vocabulary

DATA = Path(__file__).parents[2] / "shared" / "data" / "multi30k"


class Work(NamedTuple):
    batches: list[Batch]
    tokens: list[int]  # true source and target tokens of each batch
    vocab_size: int


@cache
def multi30k(count: int, budget: int = 4096) -> Work:
    """`count` batches of Multi30k de-en, at most `budget` padded tokens each over both sides; joint BPE of 8,000."""
    if not DATA.is_dir():
        raise SystemExit(f"error: the benchmark reads Multi30k from {DATA}, which is not there")
    corpus = read_corpus(DATA, "de", "en")
    subwords = Subwords.train([*corpus.train.source, *corpus.train.target], "bpe", 8000)
    learning = Learning(batch_tokens=budget)
    task = TranslationTask(corpus.train, corpus.val, Vocabulary(subwords, subwords), learning, DecodingSettings())
    chosen = plan(task.lengths(0), budget, 1, 0)[:count]
    return Work([task.collate(b, 0) for b in chosen], [task.tokens(b, 0) for b in chosen], len(subwords))


def flops(batch: Batch, dim: int, ffn_dim: int, depth: int, vocab_size: int) -> float:
    """Floating-point operations of the matrix products of one training step, forward and backward (2 + 4 per weight).

    Padded cells count in the layers, where they are computed; the projection to the vocabulary counts real tokens.
    """
    b, m = batch.source.shape
    n = batch.target_in.shape[1]
    encoder = b * m * depth * (4 * dim * dim + 2 * dim * ffn_dim)
    decoder = depth * (b * n * (6 * dim * dim + 2 * dim * ffn_dim) + b * m * 2 * dim * dim)
    looking = depth * b * dim * 2 * (m * m + n * n + n * m)
    head = int((batch.target_out != 0).sum()) * dim * vocab_size
    return 6.0 * (encoder + decoder + looking + head)


def ceiling(dtype: torch.dtype, size: int = 2048, repeats: int = 3, device: str = "cpu") -> float:
    """Operations a second of a square matrix product: the best of some."""
    a, best = torch.randn(size, size, device=device).to(dtype), 0.0
    a @ a
    for _ in range(repeats):
        begun = now(device)
        a @ a
        best = max(best, 2.0 * size**3 / (now(device) - begun))
    return best


def now(device: str) -> float:
    """Seconds, when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
