"""Training images varied, a whole batch at a time and on any device.

What happens to an image is drawn from (seed, epoch, the image's number) alone: neither the batch that it is in, nor the
number of workers, nor the device matters, so a resumed run sees the same pictures. Numbers are drawn first (`draw`),
and everything after that is a plain function of images and numbers.
"""

from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from allyouneed.data.image_operations import OPERATIONS, contrast, saturation
from allyouneed.data.image_settings import Augmentation

RATIOS = (3 / 4, 4 / 3)  # width to height of random crops (Szegedy et al. 2015)
ERASED_AREA = (0.02, 1 / 3)  # random erasing's (Zhong et al. 2020)
ERASED_RATIOS = (0.3, 1 / 0.3)
MOST_OPERATIONS = 8


class Drawn(IntEnum):
    """The columns of the numbers drawn for an image; two for each operation of RandAugment follow."""

    SHIFT_Y = 0
    SHIFT_X = 1
    FLIP = 2
    AREA = 3
    RATIO = 4
    CROP_Y = 5
    CROP_X = 6
    BRIGHTNESS = 7
    CONTRAST = 8
    SATURATION = 9
    ERASE = 10
    ERASE_AREA = 11
    ERASE_RATIO = 12
    ERASE_Y = 13
    ERASE_X = 14
    MIX = 15
    MIX_SHARE = 16
    MIX_Y = 17
    MIX_X = 18
    OPERATION = 19


COLUMNS = Drawn.OPERATION + 2 * MOST_OPERATIONS


def draw(seed: int, epoch: int, index: np.ndarray) -> Tensor:  # b -> b columns
    """Numbers from 0 to 1 that depend on seed, epoch and each image's own number.

    SplitMix64 (Steele, Lea and Flood 2014) read at the places that belong to the image: random access, without a loop.
    """
    start = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    place = index.astype(np.uint64)[:, None] * np.uint64(COLUMNS) + np.arange(1, COLUMNS + 1, dtype=np.uint64)
    z: np.ndarray = start + place * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return torch.from_numpy((z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24))


def varied(images: Tensor, drawn: Tensor, a: Augmentation, size: int) -> Tensor:
    """Images b c s s in bytes cropped, shifted, mirrored and coloured: b c size size, from 0 to 255."""
    if a.smallest < 1:
        images = crops(images.float(), drawn, a, size)
    elif a.shift or a.flip:
        images = shifted(images, drawn, a)
    if a.colour:
        images = coloured(images.float(), drawn, a.colour)
    if a.randaugment:
        images = randaugmented(images.float(), drawn, a.randaugment, a.magnitude / 10)
    return images


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """From 0 to 255 to numbers around zero; `mean` and `std` are of a channel each (or one for all), black 0, white 1."""
    scale, less = (images.new_tensor(values, dtype=torch.float32).view(-1, 1, 1) * 255 for values in (std, mean))
    return (images - less) / scale


def between(drawn: Tensor, low: float, high: float) -> Tensor:
    return low + drawn * (high - low)


def even_ratio(drawn: Tensor, low: float, high: float) -> Tensor:
    """A ratio whose logarithm is uniform: as often 1 to 2 as 2 to 1."""
    return torch.exp(between(drawn, float(np.log(low)), float(np.log(high))))


def is_flipped(drawn: Tensor, a: Augmentation) -> Tensor:  # b
    return drawn[:, Drawn.FLIP] < a.flip


def shifted(images: Tensor, drawn: Tensor, a: Augmentation) -> Tensor:
    """Moved by whole pixels, with black coming in from outside, and mirrored: what is often called crop with padding."""
    b, _, height, width = images.shape
    down, right = (_steps(drawn[:, column], a.shift, side)
                   for column, side in ((Drawn.SHIFT_Y, height), (Drawn.SHIFT_X, width)))  # fmt: skip
    y = torch.arange(height, device=images.device) + down  # b height
    x = torch.arange(width, device=images.device).expand(b, -1)
    x = torch.where(is_flipped(drawn, a)[:, None], width - 1 - x, x) + right
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    at = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]  # b height width
    moved = images.flatten(2).gather(2, at.flatten(1)[:, None].expand(-1, images.shape[1], -1)).view_as(images)
    return moved * inside[:, None]


def _steps(drawn: Tensor, share: float, side: int) -> Tensor:  # b -> b 1
    most = round(share * side)
    return (drawn[:, None] * (2 * most + 1)).long().clamp(max=2 * most) - most


