"""A run leaves the house unchanged: the same tokens from CTranslate2, ONNX Runtime and transformers."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from export_runs import encoded, held_out, trained_run, untrained_run

from allyouneed.decoding.greedy import greedy
from allyouneed.errors import UserError
from allyouneed.recipes.export import export_run, load_onnx
from allyouneed.recipes.runs import load
from allyouneed.recipes.translation_run import TranslationRun

COUNT = 60
MAKES: dict[str, dict[str, Any]] = {
    "pre, interleaved": {},
    "post, interleaved": {"norm": "post"},
    "post, halves, head bias, uneven depth": {"norm": "post", "positions": "halves", "head_bias": True, "order": "sf",
                                              "eps": 1e-5, "activation": "silu"},
    "the paper's: post, eps 1e-6, no biases": {"norm": "post", "eps": 1e-6, "bias": False, "activation": "relu"},
    "tensor2tensor's: pre, eps 1e-6, no biases": {"eps": 1e-6, "bias": False, "positions": "tensor2tensor"},
    "pre, learned positions": {"positions": "learned", "positions_length": 40, "activation": "gelu"},
    "post, learned positions, large eps": {"norm": "post", "positions": "learned", "positions_length": 40, "eps": 1e-3},
    "pre, nothing tied": {"tie": "none", "activation": "gelu_tanh", "scale_embedding": False},
    "post, nothing tied, eps 1e-6": {"norm": "post", "tie": "none", "eps": 1e-6},
    "pre, two vocabularies": {"joint": False, "tie": "decoder"},
    "post, two vocabularies, eps 1e-6": {"joint": False, "tie": "decoder", "norm": "post", "eps": 1e-6},
}  # fmt: skip
every_make = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TranslationRun:
    return load(trained_run(tmp_path_factory.mktemp("runs") / "trained"))


def ours(run: TranslationRun, lines: list[str], beam: int) -> list[list[int]]:
    return [found[0].ids for found in run.n_best(lines, 1, beam=beam)]


def agreement(one: list[Any], other: list[Any]) -> str:
    return f"{sum(a == b for a, b in zip(one, other, strict=True))} of {len(one)}"


# ---- CTranslate2


def ct2_ids(run: TranslationRun, folder: Path, lines: list[str], beam: int, longest: int = 250) -> list[list[int]]:
    ctranslate2 = pytest.importorskip("ctranslate2")
    translator = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
    pieces = [run.vocabulary.source.pieces(ids) for ids in run.vocabulary.source.encode(lines)]
    found = translator.translate_batch(pieces, beam_size=beam, length_penalty=1.0, max_decoding_length=longest)
    to_id = run.vocabulary.target.tokenizer.token_to_id
    return [[to_id(piece) for piece in result.hypotheses[0]] for result in found]


@pytest.mark.parametrize("beam", [1, 5])
def test_ctranslate2_translates_a_trained_run_the_same(beam: int, trained: TranslationRun, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    folder, _ = export_run(trained.folder, "ctranslate2", tmp_path / "ct2")
    assert {"model.bin", "config.json", "shared_vocabulary.json", "tokenizer.json"} <= {
        path.name for path in folder.iterdir()
    }
    lines = held_out(COUNT)
    theirs = ct2_ids(trained, folder, lines, beam)
    assert agreement(ours(trained, lines, beam), theirs) == f"{COUNT} of {COUNT}"


@every_make
def test_ctranslate2_scores_every_make_the_same(make: dict[str, Any], tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    run = load(untrained_run(tmp_path / "run", **make))
    export_run(run.folder, "ctranslate2", tmp_path / "ct2")
    translator = ctranslate2.Translator(str(tmp_path / "ct2"), compute_type="float32", intra_threads=1)
    lines = held_out(4)
    sources, references = run.vocabulary.source.encode(lines), run.vocabulary.target.encode(["The doctor buys a book."])
    pieces = [run.vocabulary.source.pieces(ids) for ids in sources]
    target = run.vocabulary.target.pieces(references[0])
    theirs = [sum(result.log_probs) for result in translator.score_batch(pieces, [target] * 4, max_input_length=0)]
    scores = run.score(lines, ["The doctor buys a book."] * 4)
    torch.testing.assert_close(torch.tensor(theirs), torch.tensor(scores), atol=1e-4, rtol=1e-5)


# ---- Hugging Face


def opened(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    model, report = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


@pytest.mark.parametrize("beam", [1, 5])
def test_transformers_generates_a_trained_run_the_same(beam: int, trained: TranslationRun, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder, _ = export_run(trained.folder, "huggingface", tmp_path / "hf")
    model, tokenizer = opened(folder), transformers.AutoTokenizer.from_pretrained(folder)
    strange = ["Der </s> Arzt <pad> kauft <s> ein Buch."]
    assert tokenizer(strange, return_tensors="pt")["input_ids"].tolist() == encoded(trained, strange).tolist()
    lines = held_out(COUNT)
    batch = tokenizer(lines, padding=True, return_tensors="pt")
    assert torch.equal(batch["input_ids"], encoded(trained, lines))
    ids = model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], num_beams=beam)
    theirs = [[index for index in row if index > 2] for row in ids.tolist()]
    assert agreement(ours(trained, lines, beam), theirs) == f"{COUNT} of {COUNT}"
    texts = [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    assert texts == trained.translate(lines, beam=beam)


@every_make
def test_transformers_computes_every_make_the_same(make: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    run = load(untrained_run(tmp_path / "run", **make))
    folder, notes = export_run(run.folder, "huggingface", tmp_path / "hf")
    model = opened(folder)
    source = encoded(run, held_out(4))
    target = torch.randint(3, len(run.vocabulary.target), (4, 6))
    target[:, 0] = 1
    with torch.no_grad():
        expected = run.model(source, target)
        logits = model(input_ids=source, attention_mask=source != 0, decoder_input_ids=target).logits
    torch.testing.assert_close(logits[..., : expected.shape[-1]], expected, atol=1e-4, rtol=1e-4)
    ids = model.generate(input_ids=source, attention_mask=source != 0, max_length=14, num_beams=1)
    theirs = [[index for index in row if index > 2] for row in ids.tolist()]
    assert [found.ids for found in greedy(run.model, source, max_lengths=12)] == theirs
    model.save_pretrained(tmp_path / "again")  # what transformers itself writes, where it keeps the positions
    if not any("save_pretrained" in note for note in notes):
        again = opened(tmp_path / "again")
        with torch.no_grad():
            assert torch.equal(
                again(input_ids=source, attention_mask=source != 0, decoder_input_ids=target).logits, logits
            )


def test_a_penalty_that_transformers_lacks_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = untrained_run(tmp_path / "run")
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("penalty: average", "penalty: gnmt").replace("beam: 1", "beam: 4"))
    _, notes = export_run(folder, "huggingface", tmp_path / "hf")
    assert any("gnmt" in note for note in notes)


# ---- ONNX


@pytest.fixture(scope="module")
def onnx_folder(trained: TranslationRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    return export_run(trained.folder, "onnx", tmp_path_factory.mktemp("out") / "onnx")[0]


@pytest.mark.parametrize("beam", [1, 5])
def test_onnx_translates_a_trained_run_the_same(beam: int, trained: TranslationRun, onnx_folder: Path) -> None:
    run, lines = load_onnx(onnx_folder, threads=1), [*held_out(COUNT - 1), ""]
    assert run.translate(lines, beam=beam) == trained.translate(lines, beam=beam)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 1), (2, 5)], ids=str)
def test_onnx_steps_within_1e4(sizes: tuple[int, int], trained: TranslationRun, onnx_folder: Path) -> None:
    """At sizes other than those with which the graphs were made, hypotheses changing places between the steps."""
    from allyouneed.nn.layer import select

    model, (b, k) = load_onnx(onnx_folder, threads=1).translator.model, sizes
    source = encoded(trained, held_out(b + 3)[3:])
    caches = [trained.model.init_cache(source), model.init_cache(source)]
    caches = [select(cache, torch.arange(b).repeat_interleave(k)) for cache in caches]
    with torch.no_grad():
        for _ in range(5):
            ids = torch.randint(3, 200, (b * k,))
            (one, caches[0]), (other, caches[1]) = (
                m.step(ids, cache) for m, cache in zip((trained.model, model), caches, strict=True)
            )
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
            rows = (torch.arange(b)[:, None] * k + torch.randint(0, k, (b, k))).flatten()
            caches = [select(cache, rows) for cache in caches]


@pytest.mark.parametrize(
    "make",
    [{"order": "ssff", "decoder_order": "sccf"}, {"norm": "post", "positions": "learned", "positions_length": 60}],
    ids=["any order", "learned positions"],
)
def test_onnx_takes_any_make(make: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    run = load(untrained_run(tmp_path / "run", **make))
    export_run(run.folder, "onnx", tmp_path / "onnx")
    lines = held_out(3)
    assert load_onnx(tmp_path / "onnx", 1).translate(lines) == run.translate(lines)


# ---- the door


@pytest.mark.parametrize("target", ["ctranslate2", "huggingface"])
@pytest.mark.parametrize(
    "make, name",
    [({"order": "ssff"}, r"model\.order=ssffn"), ({"norm": "post", "decoder_order": "sccf"}, r"decoder_order=sccf \(")],
    ids=["encoder", "decoder"],
)
def test_what_a_target_cannot_express_is_refused_by_name(
    target: str, make: dict[str, Any], name: str, tmp_path: Path
) -> None:
    folder = untrained_run(tmp_path / "run", **make)
    with pytest.raises(UserError, match=f"cannot express .*{name}.*--to onnx can"):
        export_run(folder, target, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = untrained_run(tmp_path / "run")
    known = "ctranslate2, onnx, huggingface"
    with pytest.raises(UserError, match=f"--to tflite is not known for a run of translation; choose one of {known}"):
        export_run(folder, "tflite")
    with pytest.raises(UserError, match="exists already"):
        export_run(folder, "onnx", tmp_path)
    with pytest.raises(UserError, match="no run folder"):
        export_run(tmp_path / "nowhere", "onnx")
    for target, package, extra in (("onnx", "onnxscript", "export"), ("ctranslate2", "ctranslate2", "ct2"),
                                   ("huggingface", "transformers", "huggingface")):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(UserError, match=rf"needs the package .*pip install 'allyouneed\[{extra}\]'"):
                export_run(folder, target, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ctranslate2")
    from allyouneed.weights import export_ctranslate2

    folder = untrained_run(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))

    def fails(*_: Any) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_ctranslate2, "write", fails)
    with pytest.raises(UserError, match="cannot be written"):
        export_run(folder, "ctranslate2", tmp_path / "new" / "out")
    assert sorted(path for path in tmp_path.rglob("*") if path != tmp_path / "new") == before


def test_an_onnx_folder_must_be_whole(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(UserError, match=r"holds no encode\.onnx"):
        load_onnx(tmp_path)
