"""Subwords of encoders: the same ids as transformers on mixed lines, whatever file they come from; marks, words, places."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from mixed_text import mixed_lines

from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.wordpiece import read_vocabulary
from allyouneed.errors import UserError
from allyouneed.weights.encoder_tokenizer import read_tokenizer

LINES = mixed_lines()
CORPUS = mixed_lines(3000, seed=2)


def spellings(subwords: EncoderSubwords) -> list[str]:
    return subwords.pieces(range(len(subwords)))


def vocabulary(folder: Path, **config: Any) -> EncoderSubwords:
    """A WordPiece vocabulary trained here, as a folder of BERT's; opened."""
    trained = EncoderSubwords.train(CORPUS, "wordpiece", 500, config.get("do_lower_case", True))
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in spellings(trained)), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **config}))
    opened = read_tokenizer(folder)
    if not config.keys() - {"do_lower_case"}:
        assert opened.encode(LINES) == trained.encode(LINES)
    return opened


def theirs(folder: Path) -> Any:
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(str(folder))


CONFIGS = {
    "uncased": {"do_lower_case": True},
    "cased": {"do_lower_case": False},
    "uncased with accents": {"do_lower_case": True, "strip_accents": False},
    "Chinese uncut": {"do_lower_case": True, "tokenize_chinese_chars": False},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_wordpiece_ids_are_transformers(config: dict[str, Any], tmp_path: Path) -> None:
    mine = vocabulary(tmp_path, **config)
    ids = mine.encode(LINES)
    assert ids == theirs(tmp_path)(LINES, add_special_tokens=False)["input_ids"]
    pieces = {piece for row in ids for piece in mine.pieces(row)}
    assert len(pieces) > 200 and sum(piece.startswith("##") for piece in pieces) > 50  # a test of something


@pytest.mark.parametrize("lowercase", [True, False])
def test_wordpiece_ids_are_those_of_the_original_code(lowercase: bool, tmp_path: Path) -> None:
    """The Python code that BERT was published with. It composes letters and accents first, which is seen where a
    cased text has them apart."""
    pytest.importorskip("transformers")
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    mine = vocabulary(tmp_path, do_lower_case=lowercase)
    original = BertTokenizerLegacy(str(tmp_path / "vocab.txt"), do_lower_case=lowercase)
    lines = LINES if lowercase else [line for line in LINES if unicodedata.is_normalized("NFC", line)]
    assert len(lines) > 800
    assert mine.encode(lines) == [original.convert_tokens_to_ids(original.tokenize(line)) for line in lines]


def sentencepiece_file(folder: Path, **options: Any) -> Path:
    """`spiece.model`, trained with ALBERT's options."""
    library = pytest.importorskip("sentencepiece")
    folder.mkdir(exist_ok=True)
    (folder / "corpus").write_text("\n".join(line.lower().replace("\0", "") for line in CORPUS), encoding="utf-8")
    library.SentencePieceTrainer.train(**{**dict(
        input=str(folder / "corpus"), model_prefix=str(folder / "spiece"), vocab_size=400, model_type="unigram",
        pad_id=0, unk_id=1, eos_id=-1, bos_id=-1, control_symbols="[CLS],[SEP],[MASK]", character_coverage=0.995,
        user_defined_symbols="(,),-,£,€", minloglevel=2, num_threads=1,
    ), **options})  # fmt: skip
    return folder / "spiece.model"


ALBERTS = {"published": {}, "cased, with accents": {"do_lower_case": False, "keep_accents": True}}


@pytest.mark.parametrize("config", ALBERTS.values(), ids=ALBERTS)
def test_sentencepiece_ids_are_transformers(config: dict[str, Any], tmp_path: Path) -> None:
    sentencepiece_file(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "AlbertTokenizer", **config}))
    transformers = pytest.importorskip("transformers")
    mine, other = read_tokenizer(tmp_path), transformers.AlbertTokenizer.from_pretrained(str(tmp_path))
    ids = mine.encode(LINES)
    assert ids == other(LINES, add_special_tokens=False)["input_ids"]
    assert len({index for row in ids for index in row}) > 250
    assert mine.marks == (0, 1, 2, 3, 4) and len(mine) == 400
    assert mine.encode_marked("fox [MASK] dog") == other("fox [MASK] dog", add_special_tokens=False)["input_ids"]


def test_a_tokenizer_json_is_read_as_it_is(tmp_path: Path) -> None:
    for kind in ("wordpiece", "unigram"):
        trained = EncoderSubwords.train(CORPUS, kind, 500)  # type: ignore[arg-type]
        trained.save(tmp_path / "tokenizer.json")
        (tmp_path / "vocab.txt").write_text("not looked at")
        assert read_tokenizer(tmp_path).encode(LINES) == trained.encode(LINES)


# ---- training


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_the_same_lines_give_the_same_vocabulary(kind: Any) -> None:
    first, second = (EncoderSubwords.train(CORPUS, kind, 450) for _ in range(2))
    assert spellings(first) == spellings(second)
    assert 300 < len(first) <= 450 and first.marks == (0, 1, 2, 3, 4)
    assert first.unknown_rate(LINES) < 0.1


def test_training_finds_the_pieces_that_it_should() -> None:
    """By hand. Letters: a c d at beginnings, ##a ##b ##x within. Pairs: a ##b 12, ##a ##b 10; then ab ##x 9, c ##ab 6."""
    words = ["abx"] * 9 + ["ab"] * 3 + ["cab"] * 6 + ["dab"] * 4
    trained = EncoderSubwords.train([" ".join(words)], "wordpiece", 5 + 6 + 4)
    assert set(spellings(trained)[5:11]) == {"a", "c", "d", "##a", "##b", "##x"}
    assert spellings(trained)[11:] == ["ab", "##ab", "abx", "cab"]
    assert trained.pieces(trained.encode(["abxab dab"])[0]) == ["abx", "##ab", "d", "##ab"]


