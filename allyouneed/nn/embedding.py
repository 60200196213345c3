"""Tokens: what becomes a vector. Token embeddings, and the input of a text model: embedding, positions, dropout."""

import math
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.dropout import Dropout


class TokenEmbedding(nn.Module):
    """A vector per token, multiplied by sqrt(d) (Vaswani et al. 2017, section 3.4).

    The factor brings a table initialised with variance 1/d, which also serves as the softmax's weights, to the size
    of the position codes. To tie tables, give several modules the same one.
    """

    def __init__(self, vocab_size: int, dim: int, scale: float | None = None):
        super().__init__()
        self.table = nn.Embedding(vocab_size, dim)
        self.scale = math.sqrt(dim) if scale is None else scale

    def forward(self, ids: Tensor) -> Tensor:  # b n -> b n d
        return F.embedding(ids, self.table.weight) * self.scale


class Positions(Protocol):
    """What a kind of positions offers."""

    def __call__(self, x: Tensor) -> Tensor: ...  # b n d -> b n d

    def at(self, x: Tensor, position: int) -> Tensor: ...  # r 1 d -> r 1 d


class TextInput(nn.Module):
    """dropout(embedding + position), the paper's section 5.4; `at` is the same for one position of a decoding step."""

    def __init__(self, embedding: TokenEmbedding, positions: nn.Module, dropout: float = 0.0):
        super().__init__()
        self.embedding = embedding
        self.positions = positions
        self.dropout = Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:  # b n -> b n d
        return self.dropout(self.positions(self.embedding(ids)))

    def at(self, ids: Tensor, position: int) -> Tensor:  # r -> r 1 d
        return self.positions.at(self.embedding(ids)[:, None], position)  # type: ignore[operator]
