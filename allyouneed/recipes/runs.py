"""Finished runs, opened for use: `allyouneed.load("runs/x")`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from allyouneed.decoding.settings import DecodingSettings
from allyouneed.decoding.translate import Progress, Translation, Translator
from allyouneed.errors import UserError
from allyouneed.recipes import translation
from allyouneed.training.checkpoint import load_tensors
from allyouneed.training.state import load_model_tensors


class TranslationRun:
    """A trained translator: raw text in, raw text out."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"there is no run folder {self.folder}; give the folder that training wrote")
        self.settings = translation.stored_settings(self.folder)
        self.vocabulary = translation.load_vocabulary(self.folder)
        self.model = load_weights(translation.build(self.settings), self.folder / "model.safetensors")
        self.translator = Translator(self.model, *self.vocabulary)

    def decoding(self, **changes: Any) -> DecodingSettings:
        """The run's own settings of decoding, with changes such as `beam=1`."""
        return DecodingSettings(**{**self.settings.decoding.model_dump(), **changes})

    def translate(
        self, lines: str | Sequence[str], progress: Progress | None = None, **decoding: Any
    ) -> str | list[str]:
        """The best translation of a line, or of each line; settings of decoding are named (`beam=5`)."""
        found = self.translator.translate(
            [lines] if isinstance(lines, str) else lines, self.decoding(**decoding), progress
        )
        return found[0] if isinstance(lines, str) else found

    def n_best(self, lines: Sequence[str], n: int, **options: Any) -> list[list[Translation]]:
        """The `n` best translations of each line with their scores."""
        searching = {key: options.pop(key) for key in ("progress", "prefixes") if key in options}
        return self.translator.n_best(lines, self.decoding(**options), n, **searching)

    def score(self, sources: Sequence[str], references: Sequence[str]) -> list[float]:
        """The log-probability (natural) that the model gives to each reference."""
        return self.translator.score(sources, references)


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    """The weights of a finished run, in a model of its settings, ready for use."""
    if not path.exists():
        raise UserError(
            f"{path.parent} holds no model.safetensors: training has not yet validated, or the run was copied in part"
        )
    try:
        load_model_tensors(model, load_tensors(path))
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path} does not fit the model of {path.parent}/config.yaml ({error})") from None
    return model.eval()


def load(folder: str | Path) -> TranslationRun:
    """Opens a run folder for use."""
    return TranslationRun(folder)
