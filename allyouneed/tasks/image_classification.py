"""Image classification: cross-entropy against labels that may be smoothed and mixed, judged by accuracy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from allyouneed.data.augment import draw, erased, mixed, normalised, varied
from allyouneed.data.gallery import Gallery, Progress
from allyouneed.data.image_settings import Augmentation
from allyouneed.nn.heads import NO_SMOOTHING, Smoothing
from allyouneed.tasks.class_scores import class_scores
from allyouneed.tasks.task import Group, trainable

UNKNOWN = -1
"""The label of an image that could not be read in time: it teaches nothing and is not judged."""


class Batch(NamedTuple):
    """Images as they were decoded. They are varied where the model is, so that bytes and not floats travel there."""

    images: Tensor  # b c s s, uint8
    labels: Tensor  # b
    drawn: Tensor  # b columns, see `data.augment.draw`


class Learning(NamedTuple):
    """The numbers of the task's loss and batches."""

    image_size: int
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    augmentation: Augmentation = Augmentation()
    smoothing: Smoothing = NO_SMOOTHING
    batch_size: int = 128
    seed: int = 1


class Example(NamedTuple):
    """What the model learns from: images and the probability of each class."""

    images: Tensor  # b c size size
    targets: Tensor  # b classes


class ImageClassificationTask:
    """See `Task`. `train` and `val` are decoded images; the model maps b c y x to logits of the classes."""

    metric = "accuracy"
    players: Sequence[str] = ("model",)

    def __init__(self, train: Gallery, val: Gallery, classes: Sequence[str], learning: Learning):
        self.train, self.val, self.classes, self.learning = train, val, list(classes), learning
        self.next: dict[bytes, np.ndarray] = {}  # each batch's follower, to be decoded in time

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Shuffled, in batches that differ by one image at most: a last one of two images would upset batch norms."""
        order = np.random.default_rng([self.learning.seed, epoch]).permutation(len(self.train))
        batches = np.array_split(order, -(-len(order) // self.learning.batch_size))
        self.next = {batch.tobytes(): after for batch, after in zip(batches, batches[1:], strict=False)}
        return batches

    def weight(self, batch: np.ndarray, epoch: int) -> int:
        return len(batch)

    def tokens(self, batch: np.ndarray, epoch: int) -> int:
        return len(batch)

    def collate(self, batch: np.ndarray, epoch: int) -> Batch:
        pixels = self.train.pixels(batch)
        if (after := self.next.get(batch.tobytes())) is not None:
            self.train.pixels.expect(after)
        labels = np.where(pixels.whole, self.train.labels[batch], UNKNOWN)
        drawn = draw(self.learning.seed, epoch, batch)
        return Batch(torch.from_numpy(pixels.images), torch.from_numpy(labels), drawn)

    def parameters(self, model: nn.Module, player: str) -> list[Group]:
        return trainable(model)

    @torch.no_grad()
    def example(self, batch: Batch) -> Example:
        """The batch as the model sees it: varied, around zero, and mixed."""
        number = self.learning
        with torch.autocast(batch.images.device.type, enabled=False):
            images = varied(batch.images, batch.drawn, number.augmentation, number.image_size)
            images = normalised(images, number.mean, number.std)
            if number.augmentation.erase:
                images = erased(images, batch.drawn, number.augmentation.erase)
            targets = smoothed(batch.labels, len(self.classes), number.smoothing)
            if number.augmentation.mixup or number.augmentation.cutmix:
                return Example(*mixed(images, targets, batch.drawn, number.augmentation))
            return Example(images, targets)

    def loss(self, model: nn.Module, batch: Batch, player: str) -> tuple[Tensor, dict[str, Tensor]]:
        example = self.example(batch)
        logits = model(example.images).float()
        total = -(example.targets * logits.log_softmax(-1)).sum()
        right = (logits.detach().argmax(-1) == batch.labels).sum().float()
        return total, {"loss": total.detach(), "accuracy": right}

    def validate(self, model: nn.Module, quick: bool = False) -> dict[str, float]:
        """Shares from 0 to 1 of the dev images, with the mean cross-entropy."""
        return class_scores(*judge(model, self.val, self.learning))


def smoothed(labels: Tensor, classes: int, smoothing: Smoothing) -> Tensor:  # b -> b classes
    """The probability of each class that the model should find; zeros for what is not known."""
    known = (labels != UNKNOWN)[:, None]
    targets = torch.full((len(labels), classes), smoothing.other, device=labels.device)
    targets.scatter_(1, labels.clamp(min=0)[:, None], smoothing.true)
    return targets * known


@torch.no_grad()
def judge(
    model: nn.Module, gallery: Gallery, learning: Learning, progress: Progress | None = None
) -> tuple[Tensor, Tensor]:
    """The logits (n classes) and labels (n, -1 where there is no image) of all images, nothing varied."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    logits, labels = [], []
    batches = np.array_split(np.arange(len(gallery)), max(1, -(-len(gallery) // (2 * learning.batch_size))))
    for i, batch in enumerate(batches):
        pixels = gallery.pixels(batch)
        if i + 1 < len(batches):
            gallery.pixels.expect(batches[i + 1])
        images = normalised(torch.from_numpy(pixels.images).to(device), learning.mean, learning.std)
        logits.append(model(images).float().cpu())
        labels.append(torch.from_numpy(np.where(pixels.whole, gallery.labels[batch], UNKNOWN)))
        if progress:
            progress((i + 1) / len(batches))
    model.train(training)
    return torch.cat(logits), torch.cat(labels)