def crops(images: Tensor, drawn: Tensor, a: Augmentation, size: int) -> Tensor:
    """A part of each image, of any size and of ratios from 3:4 to 4:3, brought to size x size, and mirrored."""
    area = between(drawn[:, Drawn.AREA], a.smallest, 1.0)
    ratio = even_ratio(drawn[:, Drawn.RATIO], *RATIOS)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    right = (2 * drawn[:, Drawn.CROP_X] - 1) * (1 - width)
    down = (2 * drawn[:, Drawn.CROP_Y] - 1) * (1 - height)
    zero, sign = torch.zeros_like(area), 1 - 2 * is_flipped(drawn, a).float()
    matrix = torch.stack([torch.stack([width * sign, zero, right], 1), torch.stack([zero, height, down], 1)], 1)
    grid = F.affine_grid(matrix, [len(images), images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def coloured(images: Tensor, drawn: Tensor, strength: float) -> Tensor:
    """Brightness, contrast and, where there is colour, saturation, each times a factor around one."""
    factors = [between(drawn[:, column], 1 - strength, 1 + strength)
               for column in (Drawn.BRIGHTNESS, Drawn.CONTRAST, Drawn.SATURATION)]  # fmt: skip
    images = (images * factors[0].view(-1, 1, 1, 1)).clamp(0, 255)
    return saturation(contrast(images, factors[1]), factors[2])


def randaugmented(images: Tensor, drawn: Tensor, count: int, strength: float) -> Tensor:
    """RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719): `count` of 14 operations after one another.

    Those images of the batch that drew the same operation go through it together.
    """
    for i in range(count):
        chosen = (drawn[:, Drawn.OPERATION + 2 * i] * len(OPERATIONS)).long()
        side = torch.where(drawn[:, Drawn.OPERATION + 2 * i + 1] < 0.5, -strength, strength)
        out = images.clone()
        for number, operation in enumerate(OPERATIONS.values()):
            rows = (chosen == number).nonzero()[:, 0]
            if len(rows):
                out[rows] = operation(images[rows], side[rows])
        images = out
    return images


def erased(images: Tensor, drawn: Tensor, probability: float) -> Tensor:
    """A rectangle of some of the normalised images becomes zero, the mean (Zhong et al. 2020, arXiv:1708.04896)."""
    area = between(drawn[:, Drawn.ERASE_AREA], *ERASED_AREA)
    ratio = even_ratio(drawn[:, Drawn.ERASE_RATIO], *ERASED_RATIOS)
    height, width = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    top, left = drawn[:, Drawn.ERASE_Y] * (1 - height), drawn[:, Drawn.ERASE_X] * (1 - width)
    inside = _box(images, top, left, top + height, left + width)
    return images.masked_fill(inside & (drawn[:, Drawn.ERASE] < probability).view(-1, 1, 1, 1), 0.0)


def _box(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:  # b 1 y x
    """True inside the rectangles, whose edges are shares of the sides: b."""
    height, width = images.shape[-2:]
    y = (torch.arange(height, device=images.device) + 0.5) / height
    x = (torch.arange(width, device=images.device) + 0.5) / width
    rows = (y >= top[:, None]) & (y < bottom[:, None])  # b y
    columns = (x >= left[:, None]) & (x < right[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


class Mixed(NamedTuple):
    images: Tensor  # b c y x
    targets: Tensor  # b classes


def mixed(images: Tensor, targets: Tensor, drawn: Tensor, a: Augmentation) -> Mixed:
    """Mixup (Zhang et al. 2018, arXiv:1710.09412) and cutmix (Yun et al. 2019, arXiv:1905.04899), half and half.

    Each image meets the one before it in the batch, whose order is random; its label keeps the share of what is left.
    """
    partner, partner_targets = images.roll(1, 0), targets.roll(1, 0)
    cut = drawn[:, Drawn.MIX] < (0.5 if a.mixup and a.cutmix else float(a.cutmix > 0))
    share = torch.where(cut, _beta(drawn, a.cutmix), _beta(drawn, a.mixup))  # of the image's own
    edge = (1 - share).sqrt() / 2
    y, x = drawn[:, Drawn.MIX_Y], drawn[:, Drawn.MIX_X]
    box = _box(images, y - edge, x - edge, y + edge, x + edge) & cut.view(-1, 1, 1, 1)
    share = torch.where(cut, 1 - box.float().mean((1, 2, 3)), share)  # the rectangle may reach over the image's edge
    blend = torch.where(cut, 1.0, share).view(-1, 1, 1, 1)
    images = torch.where(box, partner, blend * images + (1 - blend) * partner)
    return Mixed(images, share[:, None] * targets + (1 - share[:, None]) * partner_targets)


def _beta(drawn: Tensor, alpha: float) -> Tensor:  # b
    """From uniform numbers to those of Beta(alpha, alpha), by its quantiles."""
    table = _quantiles(alpha).to(drawn.device)
    return table[(drawn[:, Drawn.MIX_SHARE] * len(table)).long()]


@cache
def _quantiles(alpha: float, count: int = 4096) -> Tensor:
    """The quantiles of Beta(alpha, alpha), from as many samples; ones where alpha is 0, which mixes nothing."""
    if alpha == 0:
        return torch.ones(count)
    samples = np.random.default_rng(0).beta(alpha, alpha, count)
    return torch.from_numpy(np.sort(samples).astype(np.float32))
