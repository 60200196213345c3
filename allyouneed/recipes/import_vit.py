"""A folder of ViT's, or an official .npz, becomes a run that classifies images."""

import json
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.image_classification import KIND
from allyouneed.recipes.job import settings_class
from allyouneed.recipes.whole import write_whole
from allyouneed.settings import override
from allyouneed.training.checkpoint import save_tensors
from allyouneed.weights.vit import MIDDLE, Checkpoint, load_vit
from allyouneed.weights.vit_npz import load_npz


def import_vit(folder: Path, out: Path) -> list[str]:
    """Writes the run `out`; returns what a user should know."""
    return _import(load_vit(folder), folder, out)


def import_npz(path: Path, out: Path) -> list[str]:
    """The same of one of Google's files, which name no classes: they are called 0, 1, ..."""
    model, config = load_npz(path)
    labels = [str(index) for index in range(config.classes)]
    scaling = MIDDLE[: config.channels]
    return _import(Checkpoint(model, config, labels, scaling, scaling), path, out)


def _import(found: Checkpoint, source: Path, out: Path) -> list[str]:
    if found.config.channels not in (1, 3):
        raise UserError(f"{source} reads images of {found.config.channels} channels; runs are of grey or colour images")
    c = found.config
    settings = override(
        settings_class(KIND, "vit")(model=c),
        [f"data.image_size={c.image_size}", f"data.channels={c.channels}", f"data.mean={list(found.mean)}",
         f"data.std={list(found.std)}", "data.suit=false", "data.batch_size=128", "augment.preset=photos"],
    )  # fmt: skip
    write_whole(out, lambda aside: _write(aside, source, found, settings))
    return [f"a run of image classification with vit, {c.classes} classes, images of {c.image_size} x {c.image_size}"]


def _write(aside: Path, source: Path, found: Checkpoint, settings: Any) -> None:
    facts = {"train": 0, "val": 0, "sha256": "", "imported_from": str(source), "classes": found.labels}
    (aside / "data.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1))
    save_tensors(aside / "model.safetensors", found.model.state_dict())
    run_folder.save_settings(settings, aside)
