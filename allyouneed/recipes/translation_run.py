"""A trained translator, opened for use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from allyouneed.decoding.settings import DecodingSettings
from allyouneed.decoding.translate import Progress, Translation, Translator
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.job import build
from allyouneed.recipes.look import look_at_translation
from allyouneed.recipes.translation import KIND
from allyouneed.tracing.trace import Trace
from allyouneed.training.memory import keep_freed_memory


class TranslationRun:
    """A trained translator: raw text in, raw text out."""

    def __init__(self, folder: str | Path, device: str | None = None):
        keep_freed_memory()
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"there is no run folder {self.folder}; give the folder that training wrote")
        self.settings = run_folder.stored_settings(self.folder, KIND)
        self.vocabulary = run_folder.load_vocabulary(self.folder)
        run_folder.check_sizes(self.vocabulary, self.settings, self.folder)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = run_folder.load_weights(build(KIND, self.settings), self.folder / "model.safetensors")
        self.model = model.to(self.device)
        self.translator = Translator(self.model, *self.vocabulary)

    def decoding(self, **changes: Any) -> DecodingSettings:
        """The run's own settings of decoding, with changes such as `beam=1`."""
        return DecodingSettings(**{**self.settings.decoding.model_dump(), **changes})

    def translate(
        self, lines: str | Sequence[str], progress: Progress | None = None, **decoding: Any
    ) -> str | list[str]:
        """The best translation of a line, or of each line; settings of decoding are named (`beam=5`).

        UserError for a line of more pieces than `max_source`, before anything is translated.
        """
        text, settings = [lines] if isinstance(lines, str) else lines, self.decoding(**decoding)
        self.refuse_long(text, settings)
        found = self.translator.translate(text, settings, progress)
        return found[0] if isinstance(lines, str) else found

    def n_best(self, lines: Sequence[str], n: int, **options: Any) -> list[list[Translation]]:
        """The `n` best translations of each line with their scores."""
        searching = {key: options.pop(key) for key in ("progress", "prefixes") if key in options}
        settings = self.decoding(**options)
        self.refuse_long(lines, settings)
        return self.translator.n_best(lines, settings, n, **searching)

    def refuse_long(self, lines: Sequence[str], settings: DecodingSettings) -> None:
        """A line of more pieces than the limit is no sentence: its translation would be cut, or take all memory."""
        for number, line in enumerate(lines, 1):
            if 4 * len(line) < settings.max_source:  # a piece has a byte at least, so this one need not be cut to know
                continue
            pieces = len(self.vocabulary.source.encode([line])[0])
            if pieces > settings.max_source:
                raise UserError(
                    f"line {number} has {len(line):,} characters, {pieces:,} pieces, and the limit is "
                    f"decoding.max_source={settings.max_source:,} pieces; put each sentence on a line of its own"
                )

    def look(self, text: str, **decoding: Any) -> Trace:
        """What the model does with a sentence, as a trace: `run.look("Ein Mann schläft.", beam=8).show()`."""
        return look_at_translation(self, text, **decoding)

    def score(self, sources: Sequence[str], references: Sequence[str]) -> list[float]:
        """The log-probability (natural) that the model gives to each reference."""
        return self.translator.score(sources, references)
