"""Axial positions (Reformer, appendix D; Ho et al. 2019): long texts with small tables.

The text is folded into rows of a fixed length; a position's vector is that of its row beside that of its column. 65,536
positions need tables of 128 and 512 vectors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.errors import UserError


class AxialPositions(nn.Module):
    """Adds [row's vector; column's vector], learned, for texts of up to rows * columns tokens.

    Any shorter text will do; Hugging Face demands the full length in training.
    """

    def __init__(self, dim: int, shape: tuple[int, int], rows_dim: int | None = None):
        super().__init__()
        rows, columns = shape
        rows_dim = rows_dim or dim // 4
        self.rows = nn.Parameter(torch.randn(rows, rows_dim))
        self.columns = nn.Parameter(torch.randn(columns, dim - rows_dim))

    @property
    def longest(self) -> int:
        return self.rows.shape[0] * self.columns.shape[0]

    def check(self, length: int) -> None:
        if length > self.longest:
            raise UserError(
                f"a text of {length} tokens is longer than the {self.longest} axial positions of this model, "
                f"{self.rows.shape[0]} x {self.columns.shape[0]}; shorten it, or train with a larger model.positions_shape"
            )

    def codes(self, length: int) -> Tensor:  # n d
        self.check(length)
        places, columns = torch.arange(length, device=self.rows.device), self.columns.shape[0]
        parts = [F.embedding(places // columns, self.rows), F.embedding(places % columns, self.columns)]
        return torch.cat(parts, dim=-1)

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x + self.codes(x.shape[1]).to(x.dtype)

    def at(self, x: Tensor, position: int) -> Tensor:  # r 1 d -> r 1 d
        self.check(position + 1)
        row, column = divmod(position, self.columns.shape[0])
        return x + torch.cat([self.rows[row], self.columns[column]]).to(x.dtype)
