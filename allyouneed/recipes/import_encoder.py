"""A folder of BERT's or ALBERT's becomes a run of what its head is for."""

import json
from pathlib import Path
from typing import Any

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.encoder_run import save_labels, save_subwords
from allyouneed.recipes.job import settings_class
from allyouneed.recipes.jobs import job_named
from allyouneed.recipes.starting import check_pieces
from allyouneed.recipes.whole import write_whole
from allyouneed.training.checkpoint import save_tensors
from allyouneed.weights.encoder_tokenizer import read_tokenizer
from allyouneed.weights.encoders import Opened, load_encoder

LABELLED = ("text-classification", "tagging")


def import_encoder(folder: Path, out: Path) -> list[str]:
    """Writes the run `out`; returns what a user should know. A body alone becomes a run to go on pre-training with."""
    opened = load_encoder(folder, bare="masked-lm")
    subwords = read_tokenizer(folder, opened.config.vocab_size)
    check_pieces(subwords, opened.config, folder)
    settings = _settings(opened)
    write_whole(out, lambda aside: _write(aside, folder, opened, settings, subwords))
    return [f"a run of {opened.task} with {opened.family}", *opened.notes]


def _settings(opened: Opened) -> Any:
    """The task's defaults, for texts no longer than the model's positions."""
    kind = job_named(opened.task).kind
    data = kind.groups["data"]
    length = min(data.model_dump()["length"], opened.config.positions_length)
    return settings_class(kind, opened.family)(
        model=opened.config, data=type(data)(**{**data.model_dump(), "length": length})
    )


def _write(aside: Path, folder: Path, opened: Opened, settings: Any, subwords: EncoderSubwords) -> None:
    save_subwords(subwords, aside)
    if opened.task in LABELLED:  # a folder that does not name its classes has them named as transformers names them
        save_labels(opened.labels or [f"LABEL_{index}" for index in range(opened.config.labels)], aside)
    facts = {"train": 0, "val": 0, "sha256": "", "imported_from": str(folder)}
    (aside / "data.json").write_text(json.dumps(facts, indent=1))
    save_tensors(aside / "model.safetensors", opened.model.state_dict())
    run_folder.save_settings(settings, aside)
