"""A tiny run of random weights for every kind of training, as folders that `allyouneed.load` opens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from export_runs import untrained_run
from PIL import Image

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.running_pieces import RunningPieces
from allyouneed.recipes import (
    algorithm,
    image_classification,
    language_model,
    masked_lm,
    question_answering,
    tagging,
    text_classification,
)
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.encoder_run import save_labels, save_subwords
from allyouneed.recipes.job import Kind, build, make_settings
from allyouneed.training.checkpoint import save_tensors

TEXT = "the old dog sees a bird in the garden and the young cat sleeps under a tree . "
SMALL = ["model.dim=16", "model.heads=2", "model.ffn_dim=24", "model.depth=2"]
LABELS = ["O", "B-PER", "I-PER"]


def finished(folder: Path, kind: Kind, settings: Any) -> Path:
    """The folder with weights that are large enough for choices to be clear."""
    torch.manual_seed(4)
    model = build(kind, settings)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if name.endswith("norm.weight") else 0.0, std=0.3)
    save_tensors(folder / "model.safetensors", {k: v.detach() for k, v in model.state_dict(keep_vars=True).items()})
    run_folder.save_settings(settings, folder)
    return folder


def translator(folder: Path, **numbers: Any) -> Path:
    untrained_run(folder, **numbers)
    (folder / "data.json").write_text(json.dumps({"source": "de", "target": "en", "train": 3}))
    return folder


def writer(folder: Path, system: str = "gpt", *words: str) -> Path:
    folder.mkdir(parents=True)
    pieces = RunningPieces.learn([TEXT * 3 + "\n"], "characters", 300)
    settings = make_settings(language_model.KIND, system, None, "default", [*SMALL, *words])
    settings = language_model.fitted(settings, pieces)
    (folder / "tokenizer.json").write_text(pieces.tokenizer.to_str())
    return finished(folder, language_model.KIND, settings)


def encoder(folder: Path, module: Any, *words: str) -> Path:
    folder.mkdir(parents=True)
    subwords = EncoderSubwords.train([TEXT] * 4, "wordpiece", 200)
    numbers = [f"model.vocab_size={len(subwords)}", f"model.pad={subwords.marks.pad}", "model.positions_length=40"]
    settings = make_settings(module.KIND, "bert", None, "default", [*SMALL, *numbers, *words])
    save_subwords(subwords, folder)
    return finished(folder, module.KIND, settings)


def labelled(folder: Path, module: Any) -> Path:
    encoder(folder, module, f"model.labels={len(LABELS)}")
    save_labels(LABELS, folder)
    return folder


def images(folder: Path, system: str = "vit", *words: str) -> Path:
    folder.mkdir(parents=True)
    numbers = ["model.classes=3", "model.channels=3", "model.image_size=16", "data.image_size=16", "data.channels=3"]
    numbers.append("data.batch_size=4")
    settings = make_settings(
        image_classification.KIND, system, None, "default",
        [*numbers, "data.mean=[0.5]", "data.std=[0.5]", *words],
    )  # fmt: skip
    (folder / "data.json").write_text(json.dumps({"classes": ["boot", "coat", "hat"]}))
    return finished(folder, image_classification.KIND, settings)


def solver(folder: Path, system: str, *words: str) -> Path:
    folder.mkdir(parents=True)
    given = ["data.problem=reverse", "data.train_length=8", "data.test_lengths=[8]", "model.dim=16", *words]
    settings = algorithm.fitted(make_settings(algorithm.KIND, system, None, "default", given))
    return finished(folder, algorithm.KIND, settings)


RUNS: dict[str, Callable[[Path], Path]] = {
    "translation": translator,
    "language-model": writer,
    "masked-lm": lambda folder: encoder(folder, masked_lm),
    "text-classification": lambda folder: labelled(folder, text_classification),
    "tagging": lambda folder: labelled(folder, tagging),
    "question-answering": lambda folder: encoder(folder, question_answering, "data.length=24", "data.stride=8"),
    "image-classification": lambda folder: images(folder, "vit", *SMALL, "model.patch=4"),
    "algorithm": lambda folder: solver(folder, "universal", *SMALL[1:3], "model.steps=3", "model.halting=basic"),
}
INPUTS = {
    "translation": "Der alte Hund schläft.",
    "language-model": "the old dog\nsees",
    "masked-lm": "the [MASK] dog sees a [MASK]",
    "text-classification": "the old dog",
    "tagging": "the old dogs sleep",
    "question-answering": f"who sleeps ?\t{TEXT * 2}",
    "algorithm": "3 1 2",
}


def picture(path: Path, width: int = 40, height: int = 24) -> Path:
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def given(task: str, folder: Path) -> str:
    """An input for a run of the task."""
    return str(picture(folder / "image.png")) if task == "image-classification" else INPUTS[task]
