"""The lambda layer (Bello 2021, arXiv:2102.08602): what a context says becomes a linear map, and each query is put
through it. No pair of places ever gets a weight of its own, and nothing is normalised over queries.

Letters here: k key depth, v value depth (width / heads), u intra-depth, n places that ask, m places that are asked.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.grid import Grid, whole
from allyouneed.nn.patches import to_map, to_tokens
from allyouneed.nn.shown import Mixing

LARGE = 1024
"""More places than this, and a scope is seen by a convolution: the table spread over all pairs would take n m k."""


class LambdaLayer(nn.Module):
    """y = q^T (content + position), `b d y x -> b d y x`, all heads with one map per place (sections 3 and 4).

    content   sum over m of softmax_m(k) v^T           one map for the image
    position  sum over m of e[m - n] v^T               one map per place; e is a learned table of offsets

    `scope` is the size of the table, rows and columns, odd. On a smaller map its rim is unused; on a larger one what
    lies outside sends nothing by its place, while content always comes from everywhere.
    """

    def __init__(
        self, dim: int, heads: int = 4, key_dim: int = 16, intra: int = 1, scope: Grid = (23, 23), sees: str = "both"
    ):  # fmt: skip
        super().__init__()
        self.heads, self.key_dim, self.intra, self.sees = heads, key_dim, intra, sees
        self.value_dim = dim // heads
        inner = heads * key_dim + intra * self.value_dim
        self.qv = nn.Linear(dim, inner, bias=False)
        self.norm = nn.BatchNorm2d(inner)  # of q and v; section 3.2 has it in place of attention's 1 / sqrt(d)
        self.key = nn.Linear(dim, intra * key_dim, bias=False) if sees != "position" else None
        self.table = nn.Parameter(torch.randn(*scope, key_dim, intra)) if sees != "content" else None
        nn.init.normal_(self.qv.weight[: heads * key_dim].detach(), std=(key_dim * dim) ** -0.5)  # appendix E
        nn.init.normal_(self.qv.weight[heads * key_dim :].detach(), std=dim**-0.5)
        if self.key is not None:
            nn.init.normal_(self.key.weight, std=dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:  # b d y x -> b d y x
        grid = (x.shape[2], x.shape[3])
        x = to_tokens(x)
        q, v = self.project(x, grid)
        parts = []
        if self.key is not None:
            parts.append(self.content(q, self.key(x), v))
        if self.table is not None:
            parts.append(self.position(q, v, grid))
        return to_map(sum(parts[1:], parts[0]).flatten(2), grid)

    def project(self, x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:  # b n d -> b n h k, b m u v
        qv = to_tokens(self.norm(to_map(self.qv(x), grid)))
        q = qv[..., : self.heads * self.key_dim].unflatten(2, (self.heads, -1))  # b n h k
        v = qv[..., self.heads * self.key_dim :].unflatten(2, (self.intra, -1))  # b m u v
        return q, v

    def show(self, x: Tensor) -> list[Mixing]:
        """The relation that is never made: W[n, m] = q_n (softmax(k)_m + e_(m-n)), so that y = W v."""
        grid = (x.shape[2], x.shape[3])
        x = to_tokens(x)
        q, v = self.project(x, grid)
        weights = q.new_zeros(())
        if self.key is not None:
            keys = self.key(x).softmax(1, dtype=torch.promote_types(x.dtype, torch.float32)).to(q.dtype)
            weights = weights + torch.einsum("bnhk,bmuk->bhunm", q, keys.unflatten(2, (self.intra, -1)))
        if self.table is not None:
            table = self.spread(grid, q.dtype).unflatten(2, (self.intra, -1)).flip(3)  # k n u m
            weights = weights + torch.einsum("bnhk,knum->bhunm", q, table)
        again = torch.einsum("bhunm,bmuv->bnhv", weights, v).flatten(2)
        note = "A lambda layer makes no map; this is the one that its linear maps amount to, of any sign."
        if self.intra > 1:
            note += f" Each head has {self.intra} maps, one for each value of its intra-depth, which add up."
        return [Mixing(weights.flatten(1, 2), to_map(again, grid), note, grid)]

    def content(self, q: Tensor, keys: Tensor, v: Tensor) -> Tensor:  # b n h v
        weights = keys.softmax(1, dtype=torch.promote_types(keys.dtype, torch.float32)).to(v.dtype)  # over places
        weights = weights.unflatten(2, (self.intra, -1)).flatten(1, 2)  # b (m u) k
        lambdas = weights.transpose(1, 2) @ v.flatten(1, 2)  # b k v
        return (q.flatten(1, 2) @ lambdas).unflatten(1, (-1, self.heads))

    def position(self, q: Tensor, v: Tensor, grid: Grid) -> Tensor:  # b n h v
        """Three orders of one and the same sum; the first two leave the smaller tensor between their products."""
        places = grid[0] * grid[1]
        if places > LARGE and max(self.table.shape[:2]) < places**0.5:  # type: ignore[union-attr]
            return self._by_convolution(q, v, grid)
        table = self.spread(grid, v.dtype)
        if self.heads * places * self.intra <= self.key_dim * self.value_dim:
            return self._queries_first(q, v, table)
        return self._values_first(q, v, table)

    def spread(self, grid: Grid, dtype: torch.dtype) -> Tensor:  # k n (u m), m backwards
        """The table as each place sees it. Read backwards, what the places of a line see are windows that slide over
        one line of the table, and what the lines see slides over its lines: long runs, and no row gathered twice."""
        assert self.table is not None
        y, x = grid
        rim = [(wide - have) // 2 for wide, have in zip(whole(grid), self.table.shape)]
        table = F.pad(self.table.to(dtype), (0, 0, 0, 0, rim[1], rim[1], rim[0], rim[0]))
        lines = F.pad(table.flip(0, 1).permute(2, 3, 0, 1), (0, 1))  # k u 2y-1 2x
        # One line repeated without end and broken into lines longer by one moves on by one place in each.
        lines = lines.unsqueeze(3).expand(-1, -1, -1, x + 1, -1).flatten(3)[..., : x * (2 * x + 1)]
        windows = lines.unflatten(3, (x, 2 * x + 1))[..., :x].permute(0, 3, 1, 2, 4)  # k x u 2y-1 x'
        seen = [windows[:, :, :, line : line + y].flatten(2) for line in range(y)]  # y times k x (u y' x')
        return torch.stack(seen, dim=1).flatten(1, 2)

    def _queries_first(self, q: Tensor, v: Tensor, table: Tensor) -> Tensor:
        b, n, h, _ = q.shape
        weights = q.transpose(0, 1).flatten(1, 2) @ table.transpose(0, 1)  # n (b h) (u m)
        weights = weights.view(n, b, h, -1).transpose(0, 1).flatten(1, 2)  # b (n h) (u m)
        values = v.flip(1).transpose(1, 2).flatten(1, 2)  # b (u m) v
        return (weights @ values).unflatten(1, (n, h))

    def _values_first(self, q: Tensor, v: Tensor, table: Tensor) -> Tensor:
        b, n, _, k = q.shape
        values = v.flip(1).permute(2, 1, 0, 3).flatten(0, 1).flatten(1)  # (u m) (b v)
        lambdas = (table.flatten(0, 1) @ values).view(k, n * b, -1)
        lambdas = lambdas.transpose(0, 1).contiguous()  # (n b) k v
        return (q.transpose(0, 1).flatten(0, 1) @ lambdas).unflatten(0, (n, b)).transpose(0, 1)

    def _by_convolution(self, q: Tensor, v: Tensor, grid: Grid) -> Tensor:
        maps = v.permute(0, 3, 2, 1).flatten(0, 1).unflatten(2, grid)  # (b v) u y x
        kernel = self.table.permute(2, 3, 0, 1)  # type: ignore[union-attr]  # k u rows columns
        reach = (kernel.shape[2] // 2, kernel.shape[3] // 2)
        lambdas = F.conv2d(maps, kernel.to(maps.dtype), padding=reach)  # (b v) k y x
        lambdas = lambdas.flatten(2).unflatten(0, (q.shape[0], -1)).permute(0, 3, 2, 1)  # b n k v
        return q @ lambdas
