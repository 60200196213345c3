"""Convolution along the text: each position sees its neighbours through one kernel that slides.

Stacked, kernels of width k reach (k - 1) positions further per layer; with dilations 1, 2, 4, ... the reach doubles per
layer, so that a path between two places is O(log n) long (Vaswani et al. 2017, table 1; van den Oord et al. 2016).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.layer import Context, Layer


def real(x: Tensor, mask: Tensor | None) -> Tensor:  # b n d, b 1 1 n -> b n d
    """Zeros in place of padding: a kernel does not know a mask, and would carry it into its neighbours."""
    return x if mask is None else x * mask[:, 0, 0, :, None].to(x.dtype)


class Convolution(Layer):
    """relu(conv(x)), centred: `kernel // 2` positions to the left and as many to the right, `dilation` apart."""

    outputs = 1  # channels that the kernel makes, in widths

    def __init__(self, dim: int, kernel: int = 3, dilation: int = 1, out_dim: int | None = None):
        super().__init__()
        self.conv = nn.Conv1d(dim, self.outputs * (out_dim or dim), kernel, dilation=dilation)
        self.reach = (kernel - 1) * dilation  # how many positions a place sees besides itself

    def activation(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def slide(self, x: Tensor) -> Tensor:  # b n+reach d -> b n d
        return self.activation(self.conv(x.transpose(1, 2)).transpose(1, 2))

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        left = self.reach // 2
        return self.slide(F.pad(real(x, context.mask), (0, 0, left, self.reach - left)))


class GatedConvolution(Convolution):
    """The gated linear unit of Dauphin et al. 2017: one half of the channels opens or shuts the other, a * sigmoid(b)."""

    outputs = 2

    def activation(self, x: Tensor) -> Tensor:  # b n 2d -> b n d
        return F.glu(x, dim=-1)


class CausalConvolution(Convolution):
    """The same without a look ahead: all of the reach lies to the left. The cache holds the inputs within reach."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return self.slide(F.pad(real(x, context.mask), (0, 0, self.reach, 0))) if x.shape[1] else x

    def init_cache(self, x: Tensor, context: Context) -> Tensor:  # r reach d
        return x.new_zeros(x.shape[0], self.reach, x.shape[2])

    def step(self, x: Tensor, cache: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        window = torch.cat([cache, x], dim=1)  # r reach+1 d
        (dilation,) = self.conv.dilation
        seen = window[:, ::dilation].transpose(1, 2).flatten(1)  # r (d kernel): one product, faster than to slide once
        new = F.linear(seen, self.conv.weight.flatten(1), self.conv.bias)
        return self.activation(new[:, None]), window[:, 1:]


class CausalGatedConvolution(CausalConvolution, GatedConvolution):
    """The gated linear unit without a look ahead: a layer of the convolutional language model (Dauphin et al. 2017)."""
