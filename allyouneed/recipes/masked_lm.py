"""Pre-training encoders from settings to a run: documents, pieces, masks, and the run opened for use."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from allyouneed.data.batches import plan
from allyouneed.data.documents import Document, Documents, read_documents
from allyouneed.data.encoder_settings import DocumentSettings
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.masking import Hiding, Masking
from allyouneed.data.sentence_pairs import Instances
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes import starting
from allyouneed.recipes.encoder_run import EncoderRun, save_subwords
from allyouneed.recipes.job import Kind, Prepared
from allyouneed.recipes.look import look_at_masks
from allyouneed.recipes.starting import settled
from allyouneed.settings import override
from allyouneed.tasks.masked_lm import MaskedLMTask, Short
from allyouneed.tracing.report import picture_of_learning
from allyouneed.tracing.trace import Trace
from allyouneed.training import distributed
from allyouneed.training.checkpoint import write_text
from allyouneed.training.settings import TrainingSettings

KIND = Kind(
    task="masked-lm",
    title="pre-training",
    groups={"data": DocumentSettings()},
    system="bert",
    training=TrainingSettings(
        learning_rate=1e-3, warmup_steps=500, eps=1e-6, beta2=0.999, label_smoothing=0.0, ema_decay=0.0
    ),
    presets={"albert": ("data.subwords=unigram", "data.ngram=3", "data.whole_words=true")},
    fitted=frozenset({"vocab_size", "positions_length", "pad"}),
)


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads the documents and learns (or, on resuming, reads) their pieces; then the folder is whole but for weights."""
    data, training = settings.data, settings.training
    if not data.path:
        raise UserError("pre-training needs text: give --data text files, tables, or a folder of them")
    documents = read_documents(data.path, data.text, data.held_out, data.split_seed)
    facts = {"train": len(documents.train), "val": len(documents.val), "sha256": fingerprint(documents)}
    if resuming:
        run_folder.check_same_data(folder, facts, "documents")
    settings, subwords = settled(
        KIND, settings, folder, resuming, lambda: (line for document in documents.train for line in document)
    )
    pair = _possible_pair(settings, documents)
    settings = override(settings, [f"model.pair={pair}"])
    masking = Masking(data.share, data.masked, data.kept, data.whole_words, data.ngram)
    encoded = [_encoded(part, subwords) for part in documents]
    train, val = (Instances(part, subwords, data.length, pair) for part in encoded)
    settings, short = _short(settings, encoded[0], subwords)
    task = MaskedLMTask(
        train, val, subwords, Hiding(subwords, masking), data.batch_tokens, training.seed, data.masking == "dynamic",
        short=short,
    )  # fmt: skip
    if not resuming:
        save_subwords(subwords, folder)
        write_text(folder / "data.json", json.dumps(facts, indent=1))
        run_folder.save_settings(settings, folder)
    notes = [f"{facts['train']:,} documents, {facts['val']:,} held out; {len(subwords):,} pieces; pairs: {pair}; "
             f"{len(task.plan(0)):,} batches an epoch"]  # fmt: skip
    return Prepared(settings, task, notes)


def _short(settings: Any, documents: list[list[list[int]]], subwords: EncoderSubwords) -> tuple[Any, Short | None]:
    """The shorter instances of the first part of the run, and the settings with the number of their batches.

    It is fixed when a run begins: a limit that a resume raises would otherwise move what has been trained already.
    """
    data, training = settings.data, settings.training
    if data.short_length is None:
        return settings, None
    if data.short_length >= data.length:
        raise UserError(f"data.short_length={data.short_length} must be less than data.length={data.length}")
    instances = Instances(documents, subwords, data.short_length, settings.model.pair)
    if data.short_batches is not None:
        return settings, Short(instances, data.short_batches)
    limits = [training.max_steps * training.accumulate * distributed.join().size] if training.max_steps else []
    if training.max_epochs:
        lengths = np.array([[len(row.ids) for row in instances.made(training.seed, 0)]])
        limits.append(training.max_epochs * len(plan(lengths, data.batch_tokens, training.seed, 0)))
    if not limits:
        raise UserError(
            "data.short_length needs a run whose length is known: give --max-steps, or --set training.max_epochs=..."
        )
    batches = max(1, round(data.short_share * min(limits)))
    return override(settings, [f"data.short_batches={batches}"]), Short(instances, batches)


