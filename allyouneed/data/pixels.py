"""One image file to one square of bytes: whatever it holds (palettes, alpha, 16 bits, a camera's rotation) is seen to."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
PAPER = (255, 255, 255, 255)
"""What shines through where an image is transparent: pictures cut out of their background are mostly meant for white."""


class Unreadable(Exception):
    """Why an image cannot be used, in a few words."""


class Shape(NamedTuple):
    """What every image becomes: `channels` x `side` x `side` bytes."""

    channels: int
    side: int
    fit: str = "crop"
    zoom: float = 1.0  # of a crop: the shorter edge becomes side * zoom, and the middle is taken

    @property
    def size(self) -> int:
        """Bytes of an image."""
        return self.channels * self.side**2


class Header(NamedTuple):
    """What is known of an image before it is decoded."""

    width: int
    height: int
    grey: bool


def read_header(source: Path | np.ndarray) -> Header:
    """Size (as it will be shown) and colour of an image. Unreadable where it is none."""
    if isinstance(source, np.ndarray):
        return Header(source.shape[1], source.shape[0], source.ndim == 2)
    with _opened(source) as image:
        width, height = image.size
        turned = _orientation(image) in (5, 6, 7, 8)
        return Header(*((height, width) if turned else (width, height)), image.mode in GREY_MODES)


def decode(source: Path | np.ndarray | Image.Image, shape: Shape) -> np.ndarray:  # -> c side side, uint8
    """An image from a file, from its pixels y x [3] in bytes, or as Pillow has it. Unreadable where it cannot be."""
    if isinstance(source, Image.Image):
        return _squared(source, shape)
    if isinstance(source, np.ndarray):
        return _squared(Image.fromarray(source), shape)
    with _opened(source) as image:
        return _squared(image, shape)


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large images and odd metadata: read all the same
            return Image.open(path)
    except Exception as fault:  # Pillow's readers raise whatever their formats suggest
        raise Unreadable(reason(fault)) from None


def reason(fault: Exception) -> str:
    """A fault in the words of a person, without the address of an object."""
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror.lower()
    text = " ".join(str(fault).split())
    if "cannot identify image file" in text:
        return "no image"
    return text[:80] or type(fault).__name__


def _squared(image: Image.Image, shape: Shape) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A JPEG can be decoded at a half, a quarter, an eighth of its size, which saves most of the work.
            image.draft(None, (2 * round(shape.side * shape.zoom),) * 2)
            upright = ImageOps.exif_transpose(image)
            placed = _placed(_plain(upright, "L" if shape.channels == 1 else "RGB"), shape)
    except Exception as fault:  # a crash in the middle of training would cost more than any image is worth
        raise Unreadable(reason(fault)) from None
    pixels = np.asarray(placed)
    return np.ascontiguousarray(pixels[None] if shape.channels == 1 else pixels.transpose(2, 0, 1))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # torn metadata: the image itself may be whole
        return 1


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """Eight bits a channel, no palette, nothing transparent."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _eight_bits(image).convert(mode)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, PAPER), over).convert(mode)
    return image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16 bits by their upper eight, whatever the image makes of them; 32 bits and floats by the range that they use."""
    values: Any = np.nan_to_num(np.asarray(image).astype(np.float64))
    if image.mode == "F":
        values = values * (255 if values.max(initial=0) <= 1 else 1)
    elif image.mode != "I" or values.max(initial=0) > 255:
        values = values / 257  # 65,535 becomes 255
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _placed(image: Image.Image, shape: Shape) -> Image.Image:
    """The image in its square. Shrinking averages over all pixels it leaves out (Pillow's filters do)."""
    side = (shape.side, shape.side)
    if shape.fit == "stretch":
        return image.resize(side, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if shape.fit == "pad":
        return ImageOps.pad(image, side, Image.Resampling.BICUBIC)
    inner = min(image.size) / shape.zoom
    left, top = ((edge - inner) / 2 for edge in image.size)
    return image.resize(side, Image.Resampling.BICUBIC, (left, top, left + inner, top + inner), reducing_gap=3.0)
