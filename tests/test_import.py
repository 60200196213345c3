"""A Marian checkpoint comes in unchanged: the same pieces, the same numbers, the same translations."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from allyouneed.data.grammar import generate
from allyouneed.decoding.beam import beam
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.penalties import Average
from allyouneed.errors import UserError
from allyouneed.recipes import import_marian as marian
from allyouneed.recipes.export import export_run
from allyouneed.recipes.import_ import import_run
from allyouneed.recipes.runs import load
from allyouneed.recipes.translation_run import TranslationRun
from allyouneed.weights.sentencepiece_file import read_pieces

LINES = [
    *generate("de-en").tests["test"].source[:60],
    "Ein ﬁ  漢字 und “Wort”…  ½ kg\u00a0x",
    "  a\tb　c  ",
    "É e\u0301 x, 漢 xy",
    "<b>",
]


class Published(NamedTuple):
    folder: Path
    model: Any
    tokenizer: Any
    words: dict[str, int]


def pieces_of(lines: Sequence[str], path: Path, kind: str = "unigram", **options: Any) -> list[str]:
    """Trains a SentencePiece model as Marian's users do; its pieces."""
    sentencepiece = pytest.importorskip("sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(path), model_type=kind, vocab_size=260, minloglevel=2,
        hard_vocab_limit=False, character_coverage=1.0, **options,
    )  # fmt: skip
    path.with_suffix(".model").rename(path.with_suffix(".spm"))
    path.with_suffix(".vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path.with_suffix(".spm")))
    return [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A tiny random opus-mt: its files, and the classes that read them."""
    transformers = pytest.importorskip("transformers")
    folder, corpus = tmp_path_factory.mktemp("hub") / "opus-mt-de-en", generate("de-en").train
    folder.mkdir()
    source, target = (
        pieces_of(corpus.source[:1500], folder / "source"),
        pieces_of(corpus.target[:1500], folder / "target"),
    )
    order = sorted({*source[:-12], *target})  # some pieces of the source are in no vocabulary, as it happens
    random.Random(0).shuffle(order)
    words = {word: i for i, word in enumerate(["</s>", "<unk>", *order, ">>eng<<", ">>fra<<", "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "tokenizer_config.json").write_text('{"source_lang": "de", "target_lang": "en"}')
    torch.manual_seed(0)
    pad = words["<pad>"]
    model = transformers.MarianMTModel(transformers.MarianConfig(
        vocab_size=pad + 1, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, pad_token_id=pad, init_std=0.3,
        decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0, scale_embedding=True,
        activation_function="swish", max_position_embeddings=128,
    )).eval()  # fmt: skip
    with torch.no_grad():
        model.final_logits_bias.normal_()
        model.final_logits_bias[0, 0] = 6.0  # so that sentences end
        model.model.shared.weight[pad] = 0.0
    for key, value in {"bad_words_ids": [[pad]], "num_beams": 4, "max_length": 40}.items():
        setattr(model.generation_config, key, value)
    model.save_pretrained(folder)
    return Published(folder, model, transformers.MarianTokenizer.from_pretrained(folder), words)


@pytest.fixture(scope="module")
def imported(published: Published, tmp_path_factory: pytest.TempPathFactory) -> TranslationRun:
    out = tmp_path_factory.mktemp("runs") / "imported"
    import_run(published.folder, out)
    return load(out)


def sides(published: Published) -> tuple[list[int], list[int]]:
    """Marian's row for each id of the run."""
    ids = marian.Ids(published.words["<pad>"], published.words["<pad>"], 0, 1)
    folder, words = published.folder, published.words
    source = marian.source_side(read_pieces(folder / "source.spm"), words, ids)
    target = marian.target_side(read_pieces(folder / "target.spm"), words, ids, len(words))
    return source.rows, target.rows


def padded(rows: list[list[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor([*row, 2]) for row in rows], batch_first=True)


def test_texts_get_the_same_pieces(published: Published, imported: TranslationRun) -> None:
    source, target = sides(published)
    lines = [*LINES, ">>eng<< Der Arzt kauft ein Buch.", ">>fra<<Hallo"]
    ours = [[source[i] for i in row] + [0] for row in imported.vocabulary.source.encode(lines)]
    assert ours == published.tokenizer(lines)["input_ids"]
    references = [*generate("de-en").tests["test"].target[:60], "a 漢 Q"]
    ours = [[target[i] for i in row] + [0] for row in imported.vocabulary.target.encode(references)]
    assert ours == published.tokenizer(text_target=references)["input_ids"]


def test_the_numbers_are_the_same(published: Published, imported: TranslationRun) -> None:
    """Log-probabilities of every word of Marian's; the start, which is none, has probability 0."""
    _, rows = sides(published)
    theirs = published.tokenizer(LINES, return_tensors="pt", padding=True)
    target = torch.randint(2, len(rows), (len(LINES), 6))
    target[:, 0] = 1
    with torch.no_grad():
        ours = imported.model(padded(imported.vocabulary.source.encode(LINES)), target).log_softmax(-1)
        logits = published.model(**theirs, decoder_input_ids=torch.tensor(rows)[target]).logits.log_softmax(-1)
    words = [index for index in range(len(rows)) if index != 1]
    torch.testing.assert_close(ours[..., words], logits[..., [rows[i] for i in words]], atol=1e-4, rtol=1e-4)
    assert not ours[..., 1].exp().any()


@pytest.mark.parametrize("size", [1, 4])
def test_translations_are_generates(size: int, published: Published, imported: TranslationRun) -> None:
    theirs = published.tokenizer(LINES, return_tensors="pt", padding=True)
    ids = published.model.generate(**theirs, num_beams=size, early_stopping=size > 1, max_length=40)
    source, longest = padded(imported.vocabulary.source.encode(LINES)), 38  # without the start and the end
    if size == 1:
        found = greedy(imported.model, source, max_lengths=longest)
    else:
        found = [best[0] for best in beam(imported.model, source, size, Average(1.0), 1, longest)]
    texts = published.tokenizer.batch_decode(ids, skip_special_tokens=True)
    ours = imported.vocabulary.target.decode([hypothesis.ids for hypothesis in found])
    assert len(set(texts)) > 5
    # Where a search of several runs into the limit the two stop at other moments, and may keep another hypothesis.
    ended = [len(hypothesis.ids) < longest for hypothesis in found]
    ended = [size == 1 or (end and int((row != ids[0, 0]).sum()) < 39) for end, row in zip(ended, ids, strict=True)]
    assert [a for a, end in zip(ours, ended, strict=True) if end] == [
        b for b, end in zip(texts, ended, strict=True) if end
    ]
    assert sum(ended) > 30


def test_the_run_asks_for_the_same_search(imported: TranslationRun) -> None:
    decoding = imported.settings.decoding
    assert (decoding.beam, decoding.penalty, decoding.length_penalty, decoding.max_source) == (4, "average", 1.0, 128)
    assert json.loads((imported.folder / "data.json").read_text())["target"] == "en"
    assert isinstance(imported.translate("Der Arzt kauft ein Buch."), str)


def test_an_imported_run_leaves_the_house_again(imported: TranslationRun, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    export_run(imported.folder, "huggingface", tmp_path / "hf")
    model = transformers.MarianMTModel.from_pretrained(tmp_path / "hf").eval()
    source = padded(imported.vocabulary.source.encode(LINES[:4]))
    target = torch.tensor([[1, 5, 6]] * 4)
    with torch.no_grad():
        theirs = model(input_ids=source, attention_mask=source != 0, decoder_input_ids=target).logits
        torch.testing.assert_close(imported.model(source, target), theirs, atol=1e-4, rtol=1e-4)


def test_languages_of_a_multilingual_model_are_named(published: Published, tmp_path: Path) -> None:
    (note,) = import_run(published.folder, tmp_path / "run")
    assert ">>eng<<" in note and ">>fra<<" in note


def test_refusals(published: Published, tmp_path: Path) -> None:
    def broken(name: str, content: bytes | None) -> Path:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        shutil.copytree(published.folder, folder)
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        return folder

    whole = (published.folder / "source.spm").read_bytes()
    vocabulary = {**published.words, "extra": 10_000}
    corpus = generate("de-en").train.source[:300]
    pieces_of(corpus, tmp_path / "bpe", "bpe")
    pieces_of(corpus, tmp_path / "user", user_defined_symbols=["<x>"])
    for name, content, complaint in (
        ("source.spm", None, r"cannot read .*source\.spm"),
        ("source.spm", whole[:5000], "is not a SentencePiece model"),
        ("target.spm", b"", "holds no pieces"),
        ("target.spm", (tmp_path / "bpe.spm").read_bytes(), "of the kind bpe; only unigram"),
        ("source.spm", (tmp_path / "user.spm").read_bytes(), "has user-defined pieces"),
        ("vocab.json", b"[]", "should hold an object"),
        ("vocab.json", json.dumps(vocabulary).encode(), "it has the id 10000"),
        ("vocab.json", json.dumps({"a": 1}).encode(), "it has no <unk>"),
        ("model.safetensors", None, "holds no weights"),
    ):
        with pytest.raises(UserError, match=complaint):
            import_run(broken(name, content), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="exists already"):
        import_run(published.folder, tmp_path)
