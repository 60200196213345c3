"""Positions on a grid of rows and columns: learned in raster order, learned per axis, fixed, relative; and resampling.

All are for tokens in raster order after `prefix` tokens that have no place in the grid (a class token). What is added
is shown by `codes(length)`; `longest` is the number of tokens, which a grid fixes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Grid = tuple[int, int]
MODES = {
    "scipy": dict(mode="bilinear", align_corners=True),  # `scipy.ndimage.zoom(order=1)` of the official code
    "bilinear": dict(mode="bilinear", align_corners=False),  # timm, reading .npz
    "bicubic": dict(mode="bicubic", align_corners=False),  # Hugging Face, `interpolate_pos_encoding`
    "bicubic_aa": dict(mode="bicubic", align_corners=False, antialias=True),  # timm, `set_input_size`
}
"""Ways to bring a table of positions to another grid. They give different numbers, and weights are published with the
scores of one of them."""


def resample(table: Tensor, grid: Grid, mode: str = "scipy") -> Tensor:  # y x d -> grid d
    """A table of positions seen at another resolution: places keep their share of the image."""
    if mode not in MODES:
        raise ValueError(f"The resampling {mode!r} is not known; known are {', '.join(MODES)}.")
    # By its size, never by a factor: a rounded factor gives a grid that is off by one (facebookresearch/dinov2, 378).
    found = F.interpolate(table.permute(2, 0, 1)[None], size=grid, **MODES[mode])  # type: ignore[arg-type]
    return found[0].permute(1, 2, 0)


def whole(grid: Grid) -> Grid:
    """Rows and columns of a table of offsets in which every place of a grid finds every other."""
    return 2 * grid[0] - 1, 2 * grid[1] - 1


def offsets(grid: Grid) -> Tensor:  # n n
    """For each pair of places n, m the row of a table of (2y - 1) (2x - 1) offsets, place m minus place n."""
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[None, :] - rows[:, None] + grid[0] - 1
    right = columns[None, :] - columns[:, None] + grid[1] - 1
    return down * (2 * grid[1] - 1) + right


class Constant(nn.Module):
    """A tensor that follows from numbers alone: no file holds it, and no cast of the model makes it less exact."""

    value: Tensor

    def __init__(self, make: Callable[[], Tensor]):
        super().__init__()
        self.make = make
        self.register_buffer("value", make(), persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """A model laid out on the meta device gets the tensor when it moves to a real one."""
        before = self.value
        result = super()._apply(fn, recurse)
        if not self.value.is_meta and (before.is_meta or self.value.dtype != before.dtype):
            self.value = self.make().to(self.value.device)
        return result


class NoGridPositions(nn.Module):
    """The tokens as they are: a bag of patches, which no permutation changes."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class RasterPositions(nn.Module):
    """A learned vector per place in raster order, those of the prefix first: the paper's default, "1-D"."""

    def __init__(self, grid: Grid, dim: int, prefix: int = 0):
        super().__init__()
        self.grid, self.prefix = grid, prefix
        self.table = nn.Parameter(torch.randn(prefix + grid[0] * grid[1], dim) * 0.02)

    @property
    def longest(self) -> int:
        return self.table.shape[0]

    def codes(self, length: int) -> Tensor:  # n d
        return self.table[:length]

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x + self.table.to(x.dtype)

    def resampled(self, grid: Grid, mode: str) -> dict[str, Tensor]:
        """The parameters for another grid; the prefix keeps its own."""
        first, rest = self.table[: self.prefix], self.table[self.prefix :]
        return {"table": torch.cat([first, resample(rest.unflatten(0, self.grid), grid, mode).flatten(0, 1)])}


class AxisPositions(nn.Module):
    """A learned vector per column and one per row, half a width each, side by side: the paper's "2-D" (appendix D.4)."""

    def __init__(self, grid: Grid, dim: int, prefix: int = 0):
        super().__init__()
        self.grid, self.prefix = grid, prefix
        self.columns = nn.Parameter(torch.randn(grid[1], dim // 2) * 0.02)
        self.rows = nn.Parameter(torch.randn(grid[0], dim - dim // 2) * 0.02)

    @property
    def longest(self) -> int:
        return self.prefix + math.prod(self.grid)

    def codes(self, length: int) -> Tensor:  # n d
        across = self.columns[None, :, :].expand(*self.grid, -1)
        down = self.rows[:, None, :].expand(*self.grid, -1)
        codes = torch.cat([across, down], dim=-1).flatten(0, 1)  # (y x) d
        return F.pad(codes, (0, 0, self.prefix, 0))[:length]

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x + self.codes(self.longest).to(x.dtype)

    def resampled(self, grid: Grid, mode: str) -> dict[str, Tensor]:
        """The parameters for another grid: each axis is an image of one line."""
        return {
            "columns": resample(self.columns[None], (1, grid[1]), mode)[0],
            "rows": resample(self.rows[:, None], (grid[0], 1), mode)[:, 0],
        }


def grid_sinusoids(grid: Grid, dim: int, temperature: float = 10000.0) -> Tensor:  # n d
    """Fixed codes of columns, then rows: sin and cos of x w, then of y w, w falling from 1 to 1 / temperature.

    As in big_vision and SimpleViT; the width has to be divisible by 4.
    """
    frequencies = torch.exp(torch.linspace(0, -math.log(temperature), dim // 4, dtype=torch.float64))
    y = torch.arange(grid[0], dtype=torch.float64)[:, None] * frequencies  # y d/4
    x = torch.arange(grid[1], dtype=torch.float64)[:, None] * frequencies  # x d/4
    across = torch.cat([x.sin(), x.cos()], dim=-1)[None].expand(grid[0], -1, -1)
    down = torch.cat([y.sin(), y.cos()], dim=-1)[:, None].expand(-1, grid[1], -1)
    return torch.cat([across, down], dim=-1).flatten(0, 1).float()


class FixedGridPositions(nn.Module):
    """Adds `grid_sinusoids`; the prefix gets none. At another resolution the codes are simply those of more places."""

    def __init__(self, grid: Grid, dim: int, prefix: int = 0):
        super().__init__()
        self.prefix = prefix
        self.fixed = Constant(partial(grid_sinusoids, grid, dim))

    @property
    def longest(self) -> int:
        return self.prefix + self.fixed.value.shape[0]

    def codes(self, length: int) -> Tensor:  # n d
        return F.pad(self.fixed.value, (0, 0, self.prefix, 0))[:length]

    def forward(self, x: Tensor) -> Tensor:  # b n d -> b n d
        return x + self.codes(self.longest).to(x.dtype)
