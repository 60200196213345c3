"""Beginning from what was trained before: a run of ours, or a folder of BERT's or ALBERT's as others publish it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.encoder_run import fitted, load_subwords
from allyouneed.recipes.job import Kind, form_of
from allyouneed.settings import override
from allyouneed.training.checkpoint import load_tensors
from allyouneed.weights.encoder_tokenizer import read_tokenizer
from allyouneed.weights.encoders import load_encoder, published_numbers

ITS_OWN = ("labels", "pair", "dropout", "attention_dropout", "head_dropout", "pair_dropout")
"""Numbers of the model that a fine-tuned one may choose anew."""


def is_published(start: Path) -> bool:
    """Whether a folder is as others publish it; UserError where it is neither that nor a run of ours."""
    if not start.is_dir():
        raise UserError(
            f"there is no folder {start} to begin from; give --from a run, or a folder of BERT's or ALBERT's"
        )
    if not (start / "config.yaml").exists() and not (start / "config.json").exists():
        raise UserError(
            f"{start} holds neither config.yaml nor config.json, so it is no run and no published model to begin from"
        )
    return not (start / "config.yaml").exists()


def system_and_numbers(start: Path) -> tuple[str, dict[str, Any]]:
    """The kind of model that is there, and its numbers by our names."""
    if is_published(start):
        return published_numbers(start)
    run_folder.stored_task(start)  # says what is wrong with a file that is no run's
    content = yaml.safe_load((start / "config.yaml").read_text(encoding="utf-8"))
    return str(content.get("system")), dict(content.get("model") or {})


def system_of(start: Path) -> str:
    return system_and_numbers(start)[0]


def body_numbers(settings: Any, start: Path) -> Any:
    """The settings with the sizes of the body to begin from; its kind of model must be the same."""
    system, found = system_and_numbers(start)
    if system != settings.system:
        raise UserError(f"{start} holds a model of the kind {system!r}, not {settings.system!r}; give --model {system}")
    numbers = {key: value for key, value in found.items() if key not in ITS_OWN}
    words = [f"model.{key}={'null' if value is None else value}" for key, value in numbers.items()]
    settings = override(settings, words)
    longest = settings.model.positions_length
    if settings.data.length > longest:
        raise UserError(
            f"data.length={settings.data.length} is more than the {longest} positions of {start}; lower it with "
            f"--set data.length={longest}"
        )
    return settings


def subwords_of(start: Path, model: Any) -> EncoderSubwords:
    """The pieces that the body was trained on; UserError where they are not the ones of its table."""
    subwords = read_tokenizer(start, model.vocab_size) if is_published(start) else load_subwords(start)
    check_pieces(subwords, model, start)
    return subwords


def check_pieces(subwords: EncoderSubwords, model: Any, place: Path) -> None:
    """Refuses pieces that are not those of a model's table: ids beyond its rows, or another padding."""
    if len(subwords) > model.vocab_size:
        raise UserError(
            f"the vocabulary in {place} does not fit its weights: it has {len(subwords):,} pieces, and the model's "
            f"table {model.vocab_size:,} rows; one of them is another model's"
        )
    if subwords.marks.pad != model.pad:
        raise UserError(
            f"the vocabulary in {place} does not fit its weights: its padding has the id {subwords.marks.pad}, and the "
            f"model takes {model.pad} for padding; one of them is another model's"
        )


def settled(
    kind: Kind, settings: Any, folder: Path, resuming: bool, lines: Callable[[], Iterable[str]]
) -> tuple[Any, EncoderSubwords]:
    """The settings with the model's sizes, and the pieces: the resumed run's, those begun from, or freshly learnt."""
    if resuming:  # the folder is whole: what it began from may be gone
        return settings.model_copy(update={"model": run_folder.stored_settings(folder, kind).model}), load_subwords(
            folder
        )
    if settings.data.start:
        settings = body_numbers(settings, Path(settings.data.start))
        return settings, subwords_of(Path(settings.data.start), settings.model)
    data = settings.data
    subwords = EncoderSubwords.train(lines(), data.subwords, data.vocab_size, data.lowercase)
    return fitted(settings, subwords), subwords


def begin(kind: Kind, model: nn.Module, settings: Any) -> list[str]:
    """Copies the body's weights into a fresh model; what there are no weights for stays fresh, and is named.

    Pre-training that goes on takes the head too: it guesses the same words. Other heads stand for other labels.
    """
    if not settings.data.start:
        return []
    start = Path(settings.data.start)
    tensors: Mapping[str, Any]
    if is_published(start):
        own_labels = None if kind.task == "masked-lm" else settings.model.labels
        opened = load_encoder(start, form_of(kind, settings.system), own_labels)
        tensors, notes = opened.model.state_dict(), [f"{start}: {note}" for note in opened.notes]
    else:
        tensors, notes = load_tensors(start / "model.safetensors"), []
    own = model.state_dict()
    body = {name: tensor for name, tensor in tensors.items() if name.startswith("body.")}
    unfit = [name for name, tensor in body.items() if name in own and own[name].shape != tensor.shape]
    if not body or unfit:
        what = f"{unfit[0]} has another shape there" if unfit else "it has no weights of an encoder's body"
        raise UserError(f"the model cannot begin from {start}: {what}; use the sizes of that folder")
    known = {name: tensor for name, tensor in body.items() if name in own}
    if kind.task == "masked-lm" and (is_published(start) or run_folder.stored_task(start) == kind.task):
        same = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
        known = {**same, **known}
    model.load_state_dict(known, strict=False)  # what is tied to the body's tables follows them
    fresh = sorted({name for name, _ in model.named_parameters()} - set(known)) or ["nothing"]
    return [
        f"{len(known)} tensors from {start}; fresh: {', '.join(fresh[:6])}{' ...' if len(fresh) > 6 else ''}",
        *notes,
    ]
