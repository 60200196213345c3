"""Translation from settings to a run: data, subwords, model, training, and the run folder read back."""

import hashlib
import json
from pathlib import Path
from typing import Any

from allyouneed.data.batches import padding_waste
from allyouneed.data.download import fetch_recipe_data
from allyouneed.data.grammar import generate
from allyouneed.data.parallel import Corpus, ParallelText, read_corpus, read_split
from allyouneed.data.settings import ParallelSettings
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.job import Kind, Prepared
from allyouneed.recipes.translation_disk import DiskText, waits_on_disk
from allyouneed.settings import override
from allyouneed.tasks.translation import Learning, TranslationTask, Vocabulary, too_long, without

RECIPES: dict[str, list[str]] = {
    "default": [],
    # The embedded grammar: few words, no noise, so a narrow model that learns fast.
    "demo": [
        "model.dim=128", "model.ffn_dim=512", "model.depth=2", "model.dropout=0.05", "data.vocab_size=2000",
        "training.max_minutes=3", "training.learning_rate=0.003", "training.warmup_steps=200", "training.ema_decay=0.99",
        "training.label_smoothing=0.05", "data.bpe_dropout=0", "decoding.beam=4",
        "decoding.length_penalty=0.6",
    ],
    "multi30k": ["training.max_epochs=30", "training.patience=8"],
}  # fmt: skip

_PAPER = [
    "training.optimizer=adam", "training.schedule=paper", "training.learning_rate=1", "training.warmup_steps=4000",
    "training.beta2=0.98", "training.eps=1e-9", "training.weight_decay=0", "training.clip_norm=0", "training.ema_decay=0",
    "training.keep_checkpoints=5", "training.average_last=5", "training.label_smoothing_convention=tensor2tensor",
    "data.vocab_size=37000", "data.bpe_dropout=0", "data.batch_tokens=50000", "decoding.beam=4",
    "decoding.length_penalty=0.6",
]  # fmt: skip

PRESET_SETTINGS: dict[str, list[str]] = {
    # What the paper says beside the model's numbers (sections 5 and 6.1): Adam, warm-up, batches of about 25,000 source
    # and 25,000 target tokens, the mean of the last 5 or 20 checkpoints, beam 4, alpha 0.6.
    "transformer/paper-base": _PAPER,
    "transformer/paper-big": [*_PAPER, "training.keep_checkpoints=20", "training.average_last=20"],
    # tensor2tensor's settings since 2018: twice the rate after twice the warm-up, 4,096 tokens a side, its beta2.
    "transformer/t2t-base": [
        *_PAPER, "training.learning_rate=2", "training.warmup_steps=8000", "training.beta2=0.997",
        "data.vocab_size=32768", "data.batch_tokens=8192",
    ],
}  # fmt: skip
"""Settings of training, data and decoding that belong to a preset of a model."""

KIND = Kind(
    task="translation",
    title="translation",
    groups={"data": ParallelSettings(), "decoding": DecodingSettings()},
    system="transformer",
    recipes=RECIPES,
    presets=PRESET_SETTINGS,
    implies={"decoding.length_penalty": "decoding.fit_length_penalty=false"},
    fitted=frozenset({"vocab_size", "source_vocab_size", "tie"}),
)
DOWNLOADED = {"multi30k": ["data.src=de", "data.tgt=en"]}  # recipes whose data can be fetched, and its languages


def complete(settings: Any, recipe: str) -> Any:
    """A recipe for a public data set fetches it where no data is given."""
    if recipe not in DOWNLOADED or settings.data.path is not None:
        return settings
    folder = fetch_recipe_data(recipe, Path("data") / recipe)
    return override(settings, [*DOWNLOADED[recipe], f"data.path={folder}"])


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


def fitted(settings: Any, vocabulary: Vocabulary) -> Any:
    """The settings with the sizes that the trained subwords have."""
    joint = vocabulary.source is vocabulary.target
    sizes = [f"model.vocab_size={len(vocabulary.target)}"]
    sizes += [] if joint else [f"model.source_vocab_size={len(vocabulary.source)}"]
    sizes += ["model.tie=decoder"] if not joint and settings.model.tie == "all" else []
    return _within_positions(override(settings, sizes))


