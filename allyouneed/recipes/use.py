"""Using finished runs from the command line: translate lines, score a split, check data."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from allyouneed.data.check import check_corpus, render
from allyouneed.data.files import UTF8_BOM, check_text, read_lines, split_lines
from allyouneed.data.image_files import image_files_in
from allyouneed.data.parallel import read_corpus
from allyouneed.data.subwords import Subwords
from allyouneed.decoding.translate import Translation
from allyouneed.errors import UserError
from allyouneed.recipes import folder as run_folder
from allyouneed.recipes.image_use import check_image_data
from allyouneed.recipes.translation import read_split_of
from allyouneed.recipes.translation_run import TranslationRun
from allyouneed.settings import override
from allyouneed.tasks.metrics import full_scores
from allyouneed.training.progress import Bar


def read_input(file: str) -> list[str]:
    """The lines of a file, or of standard input for `-`."""
    if file != "-":
        return read_lines(Path(file))
    data = sys.stdin.buffer.read().removeprefix(UTF8_BOM)
    check_text(Path("standard input"), data)
    try:
        return split_lines(data.decode("utf-8"))
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise UserError(f"standard input, line {line}: invalid UTF-8; convert the text to UTF-8") from None


def write_output(lines: Sequence[str], output: Path | None) -> None:
    """To standard output, or to a file that is there whole or not at all."""
    text = "".join(line + "\n" for line in lines)
    if output is None:
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
        return
    aside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        if output.exists() and not output.is_file():  # /dev/null, a pipe: not to be replaced by a file
            output.write_text(text, encoding="utf-8")
            return
        aside.write_text(text, encoding="utf-8")
        aside.rename(output)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise UserError(f"{output} cannot be written ({error.strerror}); choose another --output") from None


def check_output(output: Path | None) -> None:
    """Refuses an impossible --output before the work, not after it."""
    if output is None:
        return
    if output.is_dir():
        raise UserError(f"{output} is a folder; give --output the name of a file")
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise UserError(
            f"{output} cannot be written: {output.parent} is no folder to write in; choose another --output"
        )


def decoding_changes(run: TranslationRun, changes: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, checked as settings of the run are."""
    given = {key: value for key, value in changes.items() if value is not None}
    override(run.settings, [f"decoding.{key}={value}" for key, value in given.items()])
    return given


def translate_lines(
    folder: Path, file: str, changes: dict[str, Any], n: int, scores: bool, prefix: str | None, output: Path | None
) -> None:
    """`allyouneed translate`."""
    check_output(output)
    run, lines = TranslationRun(folder), read_input(file)
    options = decoding_changes(run, changes)
    bar = Bar("translating")
    total = max(len(lines), 1)
    prefixes = [prefix] * len(lines) if prefix else None
    found = run.n_best(
        lines, n, progress=lambda done: bar.progress(done / total, None, {}), prefixes=prefixes, **options
    )
    bar.close()
    write_output(_rows(found, n, scores), output)


def _rows(found: Sequence[Sequence[Translation]], n: int, scores: bool) -> list[str]:
    rows = []
    for number, translations in enumerate(found, 1):
        if n == 1:
            best = translations[0] if translations else Translation("", 0.0, 0.0, [])
            rows.append(f"{best.score:.4f}\t{best.text}" if scores else best.text)
        rows += [
            "\t".join([str(number), *([f"{t.score:.4f}"] if scores else []), t.text]) for t in translations if n > 1
        ]
    return rows


def evaluate_run(
    folder: Path, data: Path | None = None, split: str = "test", src: str | None = None, tgt: str | None = None,
    output: Path | None = None, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """`allyouneed evaluate`: the scores, with what they were measured on; `changes` are settings of decoding."""
    check_output(output)
    run = TranslationRun(folder)
    options = decoding_changes(run, changes)
    words = {"path": data, "src": src, "tgt": tgt}
    if data is not None:  # in a folder of both languages, read in the direction of the run
        source, target = run_folder.languages(folder)
        words["src"] = src or run.settings.data.src or source
        words["tgt"] = tgt or run.settings.data.tgt or target
    place = override(run.settings, [f"data.{k}={v}" for k, v in words.items() if v is not None]).data
    text = read_split_of(place, split)
    if not text.source:
        raise UserError(f"the split {split!r} has no sentences; choose another --split")
    bar = Bar("translating")
    total = len(text.source)
    hypotheses = run.translator.translate(
        text.source, run.decoding(**options), lambda done: bar.progress(done / total, None, {})
    )
    bar.close()
    _warn_of_cut(run.translator.cut, run.decoding(**options).max_source)
    if output is not None:
        write_output(hypotheses, output)
    used = run.decoding(**options)
    return {
        **full_scores(hypotheses, text.target),
        "split": split,
        "beam": used.beam,
        "length_penalty": used.length_penalty,
    }


def _warn_of_cut(lines: Sequence[int], limit: int) -> None:
    if lines:
        shown = ", ".join([*map(str, lines[:5]), *(["..."] if len(lines) > 5 else [])])
        print(
            f"warning: sources of more than decoding.max_source={limit:,} pieces were cut: lines {shown}",
            file=sys.stderr,
        )


def check_data(path: Path, src: str | None, tgt: str | None) -> int:
    """`allyouneed data check` of parallel text or of images: prints the findings; the exit code."""
    if src is None and tgt is None and _holds_images(path):
        return check_image_data(path)
    rates, trips = _tokenizers(path, src, tgt)
    report = check_corpus(path, src, tgt, unknown_rate=rates, round_trip=trips)
    Console().print(render(report))
    return report.exit_code


def _holds_images(path: Path) -> bool:
    """Whether a folder is one of images: files of pictures, or arrays in MNIST's format."""
    return path.is_dir() and (bool(image_files_in(path)) or any(path.glob("*-idx*-ubyte*")))


def _tokenizers(path: Path, src: str | None, tgt: str | None) -> tuple[Any, Any]:
    """A tokenizer's two checks, where the text can be read at all; `check_corpus` says what is wrong where it cannot."""
    try:
        train = read_corpus(path, src, tgt).train
    except UserError:
        return None, None
    subwords = Subwords.train([*train.source, *train.target])
    return subwords.unknown_rate, subwords.round_trip
