"""From a recorded look to a layer of a trace: its weights, or the q and k that give them, compared with what came out."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.tracing.encoding import Map, to_numpy
from allyouneed.tracing.looks import Look
from allyouneed.tracing.manifest import Layer
from allyouneed.tracing.trace import softmax

DRAWN = 16
"""Rows of each layer that are compared with its real output."""

WHOLE = 2**26
"""Cells of a layer's maps, all heads together, that are made at once."""

SAME = 1e-3
"""Weights made in two ways differ by rounding alone if they differ by less; more in half precision."""


class TooMany(UserError):
    """A map that cannot be kept; a trace does without its layer and says so."""


class Attended:
    """One look without its padding. `weights`, or q, k and `scale`, are what a trace keeps of it."""

    def __init__(self, name: str, look: Look, rows: np.ndarray, columns: np.ndarray):
        self.name, self.look = name, look
        self.rows, self.columns = (torch.from_numpy(np.flatnonzero(x)).to(look.q.device) for x in (rows, columns))
        self.heads, self.n, self.m = look.q.shape[1], len(self.rows), len(self.columns)
        seen = look.visible()[0]
        seen = seen.expand(seen.shape[0], look.q.shape[2], look.k.shape[2])
        self.visible = seen[:, self.rows][:, :, self.columns].cpu().numpy()  # 1|h n m
        self.drawn = np.unique(np.linspace(0, self.n - 1, min(DRAWN, self.n)).round().astype(int))
        self.weights: np.ndarray | None = None  # h n m
        self.scale: float | None = None
        whole = look.q.shape[1:3].numel() * look.k.shape[2]
        small = self.n * self.m <= (self.n + self.m) * look.q.shape[-1]
        if small or whole <= WHOLE:
            self.weights = to_numpy(look.weights()[0][:, self.rows][:, :, self.columns])
        if not small:
            self.scale = self._fitting()
        if self.scale is not None:
            self.weights = None
        elif self.weights is None:
            raise TooMany(
                f"{name} was left out: it looks in a way that needs all its {whole:,} weights at once; record a shorter "
                "input."
            )

    def q(self) -> np.ndarray:  # h n k
        return to_numpy(self.look.q[0][:, self.rows])

    def k(self) -> np.ndarray:  # h m k
        return to_numpy(self.look.k[0][:, self.columns])

    def map(self) -> Map:
        if self.weights is not None:
            return Map.of(self.weights)
        assert self.scale is not None
        return Map.made(self.q(), self.k(), self.scale, self.visible)

    def _fitting(self) -> float | None:
        """The scale with which softmax(q k^T scale) is what the layer did, told by some rows; None if there is none."""
        if not self.look.q.shape[-1]:
            return None
        q, k, seen = self.q()[:, self.drawn], self.k(), self.visible[:, self.drawn]
        known = getattr(self.look.module, "scale", None)
        scales = [known] if isinstance(known, float) else [q.shape[-1] ** -0.5, 1.0]
        for scale in scales:
            rows = softmax(q @ k.swapaxes(-1, -2) * np.float32(scale), seen)
            if self._fits(rows):
                return scale
        return None

    def _fits(self, rows: np.ndarray) -> bool:
        half = torch.finfo(self.look.q.dtype).bits < 32
        if self.weights is not None:
            return bool(np.abs(rows - self.weights[:, self.drawn]).max(initial=0) < (20 * SAME if half else SAME))
        error = self._error(rows)
        return error is not None and error < (50 * SAME if half else SAME)

    def error(self) -> float | None:
        """Weights times values against the real output, of the rows drawn."""
        rows = self.map().rows
        return self._error(np.concatenate([rows(i, i + 1) for i in self.drawn], axis=1)) if self.n else None

    def _error(self, rows: np.ndarray) -> float | None:  # h r m
        v, output = self.look.v, self.look.output
        if v is None or output is None:
            return None
        seen = torch.from_numpy(rows).to(v.device) @ v[:, :, self.columns].float()  # 1 h r k
        finish: Any = getattr(self.look.module, "finish", None)
        made: Tensor = seen if finish is None else finish(seen.to(output.dtype))
        real = output.index_select(-2, self.rows[torch.from_numpy(self.drawn).to(self.rows.device)])
        return float((made.float() - real.float()).abs().max())

    def causal(self) -> bool:
        """Whether who may be seen is the present and the past and nothing else, the last query being the newest."""
        return self.n > 1 and bool((self.visible == np.tri(self.n, self.m, self.m - self.n, dtype=bool)).all())

    def layer(self) -> Layer:
        error = self.error()
        return Layer(
            module=self.name,
            heads=self.heads,
            scale=1.0 if self.scale is None else self.scale,
            causal=self.causal(),
            error=error,
            output_rows=0 if error is None else len(self.drawn),
        )
