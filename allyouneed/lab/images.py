"""Small classifiers of images trained inside an experiment: on the embedded digits, or on images of one's own."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from allyouneed.data.gallery import Gallery, open_gallery
from allyouneed.data.image_settings import AUGMENTATIONS, ImageSettings
from allyouneed.data.images import ImageCorpus, look_at, natural_side, read_images
from allyouneed.data.pixels import Shape
from allyouneed.lab.claim import Trial
from allyouneed.lab.training import train
from allyouneed.tasks.class_scores import class_scores
from allyouneed.tasks.image_classification import ImageClassificationTask, Learning, judge
from allyouneed.training.settings import TrainingSettings

HELD_OUT = 2000  # images at most that a model is judged by
BATCH = 64


class Pictures(NamedTuple):
    """A set of images at one size, and how its pixels are scaled."""

    train: Gallery
    val: Gallery
    classes: list[str]
    side: int
    channels: int
    learning: Learning

    def task(self, augment: str = "none") -> ImageClassificationTask:
        learning = self.learning._replace(augmentation=AUGMENTATIONS[augment])
        return ImageClassificationTask(self.train, self.val, self.classes, learning)

    def numbers(self) -> dict[str, int]:
        """What every model takes from the data."""
        return {"classes": len(self.classes), "channels": self.channels, "image_size": self.side}


def corpus_of(trial: Trial, most: int) -> ImageCorpus:
    """At most so many training images, drawn by the seed; judged by what is held out of training, never by a test set."""
    most = min(most, 160) if trial.quick else most
    path = None if trial.data is None else str(trial.data)
    return read_images(ImageSettings(path=path, split_seed=trial.seed, max_images=most))


def pictures(trial: Trial, most: int, grid: int | None = None, side: int | None = None) -> Pictures:
    """The images, square. With `grid`, of the nearest side that parts into so many patches of even size."""
    corpus = corpus_of(trial, most)
    headers = look_at(corpus.train, 1)
    natural = min(natural_side(headers), 32)
    if grid is not None:
        natural = max(1, round(natural / grid)) * grid
    side = side or natural
    channels = 1 if all(header.grey for header in headers) else 3
    held = corpus.val.take(np.arange(min(len(corpus.val), 64 if trial.quick else HELD_OUT)))
    shape = Shape(channels, side, "stretch")
    train, val = (open_gallery(images, corpus.classes, shape, workers=1) for images in (corpus.train, held))
    pixels = train.pixels(np.arange(len(train))).images / 255
    mean, std = (tuple(float(x) for x in f(pixels, axis=(0, 2, 3))) for f in (np.mean, np.std))
    learning = Learning(side, mean, tuple(max(x, 1e-3) for x in std), batch_size=BATCH, seed=trial.seed)
    return Pictures(train, val, corpus.classes, side, channels, learning)


def trained(
    model: nn.Module, found: Pictures, trial: Trial, steps: int, tick: Callable[[float], None], dim: int,
    augment: str = "none", rate: float = 1e-3,
) -> nn.Module:  # fmt: skip
    """The model after so many updates, its weights averaged."""
    settings = TrainingSettings(
        max_steps=4 if trial.quick else steps, learning_rate=rate, warmup_steps=max(1, min(100, steps // 10)),
        weight_decay=0.05, beta2=0.99, eps=1e-8, ema_decay=0.99, label_smoothing=0.0, threads=1, seed=trial.seed,
    )  # fmt: skip
    torch.manual_seed(trial.seed)
    return train(model, found.task(augment), settings, tick, dim)


def accuracy(model: nn.Module, found: Pictures, gallery: Gallery | None = None) -> float:
    """The share of held-out images (or of another gallery's) that the model knows."""
    return float(class_scores(*judge(model, gallery or found.val, found.learning))["accuracy"])


def parameters(build: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build().parameters())
