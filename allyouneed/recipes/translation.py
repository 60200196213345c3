"""Translation from settings to a run: data, subwords, model, training, and the run folder read back."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, create_model
from torch import nn

from allyouneed.data.batches import padding_waste
from allyouneed.data.grammar import generate
from allyouneed.data.parallel import Corpus, ParallelText, read_corpus, read_split
from allyouneed.data.settings import ParallelSettings
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE, System
from allyouneed.settings import Settings, difference, from_yaml, override, to_yaml
from allyouneed.tasks.translation import Learning, TranslationTask, Vocabulary, too_long, without
from allyouneed.training.settings import TrainingSettings

MAY_CHANGE = {
    f"training.{name}"
    for name in ("max_steps", "max_epochs", "max_minutes", "patience", "log_every", "keep_checkpoints", "threads")
}
"""Settings that may differ on resuming: limits and what is shown. All others would make it another run."""

RECIPES: dict[str, list[str]] = {
    "default": [],
    # The embedded grammar: few words, no noise, so a narrow model that learns fast.
    "demo": [
        "model.dim=128", "model.ffn_dim=512", "model.depth=2", "model.dropout=0.05", "data.vocab_size=1200",
        "training.max_minutes=3", "training.learning_rate=0.003", "training.warmup_steps=200", "training.ema_decay=0.99",
        "training.label_smoothing=0.05", "decoding.beam=4",
    ],
    "multi30k": ["training.max_epochs=24", "training.patience=8", "decoding.length_penalty=1.0"],
}  # fmt: skip


def settings_class(system: str) -> type[Settings]:
    """The settings of a translator of the catalogue: its own numbers beside what all translators share."""
    return create_model(
        "TranslationSettings",
        __base__=Settings,
        task=(str, Field("translation", pattern="^translation$", description="What the run was trained for.")),
        system=(str, Field(system, description="The model's name in the catalogue.")),
        model=(CATALOGUE[system].config, CATALOGUE[system].config()),
        data=(ParallelSettings, ParallelSettings()),
        training=(TrainingSettings, TrainingSettings()),
        decoding=(DecodingSettings, DecodingSettings()),
    )


def translator_named(system: str) -> System:
    translators = [name for name, entry in CATALOGUE.items() if entry.task == "translation"]
    if system not in translators:
        raise UserError(f"there is no translator called {system!r}; choose one of {', '.join(translators)}")
    return CATALOGUE[system]


def make_settings(system: str, preset: str | None, recipe: str, assignments: Sequence[str]) -> Any:
    """Defaults, then the preset's numbers, then the recipe's, then the user's."""
    entry = translator_named(system)
    preset = preset or next(iter(entry.presets))
    if preset not in entry.presets:
        raise UserError(f"{system} has no preset {preset!r}; choose one of {', '.join(entry.presets)}")
    if recipe not in RECIPES:
        raise UserError(f"there is no recipe {recipe!r}; choose one of {', '.join(RECIPES)}")
    settings = settings_class(system)().model_copy(update={"model": entry.presets[preset]})
    return override(override(settings, RECIPES[recipe]), assignments)


def read_data(data: ParallelSettings) -> Corpus:
    """The corpus that the settings name; without a path the embedded grammar."""
    if data.path is None:
        return generate(data.pair)
    return read_corpus(data.path, data.src, data.tgt, seed=data.split_seed)


def read_split_of(data: ParallelSettings, split: str) -> ParallelText:
    """One split of the same data."""
    if data.path is not None:
        return read_split(data.path, split, data.src, data.tgt, seed=data.split_seed)
    corpus = generate(data.pair)
    splits = {"train": corpus.train, "val": corpus.val, **corpus.tests}
    if split not in splits:
        raise UserError(f"the embedded grammar has no split {split!r}; its splits: {', '.join(splits)}")
    return splits[split]


def train_vocabulary(corpus: Corpus, data: ParallelSettings) -> Vocabulary:
    """Subwords learnt from the training text, joint or one per side."""
    train = corpus.train
    if data.joint:
        joint = Subwords.train([*train.source, *train.target], data.subwords, data.vocab_size)
        return Vocabulary(joint, joint)
    sides = (Subwords.train(lines, data.subwords, data.vocab_size) for lines in (train.source, train.target))
    return Vocabulary(*sides)


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    if vocabulary.source is vocabulary.target:
        vocabulary.source.save(folder / "tokenizer.json")
    else:
        vocabulary.source.save(folder / "tokenizer.source.json")
        vocabulary.target.save(folder / "tokenizer.target.json")


def load_vocabulary(folder: Path) -> Vocabulary:
    if (folder / "tokenizer.json").exists():
        joint = Subwords.load(folder / "tokenizer.json")
        return Vocabulary(joint, joint)
    names = [folder / "tokenizer.source.json", folder / "tokenizer.target.json"]
    missing = [name.name for name in names if not name.exists()]
    if missing:
        raise UserError(f"{folder} holds no tokenizer.json, so it is not a whole run; was it copied without it?")
    return Vocabulary(*(Subwords.load(name) for name in names))


