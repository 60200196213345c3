"""What the settings of an image classifier leave open, settled by the images: size, colour, patches, batches, pace."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from allyouneed.data.gallery import Gallery
from allyouneed.data.images import ImageCorpus, is_small, look_at, natural_side
from allyouneed.data.pixels import Header
from allyouneed.errors import UserError
from allyouneed.recipes.job import Kind, build
from allyouneed.settings import override

MEASURED = 2000  # images from which mean and standard deviation are taken
LARGEST_BATCH, SMALLEST_BATCH = 128, 16
UPDATES = 4000  # of a run that has no limit: enough for a small model to learn from few images
EPOCHS = (30, 300)  # but at least and at most so many
BETWEEN = 100  # updates between validations at least


def fitted(kind: Kind, settings: Any, corpus: ImageCorpus) -> Any:
    """The settings with channels, size, classes, batch and kind of augmentation that suit the images and the model."""
    headers = look_at(corpus.train, settings.data.workers)
    channels = settings.data.channels or (1 if headers and all(header.grey for header in headers) else 3)
    batch = settings.data.batch_size or batch_for(len(corpus.train))
    words = [f"data.channels={channels}", f"data.batch_size={batch}", f"model.channels={channels}",
             f"model.classes={len(corpus.classes)}"]  # fmt: skip
    settings = sized(kind, override(settings, words), headers)
    auto = "shift" if is_small(settings.data.image_size) else "photos"
    settings = override(settings, [f"augment.preset={auto}"]) if settings.augment.preset == "auto" else settings
    return paced(settings, len(corpus.train))


def suiting(words: Mapping[str, Any], side: int) -> int:
    """The patch for images of this size: the default's by as many powers of two as they are larger than the default's."""
    patch, usual = words["patch"], words["image_size"]
    return max(round(patch * 2.0 ** round(math.log2(side / usual))), patch // 2, 1)


def batch_for(images: int) -> int:
    """A power of two, so that an epoch of a few hundred images is more than a handful of updates."""
    fits = 1 << max(images // 32, 1).bit_length() - 1
    return min(max(fits, SMALLEST_BATCH), LARGEST_BATCH)


def paced(settings: Any, images: int) -> Any:
    """With a limit where there is none, and with validations that are no more frequent than is useful."""
    t, words = settings.training, []
    updates = max(1, round(images / settings.data.batch_size / t.accumulate))
    if not (t.max_steps or t.max_epochs or t.max_minutes):
        words.append(f"training.max_epochs={min(max(UPDATES // updates, EPOCHS[0]), EPOCHS[1])}")
    if t.validate_every == 0 and updates < BETWEEN:
        words.append(f"training.validate_every={-(-BETWEEN // updates) * updates}")
    return override(settings, words)


def sized(kind: Kind, settings: Any, headers: Sequence[Header]) -> Any:
    """With the size that was asked for, or with the first from the images' own on that the model can be built for."""
    given = settings.data.image_size
    natural = given or natural_side(headers)
    for side in [] if given else range(natural, 2 * natural):
        try:
            return _built(kind, of_side(settings, side))
        except UserError:
            continue
    return _built(kind, of_side(settings, natural))


def of_side(settings: Any, side: int) -> Any:
    """The settings for images of this size: where a patch is the default's, it becomes one that suits."""
    words = [f"data.image_size={side}", f"model.image_size={side}"]
    usual, own = type(settings.model)().model_dump(), settings.model.model_dump()
    if settings.data.suit and own.get("patch") == usual.get("patch") is not None:
        words.append(f"model.patch={suiting(usual, side)}")
    if settings.data.suit and own.get("stem") == "small" and not is_small(side):
        words.append("model.stem=imagenet")
    return override(settings, words)


def _built(kind: Kind, settings: Any) -> Any:
    """The settings, if the model can be built from them, which is tried at no cost: a UserError says why it cannot."""
    with torch.device("meta"):
        build(kind, settings)
    return settings


def measured(settings: Any, train: Gallery) -> Any:
    """The settings with the mean and standard deviation of each channel of the training images, where none are given."""
    count = settings.data.channels
    for name in ("mean", "std"):
        given = getattr(settings.data, name)
        if given is not None and len(given) not in (1, count):
            raise UserError(f"data.{name} has {len(given)} values and the images {count} channel(s); give 1 or {count}")
    if settings.data.mean is not None and settings.data.std is not None:
        return settings
    rows = np.unique(np.linspace(0, len(train) - 1, min(len(train), MEASURED)).astype(int))
    images = train.pixels(rows).images.astype(np.float64) / 255
    figures = {"mean": images.mean((0, 2, 3)), "std": np.maximum(images.std((0, 2, 3)), 1e-3)}
    words = [f"data.{name}={[round(float(value), 4) for value in values]}" for name, values in figures.items()
             if getattr(settings.data, name) is None]  # fmt: skip
    return override(settings, words)
