"""The fourteen operations of RandAugment on a whole batch: images b c y x from 0 to 255, a strength of its own for each.

A strength runs from -1 to 1; its sign is the direction where there is one. Their extent at strength 1 is that of the
usual implementations (AutoAugment's at magnitude 10).
"""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R 601-2, as Pillow has it
MIDDLE = 127.5  # what comes in from outside when an image is turned


def grey(images: Tensor) -> Tensor:  # b c y x -> b 1 y x
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(GREY).view(-1, 1, 1)).sum(1, keepdim=True)


def blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`other` at factor 0, the images at 1, more of what tells them apart above."""
    return (other + (images - other) * factor.view(-1, 1, 1, 1)).clamp(0, 255)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    return blend(images, grey(images).mean((1, 2, 3), keepdim=True), factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    return blend(images, grey(images), factor)


def _factor(strength: Tensor) -> Tensor:
    return 1 + 0.9 * strength


def identity(images: Tensor, strength: Tensor) -> Tensor:
    return images


def autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    """Each channel stretched from 0 to 255; one of a single value stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    stretched = (images - low) * (255 / (high - low).clamp(min=1e-6))
    return torch.where(high > low, stretched, images)


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Each channel's values spread so that all are about as frequent, by Pillow's rule."""
    b, c, y, x = images.shape
    values = images.round().long().clamp(0, 255).view(b * c, y * x)
    counts = torch.zeros(b * c, 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, values, torch.ones_like(values))
    highest = values.amax(1, keepdim=True)
    step = (y * x - counts.gather(1, highest)) // 255  # pixels to a value, those of the last value aside
    table = ((counts.cumsum(1) - counts + step // 2) // step.clamp(min=1)).clamp(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.gather(1, values).view_as(images).to(images.dtype)


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """What is brighter than a threshold is inverted."""
    threshold = 256 * (1 - strength.abs()).view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 255 - images, images)


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Fewer bits a channel: eight down to four."""
    step = 2.0 ** (4 * strength.abs()).long().view(-1, 1, 1, 1)
    return (images / step).floor() * step


def colour(images: Tensor, strength: Tensor) -> Tensor:
    return saturation(images, _factor(strength))


def contrasted(images: Tensor, strength: Tensor) -> Tensor:
    return contrast(images, _factor(strength))


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    return blend(images, torch.zeros_like(images), _factor(strength))


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Away from, or towards, a smoothed image; the outermost pixels, which have no neighbours, stay."""
    c = images.shape[1]
    kernel = images.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel.expand(c, 1, 3, 3), groups=c)
    return blend(images, smooth, _factor(strength))


def _moved(images: Tensor, xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Output (x, y), from -1 to 1, shows input (xx x + xy y + right, yx x + yy y + down)."""
    matrix = torch.stack([torch.stack([xx, xy, right], 1), torch.stack([yx, yy, down], 1)], 1)  # b 2 3
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images - MIDDLE, grid, padding_mode="zeros", align_corners=False) + MIDDLE


def rotate(images: Tensor, strength: Tensor) -> Tensor:
    """By up to 30 degrees, counter-clockwise for a strength above 0."""
    angle, zero = strength * (math.pi / 6), torch.zeros_like(strength)
    y, x = images.shape[-2:]
    sine = angle.sin()
    return _moved(images, angle.cos(), -sine * (y / x), sine * (x / y), angle.cos(), zero, zero)


def shear_x(images: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _moved(images, one, 0.3 * strength, zero, one, zero, zero)


def shear_y(images: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _moved(images, one, zero, 0.3 * strength, one, zero, zero)


def translate_x(images: Tensor, strength: Tensor) -> Tensor:
    """By up to 45 % of the width."""
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _moved(images, one, zero, zero, one, 0.9 * strength, zero)


def translate_y(images: Tensor, strength: Tensor) -> Tensor:
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return _moved(images, one, zero, zero, one, zero, 0.9 * strength)


OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": identity, "autocontrast": autocontrast, "equalize": equalize, "rotate": rotate, "solarize": solarize,
    "colour": colour, "posterize": posterize, "contrast": contrasted, "brightness": brightness, "sharpness": sharpness,
    "shear_x": shear_x, "shear_y": shear_y, "translate_x": translate_x, "translate_y": translate_y,
}  # fmt: skip
