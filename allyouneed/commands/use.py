"""Runs in use: translate, score, serve, and carry models in and out of the house."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from allyouneed.commands.options import Beam, Data, Json, Penalty, Run, Set, Source, Target


def translate(
    run: Run,
    file: Annotated[str, typer.Argument(help="Text to translate, a sentence a line; - is standard input.")] = "-",
    beam: Beam = None,
    length_penalty: Penalty = None,
    n_best: Annotated[
        int, typer.Option("--n-best", min=1, max=200, help="Translations per line, each with its line number.")
    ] = 1,
    scores: Annotated[bool, typer.Option("--scores", help="Put the score and a tab before each translation.")] = False,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Words with which every translation begins.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File to write instead of standard output.")] = None,
) -> None:
    """Translate lines of text: lines in, lines out, same number and order."""
    from allyouneed.recipes.use import translate_lines

    translate_lines(run, file, {"beam": beam, "length_penalty": length_penalty}, n_best, scores, prefix, output)


class ServingHelp(TyperCommand):
    """A command whose help ends with the settings of a server."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from allyouneed.serving.settings import ServeCommand
        from allyouneed.settings import describe

        super().format_help(ctx, formatter)
        with formatter.section("Settings for --set key=value"):
            formatter.write_dl([(row.key, f"{row.explanation} [{row.default}]") for row in describe(ServeCommand)])


def serve(
    run: Run,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one and says it.")] = 8000,
    set_: Set = None,
) -> None:
    """Translate for others over HTTP, batching what arrives together; Ctrl-C or SIGTERM stops it when all is answered."""
    from allyouneed.serving.settings import ServeCommand
    from allyouneed.settings import override

    settings = override(ServeCommand(), list(set_ or [])).serving
    from allyouneed.serving.server import serve as run_server

    def opened() -> Any:
        from allyouneed.recipes.runs import load

        return load(run)

    if not run_server(opened, run, host, port, settings):
        raise typer.Exit(1)


def evaluate(
    run: Run,
    data: Data = None,
    split: Annotated[str, typer.Option("--split", help="A file's prefix: test, val, test_2016_flickr.")] = "test",
    src: Source = None,
    tgt: Target = None,
    beam: Beam = None,
    length_penalty: Penalty = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the translations.")] = None,
    as_json: Json = False,
) -> None:
    """Score a run on held-out data: for a translator sacreBLEU and chrF with signatures and a 95 % interval."""
    from allyouneed.recipes.evaluate import evaluate_any

    options = {"src": src, "tgt": tgt, "beam": beam, "length_penalty": length_penalty, "output": output}
    scores = evaluate_any(run, data, split, {key: value for key, value in options.items() if value is not None})
    if as_json:
        print(json.dumps(scores, ensure_ascii=False))
    elif "bleu" in scores:
        print(f"BLEU  {scores['bleu']:.2f}  (95 % {scores['bleu_low']:.2f} to {scores['bleu_high']:.2f}; "
              f"lower-cased {scores['bleu_lc']:.2f})   {scores['signature']}")  # fmt: skip
        print(f"chrF  {scores['chrf']:.2f}   {scores['chrf_signature']}")
        print(f"equal to the reference: {scores['exact_match']:.1%} of {scores['sentences']:,} sentences")
    else:
        for key, value in scores.items():
            print(f"{key.replace('_', ' '):20} {f'{value:,.4g}' if isinstance(value, float) else value}")


def generate(
    run: Run,
    prompt: Annotated[str, typer.Option("--prompt", help="How the text begins.")] = "",
    length: Annotated[int | None, typer.Option("--length", min=1, help="Tokens to write at most.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, help="0: the most probable.")] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", min=1, help="Draw among so many tokens.")] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", help="Draw among those that sum to this share.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many texts.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Other seeds draw other texts.")] = 0,
) -> None:
    """Let a language model write on from a prompt."""
    from allyouneed.recipes.language_model import LanguageModelRun

    given = {"length": length, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    texts = LanguageModelRun(run).generate(prompt, count, seed, **{k: v for k, v in given.items() if v is not None})
    print("\n--------\n".join(texts))


def fill_mask(
    run: Run,
    text: Annotated[str, typer.Argument(help="A text with [MASK] where a word is to be guessed.")],
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="So many guesses for each.")] = 5,
    as_json: Json = False,
) -> None:
    """Guess the hidden words of a text with a pre-trained encoder."""
    from allyouneed.recipes.masked_lm import MaskedLMRun

    found = MaskedLMRun(run).fill_mask(text, top_k)
    if as_json:
        print(json.dumps([dict(guesses) for guesses in found], ensure_ascii=False))
        return
    for number, guesses in enumerate(found, 1):
        print("\n".join(f"{number}  {share:7.2%}  {piece}" for piece, share in guesses))


def predict(
    run: Run,
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Files of texts or questions, one a line; - is standard input.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="So many labels for each.")] = 1,
    as_json: Json = False,
) -> None:
    """Classify texts, tag their words or answer questions, a line each (a tab parts the two of a pair or question)."""
    from allyouneed.recipes.predict import predict_lines

    print("\n".join(predict_lines(run, inputs or [], top_k, as_json)))


def export_(
    run: Run,
    to: Annotated[str, typer.Option("--to", help="Whose model: huggingface, onnx; of a translator ctranslate2.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="The folder to write; without it RUN/export/TARGET.")
    ] = None,
) -> None:
    """Write a run as a model of CTranslate2, ONNX or Hugging Face transformers, with its vocabulary."""
    from allyouneed.recipes.export import export_run

    folder, notes = export_run(run, to, output)
    print("\n".join([f"written: {folder}", *notes]))


def import_(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A folder of Marian's, BERT's, ALBERT's or ViT's, as Hugging Face has it; or ViT's .npz.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The run folder to write.")],
) -> None:
    """Make a run of a published model: a Marian translator (opus-mt), a BERT or an ALBERT with any head, a ViT."""
    from allyouneed.recipes.import_ import import_run

    print("\n".join([f"written: {out}", *import_run(folder, out)]))
