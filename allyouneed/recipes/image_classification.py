"""Image classification from settings to a run: images, their size and colour, augmentation, and the run folder."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from allyouneed.data.download import fetch_recipe_data
from allyouneed.data.gallery import Gallery, Progress, open_gallery, some
from allyouneed.data.image_files import Images
from allyouneed.data.image_settings import AugmentSettings, ImageSettings
from allyouneed.data.images import ImageCorpus, is_small, read_images
from allyouneed.data.pixels import Shape
from allyouneed.errors import UserError
from allyouneed.nn.heads import Smoothing
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.image_fit import fitted, measured
from allyouneed.recipes.job import Kind, Prepared
from allyouneed.settings import override
from allyouneed.tasks.image_classification import ImageClassificationTask, Learning
from allyouneed.training.checkpoint import write_text
from allyouneed.training.settings import TrainingSettings

MARGIN = 8 / 7
"""Photographs are kept by so much larger than the model reads: training crops from them, and use takes their middle."""

FASHION = "T-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,boot"
RECIPES: dict[str, list[str]] = {
    "default": [],
    # Clothes lie in the middle of their image, and left and right do not matter.
    "fashion-mnist": [
        f"data.class_names={FASHION}", "augment.preset=objects", "augment.shift=0.08", "model.positions=sincos",
    ],
}  # fmt: skip

PRESETS: dict[str, list[str]] = {
    "cnn": ["training.learning_rate=0.002"],
    "lambda": ["training.learning_rate=0.002"],
    "spach": ["training.learning_rate=0.002"],
    # The embedded digits in less than a minute: a small model learns at a higher rate.
    "vit/digits": [
        "model.positions=sincos", "augment.shift=0.125", "data.batch_size=64", "training.max_epochs=60",
        "training.validate_every=115", "training.learning_rate=0.004", "training.warmup_steps=100",
        "training.ema_decay=0.99", "training.beta2=0.999",
    ],
    "cnn/tiny": ["training.learning_rate=0.004", "training.ema_decay=0.99", "training.max_epochs=30"],
}  # fmt: skip
"""Settings of training, data and augmentation that belong to a model or to a preset of it."""

KIND = Kind(
    task="image-classification",
    title="image classification",
    groups={"data": ImageSettings(), "augment": AugmentSettings()},
    system="vit",
    training=TrainingSettings(
        learning_rate=1e-3, weight_decay=0.05, beta2=0.99, eps=1e-8, warmup_steps=200, ema_decay=0.998
    ),
    recipes=RECIPES,
    presets=PRESETS,
    implies={"model.patch": "data.suit=false", "model.stem": "data.suit=false"},
    unlimited=(),  # by how many images there are, see `image_fit.paced`
    fitted=frozenset({"classes", "channels", "image_size"}),
)
DOWNLOADED = ("fashion-mnist",)  # recipes whose data can be fetched


def complete(settings: Any, recipe: str) -> Any:
    """A recipe for a public data set fetches it where no data is given."""
    if recipe not in DOWNLOADED or settings.data.path is not None:
        return settings
    return override(settings, [f"data.path={fetch_recipe_data(recipe, Path('data') / recipe)}"])


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads and decodes the images and settles what the settings left open; then the run folder is whole but for weights."""
    corpus = read_images(settings.data)
    facts = {"train": len(corpus.train), "val": len(corpus.val), "sha256": corpus.fingerprint()}
    if resuming:
        run_folder.check_same_data(folder, facts, "training images")
    if not len(corpus.val):
        raise UserError("no image can be held out to choose the best weights by; give val/ or more images of a class")
    settings = fitted(KIND, settings, corpus)
    train, val = galleries(settings, corpus)
    settings = measured(settings, train)
    if not resuming:
        write_text(folder / "data.json", json.dumps({**facts, "classes": corpus.classes}, ensure_ascii=False, indent=1))
        run_folder.save_settings(settings, folder)
    task = ImageClassificationTask(train, val, corpus.classes, learning_of(settings))
    return Prepared(settings, task, notes_on(settings, corpus, task))


# ---- images ----------------------------------------------------------------------------------------------------------


def shape_of(settings: Any, margin: float = 1.0) -> Shape:
    """What an image becomes for the model; with a margin it stays larger by it, for training to crop from."""
    data = settings.data
    if margin > 1:
        return Shape(data.channels, round(data.image_size * margin), data.fit)
    photo = data.fit == "crop" and not is_small(data.image_size)
    return Shape(data.channels, data.image_size, data.fit, MARGIN if photo else 1.0)


def galleries(settings: Any, corpus: ImageCorpus) -> tuple[Gallery, Gallery]:
    crops = settings.augment.resolved().smallest < 1
    margin = MARGIN if crops and not is_small(settings.data.image_size) else 1.0
    train = opened(settings, corpus.train, corpus.classes, shape_of(settings, margin))
    return train, opened(settings, corpus.val, corpus.classes, shape_of(settings))


def opened(settings: Any, images: Images, classes: Sequence[str], shape: Shape | None = None) -> Gallery:
    """The images decoded, with a line now and then where it takes long."""
    data = settings.data
    progress = None if isinstance(images.sources, np.ndarray) else told("decoding images")
    return open_gallery(images, classes, shape or shape_of(settings), data.cache_gb, data.workers, progress)


def told(title: str, every: float = 15.0) -> Progress:
    """Progress in plain lines, which do not get in the way of the bar of the training that follows."""
    last = time.monotonic()

    def tell(share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            print(f"{title} {share:4.0%}", file=sys.stderr, flush=True)

    return tell


def learning_of(settings: Any) -> Learning:
    data, training = settings.data, settings.training
    smoothing = Smoothing.named(
        training.label_smoothing_convention, training.label_smoothing, max(settings.model.classes, 2)
    )
    return Learning(
        data.image_size, data.mean, data.std, settings.augment.resolved(), smoothing, data.batch_size, training.seed
    )


def notes_on(settings: Any, corpus: ImageCorpus, task: ImageClassificationTask) -> list[str]:
    """What a person should know of the data."""
    data, train, val = settings.data, task.train, task.val
    colour = "grey" if data.channels == 1 else "in colour"
    notes = [
        f"{len(train):,} training images, {len(val):,} for validation, {len(corpus.classes)} classes, "
        f"{data.image_size} x {data.image_size} {colour}, augmentation {settings.augment.preset}"
    ]
    for name, gallery in (("training", train), ("validation", val)):
        if gallery.broken:
            notes.append(
                f"{len(gallery.broken):,} {name} image(s) cannot be read and are left out: {some(gallery.broken)}"
            )
    notes += [f"{count:,} file(s) {kind} are left out" for kind, count in sorted(corpus.left_out.items())]
    absent = sorted(set(corpus.classes) - {corpus.classes[label] for label in np.unique(train.labels)})
    if absent:
        notes.append(f"warning: no training image of {', '.join(absent[:5])} is left")
    return notes
