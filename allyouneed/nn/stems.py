"""Stems: what stands between an image and the layers where a single product per patch is not enough."""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.nn.patches import Patches, grid_side
from allyouneed.nn.resnet import NormOf, Place, ResNet, bottleneck, convolution, stages

GROUP_EPS = 1e-6  # Flax


def _normed(dim_in: int, dim_out: int, stride: int, norm: NormOf, kernel: int = 3) -> list[nn.Module]:
    return [convolution(dim_in, dim_out, kernel, stride), norm(dim_out), nn.ReLU(inplace=True)]


def conv_stem(channels: int, dim: int, patch: int, side: int) -> nn.Sequential:
    """3x3 convolutions that halve the image until a patch is a pixel, then a 1x1 (Xiao et al. 2021, arXiv:2106.14881)."""
    halvings = patch.bit_length() - 1
    if patch != 1 << halvings:
        raise UserError(f"model.stem=conv halves the image, so model.patch has to be a power of two, not {patch}")
    layers, dim_in = [], channels
    for i in range(halvings):
        dim_out = max(dim >> (halvings - 1 - i), 1)
        layers += _normed(dim_in, dim_out, 2, nn.BatchNorm2d)
        dim_in = dim_out
    return nn.Sequential(*layers, Patches(dim_in, dim, 1, side))


def deep_stem(channels: int, dim: int, norm: NormOf) -> nn.Sequential:
    """Three 3x3 convolutions and a fourth with stride 2 where others take a maximum: ResNet-RS (Bello et al. 2021,
    arXiv:2103.07579). Reduction 4."""
    half = max(dim // 2, 1)
    return nn.Sequential(
        *_normed(channels, half, 2, norm), *_normed(half, half, 1, norm), *_normed(half, dim, 1, norm),
        *_normed(dim, dim, 2, norm),
    )  # fmt: skip


def wide_stem(channels: int, dim: int, patch: int, side: int) -> nn.Sequential:
    """SPACH's conv4: three convolutions of 64 channels at half the size, then patches of half the width."""
    if patch % 2:
        raise UserError(f"model.stem=conv4 halves the image, so model.patch has to be even, not {patch}")
    norm = nn.BatchNorm2d
    return nn.Sequential(
        *_normed(channels, 64, 2, norm, 7), *_normed(64, 64, 1, norm), *_normed(64, 64, 1, norm),
        Patches(64, dim, patch // 2, side),
    )  # fmt: skip


# ---- the hybrid of ViT: a ResNet of standardised kernels and groups, padded as TensorFlow pads


def same_padding(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Padding that makes the output ceil(size / stride); an odd pixel goes right and below, where torch's go left too."""
    sides = []
    for size in (x.shape[3], x.shape[2]):
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value) if any(sides) else x


class StandardConv(nn.Conv2d):
    """A convolution whose kernel has mean 0 and deviation 1 per output (Qiao et al. 2019, arXiv:1903.10520).

    The official code adds 1e-5 to the deviation; timm adds 1e-8 to the variance, and differs by 1e-3 for it.
    """

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int = 1):
        super().__init__(dim_in, dim_out, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # b c y x -> b c y x
        deviation, mean = torch.std_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        kernel = (self.weight - mean) / (deviation + 1e-5)
        return F.conv2d(same_padding(x, self.kernel_size[0], self.stride[0]), kernel, None, self.stride)


class SameMaxPool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:  # b c y x -> b c y/2 x/2
        return F.max_pool2d(same_padding(x, 3, 2, float("-inf")), 3, 2)


def _groups(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(32, channels), channels, eps=GROUP_EPS)


def resnet_stem(
    channels: int, dim: int, patch: int, image_size: int, depths: Sequence[int], width: int = 64
) -> nn.Sequential:
    """The paper's hybrid (section 3.1): a ResNet, and patches of its map. Stages are 4 times wider than `width` 2^i."""
    reduction = 4 << (len(depths) - 1)
    if patch % reduction:
        raise UserError(
            f"model.resnet={'-'.join(map(str, depths))} makes the image {reduction} times smaller, "
            f"so model.patch has to be a multiple of {reduction}, not {patch}"
        )
    root = nn.Sequential(
        OrderedDict(
            conv=StandardConv(channels, width, 7, 2),
            norm=_groups(width),
            relu=nn.ReLU(inplace=True),
            pool=SameMaxPool(),
        )
    )

    def block(at: Place) -> nn.Module:
        return bottleneck(at, _groups, conv=StandardConv)

    order = "-".join("c" * depth for depth in depths)
    trunk = ResNet(root, stages(order, width, width, 4, {"c": block}, {"c": 4}))
    side = grid_side(image_size, patch)
    return nn.Sequential(trunk, Patches(4 * width << (len(depths) - 1), dim, patch // reduction, side))
