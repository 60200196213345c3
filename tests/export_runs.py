"""Small runs to send out of the house: a briefly trained one, and untrained ones of any make."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from allyouneed.data.grammar import generate
from allyouneed.data.parallel import Corpus
from allyouneed.data.subwords import Subwords
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes import translation
from allyouneed.recipes.job import settings_class
from allyouneed.recipes.train import train
from allyouneed.tasks.translation import Vocabulary
from allyouneed.training.checkpoint import save_tensors
from allyouneed.training.progress import Silent

TRAINING = [
    "model.dim=48", "model.heads=4", "model.ffn_dim=96", "model.depth=2", "model.dropout=0",
    "data.vocab_size=500", "training.threads=1", "data.max_sentences=3000", "training.max_steps=220",
    "training.max_minutes=null", "training.warmup_steps=40", "training.learning_rate=0.005",
    "decoding.penalty=average", "decoding.length_penalty=1.0", "training.validate_every=220",
]  # fmt: skip


@cache
def corpus() -> Corpus:
    return generate("de-en")


def trained_run(folder: Path) -> Path:
    train("translation", folder, recipe="demo", assignments=TRAINING, reporter=Silent())
    return folder


def untrained_run(folder: Path, joint: bool = True, **numbers: Any) -> Path:
    """A run of random weights, large enough for its choices to be clear."""
    lines = (corpus().train.source[:400], corpus().train.target[:400])
    sides = [Subwords.train(part, "bpe", size) for part, size in zip(lines, (180, 150), strict=True)]
    if joint:
        sides = [Subwords.train([*lines[0], *lines[1]], "bpe", 200)] * 2
    sizes = {"vocab_size": len(sides[1]), "source_vocab_size": None if joint else len(sides[0])}
    config = TransformerConfig(**{"dim": 16, "heads": 2, "ffn_dim": 24, "depth": 2, **sizes, **numbers})
    model = transformer(config)
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=1.0 if name.endswith("norm.weight") else 0.0, std=0.3)
    decoding = {"beam": 1, "penalty": "average", "length_penalty": 1.0, "max_extra": 10}
    settings = settings_class(translation.KIND, "transformer")(model=config, decoding=decoding)
    folder.mkdir(parents=True)
    run_folder.save_vocabulary(Vocabulary(*sides), folder)
    save_tensors(folder / "model.safetensors", {k: v.detach() for k, v in model.state_dict(keep_vars=True).items()})
    run_folder.save_settings(settings, folder)
    return folder


def held_out(count: int) -> list[str]:
    return corpus().tests["test"].source[:count]


def encoded(run: Any, lines: list[str]) -> torch.Tensor:  # b m
    rows = [torch.tensor([*ids, 2]) for ids in run.vocabulary.source.encode(lines)]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)
