"""Residual networks (He et al. 2015, arXiv:1512.03385): a trunk that turns an image into maps, coarser stage by stage.

What differs between papers is given from outside: the stem, the blocks by letter, the norm. Detection reads several
stages (`each`), a classifier the last. Maps run in channels-last memory: in bfloat16 on a CPU the convolutions are
a fifth faster there and the norms need no copy.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.nn.stochastic_depth import StochasticDepth

NormOf = Callable[[int], nn.Module]
ConvOf = Callable[..., nn.Module]


class FrozenBatchNorm(nn.Module):
    """BatchNorm with fixed statistics and fixed gains, as detection takes it from a trained trunk (DETR).

    All four are buffers. The trap: before trained weights are loaded it does nothing, so a trunk that starts from
    random weights has to have a live norm or groups.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:  # b c y x -> b c y x
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)  # type: ignore[arg-type]


NORMS: dict[str, NormOf] = {
    "live": nn.BatchNorm2d,
    "frozen": FrozenBatchNorm,
    # 32 groups, or as many as leave each two channels: one alone on a map of one pixel would be nothing but its mean.
    "group": lambda channels: nn.GroupNorm(math.gcd(32, channels // 2, channels), channels),
}


def convolution(dim_in: int, dim_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution without a bias, for a norm follows, that keeps an image's size at stride 1."""
    return nn.Conv2d(dim_in, dim_out, kernel, stride, dilation * (kernel // 2), dilation, bias=False)


class Residual(nn.Module):
    """relu(shortcut(x) + branch(x)): what a block adds to its input."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None, depth: float = 0.0):
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.depth = StochasticDepth(depth)

    def forward(self, x: Tensor) -> Tensor:  # b c y x -> b c y x
        return F.relu(self.shortcut(x) + self.depth(self.branch(x)), inplace=True)


class Place(NamedTuple):
    """Where a block stands in a trunk, from which its maker knows its sizes."""

    dim_in: int
    dim: int  # of the stage; a bottleneck's output is four times as wide
    stride: int
    reduction: int  # the input's side is the image's, divided by this and rounded up
    dilation: int = 1


def zero_gain(norm: nn.Module) -> nn.Module:
    """The last norm of a branch begins at zero, so that the block begins as its shortcut (Goyal et al. 2017).

    One that is never trained would leave it so for ever: a frozen gain stays.
    """
    for gain in (p for name, p in norm.named_parameters() if name == "weight"):
        nn.init.zeros_(gain)
    return norm


def shortcut(at: Place, dim_out: int, norm: NormOf, conv: ConvOf = convolution) -> nn.Module | None:
    """A 1x1 convolution where the block changes width or size; else nothing."""
    if at.stride == 1 and at.dim_in == dim_out:
        return None
    return nn.Sequential(OrderedDict(conv=conv(at.dim_in, dim_out, 1, at.stride), norm=norm(dim_out)))


def basic(at: Place, norm: NormOf, depth: float = 0.0) -> Residual:
    """Two 3x3 convolutions."""
    branch = nn.Sequential(
        OrderedDict(
            conv1=convolution(at.dim_in, at.dim, 3, at.stride, at.dilation),
            norm1=norm(at.dim),
            relu1=nn.ReLU(inplace=True),
            conv2=convolution(at.dim, at.dim, 3, 1, at.dilation),
            norm2=zero_gain(norm(at.dim)),
        )
    )
    return Residual(branch, shortcut(at, at.dim, norm), depth)


def bottleneck(
    at: Place, norm: NormOf, depth: float = 0.0, middle: nn.Module | None = None, conv: ConvOf = convolution
) -> Residual:
    """1x1 to the stage's width, 3x3 with the stride ("v1.5"), 1x1 to four times the width.

    `middle`, of the stage's width and with the stride, stands in for the 3x3 convolution: a lambda layer does.
    """
    spread = {"dilation": at.dilation} if at.dilation > 1 else {}
    branch = nn.Sequential(
        OrderedDict(
            conv1=conv(at.dim_in, at.dim, 1),
            norm1=norm(at.dim),
            relu1=nn.ReLU(inplace=True),
            conv2=middle or conv(at.dim, at.dim, 3, at.stride, **spread),
            norm2=norm(at.dim),
            relu2=nn.ReLU(inplace=True),
            conv3=conv(at.dim, 4 * at.dim, 1),
            norm3=zero_gain(norm(4 * at.dim)),
        )
    )
    return Residual(branch, shortcut(at, 4 * at.dim, norm, conv), depth)


class SqueezeExcite(nn.Module):
    """Each channel times a gate that all channels' means decide (Hu et al. 2017, arXiv:1709.01507)."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.inner = nn.Linear(channels, max(channels // reduction, 1))
        self.outer = nn.Linear(max(channels // reduction, 1), channels)

    def forward(self, x: Tensor) -> Tensor:  # b c y x -> b c y x
        gates = self.outer(F.relu(self.inner(x.mean((2, 3))))).sigmoid()
        return x * gates[:, :, None, None].to(x.dtype)


BlockOf = Callable[[Place], nn.Module]


def stages(
    order: str, stem_dim: int, dim: int, reduction: int, makers: Mapping[str, BlockOf], widening: Mapping[str, int],
    dilated: bool = False,
) -> list[list[nn.Module]]:  # fmt: skip
    """Blocks by letter, stages by dash: `"cc-cccc-cl"`. Each stage after the first halves the map and doubles the width.

    `widening` is how much wider a letter's output is than its stage. `dilated` keeps the last stage at the size of
    the one before and spreads its kernels instead (DC5 of DETR).
    """
    dim_in, made, parts = stem_dim, [], order.split("-")
    for i, part in enumerate(parts):
        spread = dilated and i == len(parts) - 1
        blocks = []
        for j, letter in enumerate(part):
            stride = 2 if i and not j and not spread else 1
            # The first block of a dilated stage only loses its stride: it reads a map that is not spread yet.
            blocks.append(makers[letter](Place(dim_in, dim << i, stride, reduction, 2 if spread and j else 1)))
            dim_in, reduction = (dim << i) * widening[letter], reduction * stride
        made.append(blocks)
    return made


class ResNet(nn.Module):
    """stem -> stages -> the last stage's map, `b c y x`."""

    def __init__(self, stem: nn.Module, stages: Sequence[Sequence[nn.Module]]):
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)

    def each(self, images: Tensor) -> Iterator[Tensor]:
        """The map after each stage, finest first."""
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        for stage in self.stages:
            x = stage(x)
            yield x

    def forward(self, images: Tensor) -> Tensor:  # b c y x -> b d y' x'
        *_, last = self.each(images)
        return last


def imagenet_stem(channels: int, dim: int, norm: NormOf) -> nn.Sequential:
    """7x7 with stride 2, and a 3x3 maximum with stride 2: reduction 4."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, dim, 7, 2, 3, bias=False),
            norm=norm(dim),
            relu=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(3, 2, 1),
        )
    )


def small_stem(channels: int, dim: int, norm: NormOf, stride: int = 1) -> nn.Sequential:
    """3x3, for images of a few dozen pixels: reduction 1, or 2 with stride 2."""
    return nn.Sequential(
        OrderedDict(conv=convolution(channels, dim, 3, stride), norm=norm(dim), relu=nn.ReLU(inplace=True))
    )


def half_stem(channels: int, dim: int, norm: NormOf) -> nn.Sequential:
    """`small_stem` at half the size: reduction 2."""
    return small_stem(channels, dim, norm, 2)


def init_convolutions(model: nn.Module) -> None:
    """He et al. 2015 (arXiv:1502.01852): normal, variance 2 / (outputs x kernel area)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