def _possible_pair(settings: Any, documents: Documents) -> str:
    """Documents of one sentence each, as tables give, have no second sentence to ask about."""
    single = sum(len(document) == 1 for document in documents.train)
    return "none" if single > 0.5 * len(documents.train) else str(settings.model.pair)


def _encoded(documents: Sequence[Document], subwords: EncoderSubwords) -> list[list[list[int]]]:
    ids = iter(subwords.encode([sentence for document in documents for sentence in document]))
    return [[next(ids) for _ in document] for document in documents]


def fingerprint(documents: Documents) -> str:
    digest = hashlib.sha256()
    for part in documents:
        for document in part:
            digest.update("\n".join(document).encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def begin(model: nn.Module, settings: Any) -> list[str]:
    """The weights of what the run goes on from: the body's, and the head's where that was pre-trained too."""
    return starting.begin(KIND, model, settings)


class MaskedLMRun(EncoderRun):
    """A pre-trained encoder: guesses hidden words, and turns texts into vectors."""

    kind = KIND

    @torch.no_grad()
    def fill_mask(self, text: str, top_k: int = 5) -> list[list[tuple[str, float]]]:
        """For each [MASK] of the text the most probable pieces with their probabilities."""
        marked = self.subwords.single(self.subwords.encode_marked(text), self.settings.model.positions_length)
        ids = torch.tensor([marked.ids], device=self.device)
        places = (ids[0] == self.subwords.marks.mask).nonzero()[:, 0]
        if len(places) == 0:
            raise UserError(f"there is no [MASK] in {text[:60]!r}; write [MASK] where a word is to be guessed")
        logits = self.model.head.logits(self.model.encode(ids)[0, places]).float()
        best = logits.softmax(-1).topk(min(top_k, logits.shape[-1]), -1)
        rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [list(zip(self.subwords.pieces(ids), values, strict=True)) for ids, values in rows]

    def look(self, text: str) -> Trace:
        """What the model does with a text, as a trace; its guesses are the words at each [MASK]."""
        return look_at_masks(self, text)


def evaluate(folder: Path, data: Path | None = None, split: str = "val") -> dict[str, Any]:
    """Held-out accuracy of hidden words and of pairs, over masks that never change."""
    run = MaskedLMRun(folder)
    place = run.settings.data if data is None else override(run.settings, [f"data.path=[{data}]"]).data
    if split != "val":
        raise UserError(f"pre-training has the split val alone, not {split!r}; give other text with --data")
    if not place.path:
        raise UserError(f"{folder} was not trained on text that is here; give some with --data")
    documents = read_documents(place.path, place.text, place.held_out, place.split_seed)
    rows = documents.val if data is None else [*documents.train, *documents.val]
    instances = Instances(_encoded(rows, run.subwords), run.subwords, place.length, run.settings.model.pair)
    masking = Masking(place.share, place.masked, place.kept, place.whole_words, place.ngram)
    hiding = Hiding(run.subwords, masking)
    task = MaskedLMTask(instances, instances, run.subwords, hiding, place.batch_tokens, run.settings.training.seed)
    return {**task.validate(run.model), "split": split, "documents": len(rows)}


def conclude(out: Path, task: MaskedLMTask) -> list[str]:
    """Draws the learning curve; returns what to say."""
    picture_of_learning(out)
    return [
        f"how it learnt: {out}/learning_curve.svg",
        f"guess a word: allyouneed fill-mask {out} 'text with [MASK]'",
        f"fine-tune:    allyouneed train text-classification --from {out} --data FILE --out runs/fine",
    ]
