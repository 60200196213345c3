"""Language models from settings to a run: text, pieces, windows, and the run opened for use."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from allyouneed.data.running_pieces import RunningPieces
from allyouneed.data.running_settings import RunningTextSettings
from allyouneed.data.running_text import RunningText, read_running_text
from allyouneed.data.subwords import EOS, PAD
from allyouneed.decoding.generation import GenerationSettings
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.sampling import sample
from allyouneed.errors import UserError
from allyouneed.nn.heads import Smoothing
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.job import Kind, Prepared, build
from allyouneed.recipes.look import look_at_language_model
from allyouneed.settings import override
from allyouneed.tasks.language_model import HeldOut, LanguageModelTask, read
from allyouneed.tracing.report import picture_of_learning
from allyouneed.tracing.trace import Trace
from allyouneed.training.checkpoint import write_text
from allyouneed.training.memory import keep_freed_memory
from allyouneed.training.settings import TrainingSettings

KIND = Kind(
    task="language-model",
    title="language models",
    groups={"data": RunningTextSettings(), "decoding": GenerationSettings()},
    system="gpt",
    training=TrainingSettings(label_smoothing=0.0, learning_rate=1e-3, warmup_steps=200, ema_decay=0.99),
    fitted=frozenset({"vocab_size", "positions_length"}),
)


def prepare(settings: Any, folder: Path, resuming: bool) -> Prepared:
    """Reads the text and learns (or, on resuming, reads) its pieces; then the run folder is whole but for weights."""
    text = texts_of(settings.data)
    facts = {"train": sum(map(len, text.train)), "sha256": fingerprint(text)}
    if resuming:
        run_folder.check_same_data(folder, facts, "characters")
        pieces = load_pieces(folder)
    else:
        pieces = RunningPieces.learn(text.train, settings.data.pieces, settings.data.vocab_size)
    settings = fitted(settings, pieces)
    train = pieces.encode_documents(text.train)
    val = HeldOut.of(pieces.encode_documents(text.val), text.val)
    data, training = settings.data, settings.training
    smoothing = Smoothing.named(training.label_smoothing_convention, training.label_smoothing, len(pieces))
    task = LanguageModelTask(train, val, data.length, data.batch_tokens, training.seed, smoothing)
    if not resuming:
        write_text(folder / "tokenizer.json", pieces.tokenizer.to_str(pretty=True))
        write_text(folder / "data.json", json.dumps(facts, indent=1))
        run_folder.save_settings(settings, folder)
    notes = [f"{len(train):,} training tokens in {len(pieces):,} pieces, {len(val.ids):,} for validation; "
             f"{len(task.plan(0)):,} batches an epoch"]  # fmt: skip
    return Prepared(settings, task, notes)


def texts_of(data: RunningTextSettings) -> RunningText:
    if data.path is None:
        raise UserError("a language model needs text: give --data a text file, or a folder of them")
    return read_running_text(data.path, data.held_out)


def fingerprint(text: RunningText) -> str:
    digest = hashlib.sha256()
    for document in [*text.train, *text.val]:
        digest.update(document.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def fitted(settings: Any, pieces: RunningPieces) -> Any:
    """The settings with the size of the vocabulary, and positions for a window where they are learned."""
    words = [f"model.vocab_size={len(pieces)}"]
    if "positions_length" in type(settings.model).model_fields:
        words.append(f"model.positions_length={max(settings.data.length, settings.model.positions_length)}")
    return override(settings, words)


def load_pieces(folder: Path) -> RunningPieces:
    path = folder / "tokenizer.json"
    if not path.exists():
        raise UserError(f"{folder} holds no tokenizer.json, so it is not a whole run; was it copied without it?")
    return RunningPieces.load(path)  # type: ignore[return-value]


class LanguageModelRun:
    """A trained language model: it writes on from a prompt, and scores text."""

    def __init__(self, folder: str | Path, device: str | None = None):
        keep_freed_memory()
        self.folder = Path(folder)
        self.settings = run_folder.stored_settings(self.folder, KIND)
        self.pieces = load_pieces(self.folder)
        if len(self.pieces) != self.settings.model.vocab_size:
            raise UserError(
                f"the tokenizer in {self.folder} has {len(self.pieces):,} pieces and the model of config.yaml "
                f"{self.settings.model.vocab_size:,}, so one of them is another run's; restore it from a copy"
            )
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = run_folder.load_weights(build(KIND, self.settings), self.folder / "model.safetensors")
        self.model: Any = model.to(self.device)

    def generate(self, prompt: str = "", count: int = 1, seed: int = 0, **changes: Any) -> list[str]:
        """`count` texts that begin with the prompt; settings of generation are named (`temperature=0.5, length=100`)."""
        settings = GenerationSettings(**{**self.settings.decoding.model_dump(), **changes})
        ids = self.pieces.encode_text(prompt).tolist()
        self._refuse(prompt, ids, settings)
        source = torch.full((count, 1), PAD, device=self.device)
        longest = len(ids) + settings.length
        if settings.temperature == 0:
            found = greedy(self.model, source, max_lengths=longest, min_length=longest, prefix=[ids] * count)
        else:
            drawn = sample(
                self.model, source, settings.temperature, settings.top_k, settings.top_p,
                seed=seed, max_lengths=longest, min_length=longest, prefix=[ids] * count,
            )  # fmt: skip
            found = [hypotheses[0] for hypotheses in drawn]
        return [self.pieces.decode_text(hypothesis.ids) for hypothesis in found]

    def look(self, text: str) -> Trace:
        """What the model does with a text, as a trace; its guesses are the next pieces."""
        return look_at_language_model(self, text)

    def _refuse(self, prompt: str, ids: list[int], settings: GenerationSettings) -> None:
        if 3 in ids:
            known = "a character that the training text does not have"
            raise UserError(f"the prompt {prompt[:40]!r} holds {known}, so this model cannot read it; leave it out")
        limit = self.settings.model.model_dump().get("positions_length")
        learned = self.settings.model.model_dump().get("positions") == "learned"
        if learned and len(ids) + settings.length > limit:
            raise UserError(
                f"prompt and text would have {len(ids) + settings.length:,} tokens and the model has {limit:,} learned "
                f"positions; ask for a length of at most {max(limit - len(ids), 0):,}"
            )

    def evaluate(self, documents: Sequence[str]) -> dict[str, float]:
        """Bits per byte and character, perplexity; each token is predicted from at least half a window."""
        ids, length = self.pieces.encode_documents(documents), self.settings.data.length
        held_out = HeldOut.of(ids, documents)
        scores = read(self.model, ids, length, max(1, length // 2)).per(held_out)
        return {**scores, "tokens": len(ids), "unknown": int((ids == 3).sum()), "documents": int((ids == EOS).sum())}


def evaluate(folder: Path, data: Path | None = None, split: str = "test") -> dict[str, Any]:
    """Scores a run on a split of its own text, or of other text."""
    run = LanguageModelRun(folder)
    place = run.settings.data if data is None else override(run.settings, [f"data.path={data}"]).data
    text = texts_of(place)._asdict()
    if split not in text or not text[split]:
        held = ", ".join(name for name, documents in text.items() if documents)
        raise UserError(f"the text has no split {split!r}; its splits: {held}")
    return {**run.evaluate(text[split]), "split": split}


def conclude(out: Path, task: LanguageModelTask) -> list[str]:
    """Draws the learning curve and writes what the model writes; returns what to say."""
    picture_of_learning(out)
    run = LanguageModelRun(out)
    samples = run.generate(count=3, length=min(300, run.settings.data.length), seed=1)
    write_text(out / "samples.txt", "\n\n--------\n\n".join(samples) + "\n")
    return [
        f"what it writes: {out}/samples.txt; how it learnt: {out}/learning_curve.svg",
        f"write on: allyouneed generate {out} --prompt '...'",
        f"score:    allyouneed evaluate {out} --split test",
    ]