def _within_positions(settings: Any) -> Any:
    """Where positions are learned a source must leave room for its translation, which may be `max_extra` longer."""
    limit = longest_text(settings)
    if limit is None:
        return settings
    longest = limit - 1 - settings.decoding.max_extra
    if longest < 1:
        raise UserError(
            f"model.positions_length={limit} leaves no room for a translation, which may be "
            f"decoding.max_extra={settings.decoding.max_extra} pieces longer than its source; raise it or lower that"
        )
    return override(settings, [f"decoding.max_source={min(longest, settings.decoding.max_source)}"])


def longest_text(settings: Any) -> int | None:
    """How many positions the model has, the end counted; None where there is no limit."""
    numbers = settings.model.model_dump()
    return numbers["positions_length"] if numbers.get("positions") == "learned" else None


def fingerprint(corpus: Corpus) -> str:
    """A digest of the training and dev text: resuming on other data would be another run."""
    digest = hashlib.sha256()
    for text in (corpus.train, corpus.val):
        for side in text:
            digest.update("\n".join(side).encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


class MemoryText:
    """The text of a run, all of it in memory."""

    def __init__(self, data: ParallelSettings):
        self.corpus = read_data(data)

    def vocabulary(self, data: ParallelSettings) -> Vocabulary:
        return train_vocabulary(self.corpus, data)

    def facts(self, vocabulary: Vocabulary) -> dict[str, Any]:
        corpus = self.corpus
        return {
            "train": len(corpus.train.source), "val": len(corpus.val.source), "sha256": fingerprint(corpus),
            "source": corpus.source_language, "target": corpus.target_language,
        }  # fmt: skip

    def task(
        self, settings: Any, vocabulary: Vocabulary, learning: Learning, longest: int
    ) -> tuple[TranslationTask, list[str]]:
        """The task, and what a person should know of its pairs."""
        train, val = ParallelText(*(side[: settings.data.max_sentences] for side in self.corpus.train)), self.corpus.val
        gone = too_long(train, vocabulary, longest)
        notes = [f"{len(train.source):,} training pairs, {len(val.source):,} for validation, "
                 f"{len(vocabulary.target):,} subwords"]  # fmt: skip
        if len(gone):
            lines = ", ".join([*(str(row + 1) for row in gone[:5]), *(["..."] if len(gone) > 5 else [])])
            notes.append(
                f"{len(gone):,} pairs are empty or longer than {longest} pieces and are left out: lines {lines}"
            )
            train = without(train, gone)
        if not train.source:
            raise UserError(f"no training pair is left: all are empty or longer than data.max_length={longest} pieces")
        if not val.source:
            raise UserError("the validation set is empty; give val files with at least one pair")
        task = TranslationTask(train, val, vocabulary, learning, settings.decoding)
        batches = task.plan(0)
        waste = padding_waste(batches, task.lengths(0))
        notes.append(f"{len(batches):,} batches an epoch, {waste:.1%} of their cells are padding")
        return task, notes


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads the data and makes (or, on resuming, reads) the subwords; the run folder is whole but for weights after it."""
    on_disk = waits_on_disk(settings.data)
    settings = override(settings, [f"data.store={'disk' if on_disk else 'memory'}"])
    text = DiskText(settings.data, folder) if on_disk else MemoryText(settings.data)
    vocabulary = run_folder.load_vocabulary(folder) if resuming else text.vocabulary(settings.data)
    facts = text.facts(vocabulary)
    if resuming:
        run_folder.check_same_data(folder, facts, "training pairs")
    settings = fitted(settings, vocabulary)
    data, training, limit = settings.data, settings.training, longest_text(settings)
    learning = Learning(
        training.label_smoothing, training.label_smoothing_convention, training.rdrop, data.batch_tokens,
        data.merges_dropped, training.seed, limit,
    )  # fmt: skip
    task, notes = text.task(settings, vocabulary, learning, min(data.max_length, (limit or data.max_length + 1) - 1))
    if not resuming:
        run_folder.save_vocabulary(vocabulary, folder)
        run_folder.write_text(folder / "data.json", json.dumps(facts, indent=1))
        run_folder.save_settings(settings, folder)
    return Prepared(settings, task, notes)
