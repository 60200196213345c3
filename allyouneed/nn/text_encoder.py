"""The body of an encoder that reads text, from token ids to one vector per token, and one vector for the whole.

BERT's idea of input: a word's vector, its position's and its segment's (which of two texts it belongs to) added up.
Padding is not computed (`nn/packing.py`); where it stood, the output is zero.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.dropout import Dropout
from allyouneed.nn.embedding import TokenEmbedding
from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.masks import padding_mask
from allyouneed.nn.packing import real_places, unpack
from allyouneed.nn.positions import LearnedPositions


class SegmentedInput(nn.Module):
    """dropout(norm(word + position + segment)), then `widen` to the width of the layers (ALBERT's; BERT has none).

    The trap is the word table's scale: it is 1 here, not sqrt(dim) as in the Transformer of 2017.
    """

    def __init__(
        self, embedding: TokenEmbedding, positions: LearnedPositions, segments: int, norm: nn.Module, dropout: float,
        widen: nn.Module | None = None,
    ):  # fmt: skip
        super().__init__()
        self.embedding = embedding
        self.positions = positions
        self.segments = nn.Embedding(segments, embedding.table.embedding_dim)
        self.norm = norm
        self.dropout = Dropout(dropout)
        self.widen = nn.Identity() if widen is None else widen

    def forward(self, ids: Tensor, segments: Tensor | None, places: Tensor | None) -> Tensor:  # b n -> b n d or 1 t d
        """`places` are those of the real tokens (`real_places`); with None the padding comes along."""
        codes = self.positions.codes(ids.shape[1])  # n e
        if places is not None:
            codes = F.embedding(places % ids.shape[1], codes)[None]  # 1 t e
            ids = ids.flatten()[places][None]  # 1 t
            segments = None if segments is None else segments.flatten()[places][None]
        kinds = self.segments.weight[0] if segments is None else self.segments(segments)
        return self.widen(self.dropout(self.norm(self.embedding(ids) + kinds + codes)))


class Pooler(nn.Module):
    """One vector for the whole: tanh(W x_0 + b) of the first token, [CLS] (BERT, section 3.1 of its code's model)."""

    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, hidden: Tensor) -> Tensor:  # b n d -> b d
        return self.linear(hidden[:, 0]).tanh()


class TextEncoder(nn.Module):
    """ids, segments -> words + positions + segments -> layers -> hidden; hidden -> pooler -> one vector."""

    def __init__(self, source: SegmentedInput, encoder: Layer, pooler: nn.Module, pad: int = 0):
        super().__init__()
        self.source = source
        self.encoder = encoder
        self.pooler = pooler
        self.pad = pad

    def encode(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:  # b n -> b n d
        """The last layer. Segments are 0 for the first text and 1 for the second; None means one text."""
        mask = padding_mask(ids, self.pad)
        places = real_places(mask)
        hidden = self.encoder(self.source(ids, segments, places), Context(mask=mask))
        if places is not None:
            return unpack(hidden, places, *ids.shape)
        return hidden.masked_fill((ids == self.pad)[..., None], 0.0)

    def pool(self, hidden: Tensor) -> Tensor:  # b n d -> b d
        return self.pooler(hidden)

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        return self.encode(ids, segments)


def init_normal(model: nn.Module, std: float, cut: bool) -> None:
    """Matrices and tables from N(0, std^2), cut off at two deviations or not; norms stay at 1 and 0, biases at 0."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            if cut:
                nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std)
            else:
                nn.init.normal_(parameter, std=std)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
