"""A trained image classifier in use: `allyouneed.load("runs/clothes").predict("boot.jpg")`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allyouneed.data.gallery import Gallery, InMemory, Progress, some
from allyouneed.data.images import read_images
from allyouneed.data.pixels import Unreadable, decode
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.image_classification import KIND, learning_of, opened, shape_of
from allyouneed.recipes.image_look import look_at_image
from allyouneed.recipes.job import build
from allyouneed.settings import override
from allyouneed.tasks.class_scores import full_class_scores
from allyouneed.tasks.image_classification import judge
from allyouneed.tracing.trace import Trace
from allyouneed.training.memory import keep_freed_memory

Picture = str | Path | Image.Image | np.ndarray | Tensor
"""A file, an image of Pillow, or pixels: bytes y x [c], or a tensor c y x (bytes, or floats from 0 to 1)."""


class Prediction(NamedTuple):
    label: str
    probability: float


class Judged(NamedTuple):
    """What a model makes of a set of images."""

    gallery: Gallery
    logits: Tensor  # n classes
    labels: Tensor  # n, -1 where an image could not be read


class ImageRun:
    """A trained classifier: images in, classes with probabilities out."""

    def __init__(self, folder: str | Path, device: str | None = None):
        keep_freed_memory()
        self.folder = Path(folder)
        self.settings = run_folder.stored_settings(self.folder, KIND)
        self.classes = stored_classes(self.folder, self.settings.model.classes)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = run_folder.load_weights(build(KIND, self.settings), self.folder / "model.safetensors")
        self.model = model.to(self.device)
        self.learning = learning_of(self.settings)

    def predict(self, images: Picture | Sequence[Picture], top_k: int = 5) -> list[Any]:
        """The likeliest classes of an image, best first; of several images a list for each.

        UserError names a file that cannot be read, before anything is predicted.
        """
        several = isinstance(images, (list, tuple)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim == 4)
        chosen: list[Picture] = list(images) if several else [images]  # type: ignore[arg-type,list-item]
        if not chosen:
            return []
        found = self._top(self.probabilities(chosen), top_k)
        return found if several else found[0]

    def probabilities(self, images: Sequence[Picture], progress: Progress | None = None) -> Tensor:  # n classes
        """What the model gives to each class, summing to one."""
        shape = shape_of(self.settings)
        pixels = np.stack([self.pixels(image) for image in images])
        names = [str(image) if isinstance(image, (str, Path)) else "image" for image in images]
        gallery = Gallery(names, np.zeros(len(images), np.int64), shape, InMemory(pixels), {})
        return judge(self.model, gallery, self.learning, progress)[0].softmax(-1)

    def look(self, image: Picture | bytes, name: str = "") -> Trace:
        """What the model does with an image, as a trace; also the bytes of a file are taken."""
        return look_at_image(self, image, name)

    def pixels(self, image: Picture) -> np.ndarray:  # c y x, bytes
        """An image as the model sees it. UserError names a file that cannot be read."""
        try:
            return decode(_source(image), shape_of(self.settings))
        except Unreadable as fault:
            name = f"{image}" if isinstance(image, (str, Path)) else "the image"
            raise UserError(f"{name} cannot be read ({fault}); give a JPEG, PNG or WebP file") from None

    def _top(self, probabilities: Tensor, top_k: int) -> list[list[Prediction]]:
        best = probabilities.topk(min(top_k, len(self.classes)), -1)
        return [
            [Prediction(self.classes[i], value) for i, value in zip(row, values, strict=True)]
            for row, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def judged(self, split: str = "test", data: str | Path | None = None, progress: Progress | None = None) -> Judged:
        """A split of the run's data, or of another of the same classes, through the model."""
        place = self.settings.data if data is None else override(self.settings, [f"data.path={data}"]).data
        images = read_images(place, self.classes).split(split)
        if not len(images):
            raise UserError(f"the split {split!r} has no images; choose another --split")
        gallery = opened(self.settings, images, self.classes)
        return Judged(gallery, *judge(self.model, gallery, self.learning, progress))

    def evaluate(
        self, split: str = "test", data: str | Path | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Accuracy (0 to 1) with its 95 % interval, macro F1, top 5, cross-entropy, and how many files were left out."""
        found = self.judged(split, data, progress)
        broken = found.gallery.broken
        left_out = {"broken": len(broken), "broken_files": some(broken)} if broken else {}
        return {**full_class_scores(found.logits, found.labels), "split": split, **left_out}


def stored_classes(folder: Path, count: int) -> list[str]:
    """The names of the classes in the order of the model's outputs."""
    path = folder / "data.json"
    try:
        classes = json.loads(path.read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged ({type(error).__name__}); restore it from a copy") from None
    if len(classes) != count:
        raise UserError(
            f"{path} names {len(classes)} classes and the model of config.yaml has {count}, so one of them is another "
            "run's; restore it from a copy"
        )
    return [str(name) for name in classes]


def _source(image: Picture) -> Path | np.ndarray | Image.Image:
    """What `decode` takes."""
    if isinstance(image, (str, Path)):
        return Path(image)
    if isinstance(image, Image.Image):
        return image
    return _pixels(_bytes(image) if isinstance(image, Tensor) else image)


def _bytes(image: Tensor) -> np.ndarray:  # c y x or y x -> y x [c]
    values = image.detach().cpu()
    values = values.movedim(0, -1) if values.dim() == 3 else values
    return ((values.clamp(0, 1) * 255).round().byte() if values.is_floating_point() else values).numpy()


def _pixels(array: np.ndarray) -> np.ndarray:
    """UserError for an array that is no image."""
    pixels = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)):
        shape = " x ".join(map(str, array.shape))
        raise UserError(
            f"an array of {shape} values of type {array.dtype} is no image; give bytes (uint8) of rows x columns, of "
            "rows x columns x 3, or a tensor of channels x rows x columns"
        )
    return np.ascontiguousarray(pixels)