def fitted(settings: Any, vocabulary: Vocabulary) -> Any:
    """The settings with the sizes that the trained subwords have."""
    joint = vocabulary.source is vocabulary.target
    sizes = [f"model.vocab_size={len(vocabulary.target)}"]
    sizes += [] if joint else [f"model.source_vocab_size={len(vocabulary.source)}"]
    sizes += ["model.tie=decoder"] if not joint and settings.model.tie == "all" else []
    return override(settings, sizes)


def fingerprint(corpus: Corpus) -> str:
    """A digest of the training and dev text: resuming on other data would be another run."""
    digest = hashlib.sha256()
    for text in (corpus.train, corpus.val):
        for side in text:
            digest.update("\n".join(side).encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


class Prepared(NamedTuple):
    """All that training needs."""

    settings: Any
    vocabulary: Vocabulary
    task: TranslationTask
    notes: list[str]  # what a person should know of the data, a sentence each


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads the data and makes (or, on resuming, reads) the subwords; the run folder is whole but for weights after it."""
    corpus = read_data(settings.data)
    facts = {"train": len(corpus.train.source), "val": len(corpus.val.source), "sha256": fingerprint(corpus)}
    languages = {"source": corpus.source_language, "target": corpus.target_language}
    if resuming:
        vocabulary = load_vocabulary(folder)
        before = json.loads((folder / "data.json").read_text())
        if before["sha256"] != facts["sha256"]:
            raise UserError(
                f"the data is not that with which {folder} was begun ({facts['train']:,} training pairs now, "
                f"{before['train']:,} then, or another text); resume with the same data or begin a new run"
            )
    else:
        vocabulary = train_vocabulary(corpus, settings.data)
        settings = fitted(settings, vocabulary)
    task, notes = _task(settings, corpus, vocabulary)
    if not resuming:
        save_vocabulary(vocabulary, folder)
        (folder / "data.json").write_text(json.dumps({**facts, **languages}, indent=1))
        (folder / "config.yaml").write_text(to_yaml(settings))
    return Prepared(settings, vocabulary, task, notes)


def _task(settings: Any, corpus: Corpus, vocabulary: Vocabulary) -> tuple[TranslationTask, list[str]]:
    data, training, train = settings.data, settings.training, corpus.train
    train = ParallelText(*(side[: data.max_sentences] for side in train))
    longest = data.max_length
    if settings.model_dump()["model"].get("positions") == "learned":
        longest = min(longest, settings.model.positions_length - 1)
    gone = too_long(train, vocabulary, longest)
    notes = [f"{len(train.source):,} training pairs, {len(corpus.val.source):,} for validation, "
             f"{len(vocabulary.target):,} subwords"]  # fmt: skip
    if len(gone):
        lines = ", ".join(str(row + 1) for row in gone[:5])
        notes.append(
            f"{len(gone):,} pairs are empty or longer than {longest} pieces and are left out (lines {lines}, ...)"
        )
        train = without(train, gone)
    if not train.source:
        raise UserError(f"no training pair is left: all are empty or longer than data.max_length={longest} pieces")
    if not corpus.val.source:
        raise UserError("the validation set is empty; give val files with at least one pair")
    learning = Learning(
        training.label_smoothing, training.label_smoothing_convention, training.rdrop, data.batch_tokens,
        data.bpe_dropout, training.seed,
    )  # fmt: skip
    task = TranslationTask(train, corpus.val, vocabulary, learning, settings.decoding)
    batches = task.plan(0)
    waste = padding_waste(batches, task.lengths)
    notes.append(f"{len(batches):,} batches an epoch, {waste:.1%} of their cells are padding")
    return task, notes


def build(settings: Any) -> nn.Module:
    """The model of the settings, with fresh weights."""
    return CATALOGUE[settings.system].build(settings.model)


def stored_settings(folder: Path) -> Any:
    """The settings with which a run was begun."""
    path = folder / "config.yaml"
    if not path.exists():
        raise UserError(f"{folder} is not a run: it holds no config.yaml; give the folder that training wrote")
    system = _system_in(path)
    if system not in CATALOGUE:
        raise UserError(f"{path} names the model {system!r}, which this version does not have")
    return from_yaml(settings_class(system), path)


def _system_in(path: Path) -> str:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(content["system"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not the settings of a run ({type(error).__name__}); restore it from a copy"
        ) from None


def check_resumable(old: Any, new: Any) -> None:
    """Refuses to go on with settings that would have made another run."""
    changed = difference(old, new, ignore=MAY_CHANGE)
    if changed:
        raise UserError(
            f"a run is resumed with its own settings, but these differ: {'; '.join(changed)}; begin a new run"
        )
