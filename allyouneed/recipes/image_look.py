"""`run.look(image)`: what an image classifier did with one image, as a trace."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from allyouneed.data.augment import normalised
from allyouneed.errors import UserError
from allyouneed.tracing.manifest import Array
from allyouneed.tracing.seeing import card_of, classes, see
from allyouneed.tracing.trace import Trace

PICTURE = "picture"
LARGEST = 100_000_000
"""Pixels of an image that is sent in bytes: a small file can claim to hold any number of them."""


def look_at_image(run: Any, image: Any, name: str = "") -> Trace:
    """A file, its bytes, or an image that is open already. `name` is what a reader sees of it."""
    if isinstance(image, str | Path):
        name = name or Path(image).name
    pixels = run.pixels(_opened(image) if isinstance(image, bytes) else image)  # c y x
    given = normalised(torch.from_numpy(pixels.copy()), run.learning.mean, run.learning.std)[None]
    seen = see(run.model, [given], {}, card_of(run), title=name)
    arrays = {**seen.arrays, PICTURE: shown(pixels)}
    manifest = seen.manifest
    for space in manifest.spaces.values():
        space.picture = Array(PICTURE) if space.kind == "grid" else None
    manifest.classes = classes("the class", run.classes, seen.output[0].softmax(-1))
    manifest.output = manifest.classes.names[0]
    return Trace(manifest, arrays)


def _opened(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
    except Exception:  # Pillow's readers raise whatever their formats suggest
        raise UserError("the file is no image that can be read; give a JPEG, PNG or WebP file") from None
    if math.prod(image.size) > LARGEST:
        raise UserError(f"the image has {math.prod(image.size):,} pixels, and the limit is {LARGEST:,}; shrink it")
    return image


def shown(pixels: np.ndarray) -> np.ndarray:  # c y x -> y x 3
    """The image as the model saw it: of one channel, or two, the first is shown as grey."""
    colours = pixels if len(pixels) == 3 else np.repeat(pixels[:1], 3, 0)
    return np.ascontiguousarray(colours.transpose(1, 2, 0))
