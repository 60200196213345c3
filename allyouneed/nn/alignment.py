"""Attention of the translators before the Transformer: one head, and scores without a scale.

Its parts are shared by the recurrent and the convolutional translator. What a source gives is kept once per sentence;
the rows of a decoding step are more queries to it.
"""

import torch
from torch import Tensor, nn

from allyouneed.nn.attention import Attend


class UnscaledAttend(Attend):
    """softmax(q k^T) v: `Attend` without the 1/sqrt(d_k), which it undoes (Luong et al. 2015; Gehring et al. 2017)."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(q * q.shape[-1] ** 0.5, k, v, mask)

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().weights(q * q.shape[-1] ** 0.5, k, mask)


class AdditiveAttend(Attend):
    """softmax(v^T tanh(W q + U k)), the alignment model of Bahdanau et al. 2015 (section A.1.2); its keys are U k.

    A recurrence must look before it goes on, so the looking itself is `look`, one query at a time. `forward` is then
    shown all the queries with what they have `found`, and hands that back: it is there for recorders, which see one
    call as they do of any other attention.
    """

    def __init__(self, query_dim: int, dim: int):
        super().__init__()
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.score = nn.Linear(dim, 1, bias=False)

    def look(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:  # b n q, b m k, b m v -> b n v
        return self._weights(q, k, mask).to(v.dtype) @ v

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, found: Tensor | None = None
    ) -> Tensor:  # b 1 n q, b 1 m k, b 1 m v -> b 1 n v
        return self.weights(q, k, mask).to(v.dtype) @ v if found is None else found

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:  # b 1 n q, b 1 m k -> b 1 n m
        return self._weights(q[:, 0], k[:, 0], None if mask is None else mask[:, 0])[:, None]

    def _weights(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:  # b n m
        scores = self.score(torch.tanh(self.query(q)[:, :, None] + k[:, None]))[..., 0]  # b n m k -> b n m
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if mask is None:
            return scores.softmax(-1)
        return scores.masked_fill(~mask, -1e30).softmax(-1) * mask  # zeros where there is nothing to see


def align(attend: Attend, q: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:  # r n k -> r n v
    """What rows of queries find in the memory, keys b m k and values b m v, of their sentences."""
    rows = q.shape[:2]
    queries = q.reshape(memory[0].shape[0], 1, -1, q.shape[-1])  # (b hypotheses) n k -> b 1 (hypotheses n) k
    q, keys, values = alike(queries, memory[0][:, None], memory[1][:, None])
    return attend(q, keys, values, mask).reshape(*rows, -1)


def alike(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All in the type in which autocast multiplies: a kernel with a backward pass of its own is not cast for."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)
