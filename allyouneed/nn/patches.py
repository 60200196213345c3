"""From an image to tokens: the image is cut into squares, and each becomes a vector (Dosovitskiy et al. 2021).

Letters here: c channels, y x rows and columns. A map is `b c y x`; as tokens it is `b (y x) c`, row after row.
"""

import torch
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.nn.dropout import Dropout


def grid_side(image_size: int, patch: int, name: str = "patch") -> int:
    """How many patches stand side by side; a UserError where they do not fill the image."""
    if image_size % patch:
        below = image_size - image_size % patch
        nearest = f"{below} and {below + patch}" if below else f"{patch}"
        raise UserError(
            f"image_size {image_size} cannot be cut into squares of {patch} pixels (model.{name}); "
            f"the nearest that can: {nearest}"
        )
    return image_size // patch


def to_tokens(x: Tensor) -> Tensor:  # b c y x -> b (y x) c
    return x.flatten(2).transpose(1, 2)


def to_map(x: Tensor, grid: tuple[int, int]) -> Tensor:  # b (y x) c -> b c y x
    return x.transpose(1, 2).unflatten(2, grid)


class Patches(nn.Module):
    """Each square of `patch` x `patch` pixels as one vector: `b c y x -> b n d`.

    Published models call it a convolution whose stride is its width. It is the same product, and on a CPU the plain
    one is faster; a kernel `d c p p` of theirs, flattened to `d (c p p)`, is the weight here.
    """

    def __init__(self, channels: int, dim: int, patch: int, side: int):
        super().__init__()
        self.patch, self.side, self.channels = patch, side, channels
        self.project = nn.Linear(channels * patch * patch, dim)

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.side * self.patch
        if images.shape[1:] != (self.channels, pixels, pixels):
            found = " x ".join(map(str, images.shape[1:]))
            raise ValueError(f"This model reads maps of {self.channels} x {pixels} x {pixels}, and was given {found}.")
        x = images.unflatten(3, (self.side, self.patch)).unflatten(2, (self.side, self.patch))  # b c y p x p
        x = x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # b (y x) (c p p)
        # The sum that runs through the layers stays as wide as the image was, whatever autocast computes in.
        return self.project(x).to(images.dtype)


class ImageInput(nn.Module):
    """dropout(patches + positions), after a class token if there is one, which gathers what the answer needs."""

    def __init__(self, patches: nn.Module, positions: nn.Module, dim: int, prefix: int = 0, dropout: float = 0.0):
        super().__init__()
        self.patches = patches
        self.positions = positions
        self.prefix = nn.Parameter(torch.zeros(prefix, dim)) if prefix else None
        self.dropout = Dropout(dropout)

    def forward(self, images: Tensor) -> Tensor:  # b c y x -> b n d
        x = self.patches(images)
        if self.prefix is not None:
            x = torch.cat([self.prefix.to(x.dtype).expand(x.shape[0], -1, -1), x], dim=1)
        return self.dropout(self.positions(x))