def test_chinese_is_cut_at_every_character_and_cased_text_stays_cased() -> None:
    subwords = EncoderSubwords.train(CORPUS, "wordpiece", 600)
    assert subwords.pieces(subwords.encode(["我们喜欢fox"])[0]) == ["我", "们", "喜", "欢", "fox"]
    assert not any(len(piece) > 1 and "我" in piece for piece in spellings(subwords))
    cased = EncoderSubwords.train(CORPUS, "wordpiece", 600, lowercase=False)
    assert "HELLO" in spellings(cased) and "hello" in spellings(subwords) and "HELLO" not in spellings(subwords)


# ---- marks, words, places


@pytest.fixture(scope="module")
def subwords() -> EncoderSubwords:
    return EncoderSubwords.train(CORPUS, "wordpiece", 500)


def test_singles_and_pairs_are_transformers(subwords: EncoderSubwords, tmp_path: Path) -> None:
    """With truncation: the longer of the two is cut first."""
    (tmp_path / "vocab.txt").write_text("".join(piece + "\n" for piece in spellings(subwords)), encoding="utf-8")
    other = pytest.importorskip("transformers").BertTokenizer.from_pretrained(str(tmp_path))
    for first, second in zip(LINES[:120], LINES[120:240], strict=True):
        a, b = subwords.encode([first, second])
        for longest in (None, 24, 11, 8):
            cut = {} if longest is None else {"truncation": True, "max_length": longest}
            expected = other(first, second, **cut)
            assert subwords.pair(a, b, longest) == (expected["input_ids"], expected["token_type_ids"])
            assert subwords.single(a, longest).ids == other(first, **cut)["input_ids"]


def test_a_mark_in_a_text_is_text_unless_it_is_meant(subwords: EncoderSubwords) -> None:
    (ids,) = subwords.encode(["fox [MASK] [SEP] dog"])
    assert not set(ids) & {subwords.marks.mask, subwords.marks.sep}
    assert subwords.encode_marked("fox [MASK] dog").count(subwords.marks.mask) == 1
    assert subwords.encode(["fox [MASK] [SEP] dog"]) == [ids]  # one does not leave the other changed


def test_words_and_places_lead_back_to_the_text(subwords: EncoderSubwords) -> None:
    words = ["The", "Fußgängerübergänge", "don't", "喜欢", "!"]
    pieces = subwords.words(words)
    assert sorted(set(pieces.word)) == [0, 1, 2, 3, 4]
    for number, word in enumerate(words):
        own = [index for index, at in zip(pieces.ids, pieces.word, strict=True) if at == number]
        assert own == subwords.encode([word])[0]
    line = "Der  schnelle Fuchs, 喜欢 unbelievably"
    found = subwords.places(line)
    assert found.ids == subwords.encode([line])[0]
    texts = [line[start:end] for start, end in found.spans]
    assert "喜" in texts and "欢" in texts and texts[0] == "Der"


def test_which_pieces_begin_a_word(subwords: EncoderSubwords) -> None:
    (ids,) = subwords.encode(["Fußgängerfuchs müssen"])
    assert subwords.begins[ids].tolist().count(True) == 2 and subwords.begins[ids[0]] and len(ids) > 2
    unigram = EncoderSubwords.train(CORPUS, "unigram", 450)
    (ids,) = unigram.encode(["fußgängerfuchs müssen"])
    assert unigram.begins[ids].tolist().count(True) == 2 and unigram.begins[unigram.marks.sep]


def test_decoding_puts_words_together_again(subwords: EncoderSubwords) -> None:
    ids = subwords.encode(["the quick brown fox jumps over the lazy dog"])
    assert subwords.decode(ids) == ["the quick brown fox jumps over the lazy dog"]
    assert subwords.decode([subwords.single(ids[0]).ids]) == ["the quick brown fox jumps over the lazy dog"]


# ---- refusals


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"holds no vocabulary; it should have tokenizer.json, vocab.txt or spiece.model"
    ):
        read_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    with pytest.raises(UserError, match=r"vocab.txt is not a BERT vocabulary: it has no line \[MASK\]"):
        read_vocabulary(tmp_path / "vocab.txt")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
    with pytest.raises(UserError, match="does not fit the model's table of 6 rows: its piece 'b' has the id 6"):
        read_tokenizer(tmp_path, vocab_size=6)
    assert len(read_tokenizer(tmp_path, vocab_size=7)) == 7
    from allyouneed.data.subwords import Subwords

    Subwords.train(CORPUS, "bpe", 200).save(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match=r"tokenizer.json: This tokenizer has no \[CLS\], so it is not one of BERT's"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer.json is not a readable tokenizer file"):
        read_tokenizer(tmp_path)


def test_damaged_sentencepiece_files_are_refused(tmp_path: Path) -> None:
    whole = sentencepiece_file(tmp_path / "whole").read_bytes()
    bpe = sentencepiece_file(tmp_path / "bpe", model_type="bpe").read_bytes()
    for content, complaint in ((whole[:3000], "is not a SentencePiece model"), (b"", "holds no pieces"),
                               (b"\xff" * 50, "is not a SentencePiece model"), (bpe, "of the kind bpe")):  # fmt: skip
        (tmp_path / "spiece.model").write_bytes(content)
        with pytest.raises(UserError, match=complaint):
            read_tokenizer(tmp_path)
