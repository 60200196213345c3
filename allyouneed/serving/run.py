"""An opened run as the batching thread uses it: sentences too long for it are refused, the others translated."""

from collections.abc import Sequence
from typing import Any

from allyouneed.serving.batching import Options
from allyouneed.serving.limits import Refusal, too_long
from allyouneed.serving.settings import ServingSettings


class ServedRun:
    """Called with options, sentences and prefixes: for each sentence its translations, or the Refusal it gets.

    Lengths in pieces are found here and not at the door, because a tokenizer serves one thread at a time.
    """

    def __init__(self, run: Any, settings: ServingSettings):
        self.run, self.settings = run, settings
        self.translator = getattr(run, "translator", None)  # without one there are no pieces to count
        self.card = _card(run) if self.translator else {}

    def __call__(self, options: Options, lines: Sequence[str], prefixes: Sequence[str]) -> list[Any]:
        answers: list[Any] = self._refusals(lines, prefixes)
        rows = [row for row, refusal in enumerate(answers) if refusal is None]
        if rows:
            named = {"beam": options.beam, "length_penalty": options.length_penalty}
            given: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
            if any(prefixes):
                given["prefixes"] = [prefixes[row] for row in rows]
            found = self.run.n_best([lines[row] for row in rows], options.n_best, **given)
            for row, translations in zip(rows, found, strict=True):
                answers[row] = translations
        return answers

    def _refusals(self, lines: Sequence[str], prefixes: Sequence[str]) -> list[Refusal | None]:
        if self.translator is None:
            return [None for _ in lines]
        decoding = self.run.settings.decoding
        limit = min(self.settings.max_pieces, decoding.max_source)
        forced = self.translator.target.encode(list(prefixes)) if any(prefixes) else [[] for _ in lines]
        refusals: list[Refusal | None] = []
        for source, begun in zip(self.translator.source.encode(list(lines)), forced, strict=True):
            room = len(source) + decoding.max_extra
            if len(source) > limit:
                refusals.append(too_long("the sentence", len(source), limit, "pieces"))
            elif len(begun) > room and source:
                refusals.append(too_long("the prefix", len(begun), room, "pieces"))
            else:
                refusals.append(None)
        return refusals


def _card(run: Any) -> dict[str, Any]:
    """What a client may want to know of the model."""
    data = run.settings.data
    languages = data.pair.split("-") if data.path is None else [data.src, data.tgt]
    return {
        "name": run.folder.resolve().name,
        "system": run.settings.system,
        "source": languages[0],
        "target": languages[1],
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "vocabulary": {"source": len(run.vocabulary.source), "target": len(run.vocabulary.target)},
        "decoding": run.settings.decoding.model_dump(),
    }
