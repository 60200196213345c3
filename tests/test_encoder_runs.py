"""BERT and ALBERT at the command line: published folders in, used and fine-tuned, and out again; what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoder_references import TASKS, reference
from test_wordpiece import sentencepiece_file
from tiny import Command, sets

from allyouneed import load
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.masking import Hiding, Masking
from allyouneed.data.sentence_pairs import Instances
from allyouneed.tasks.masked_lm import MaskedLMTask, Short
from allyouneed.weights.onnx_encoder import OnnxEncoder

TEXTS = ["the old dog sees a bird", "a cat", "Ünknown wörds, and the young fish!", "dog the bird cat"]
LINES = [f"the {a} {b} sees a {c}" for a in ("old", "young", "red") for b in ("dog", "cat") for c in ("bird", "fish")]
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["the", "old", "young", "red", "dog", "cat", "sees", "a", "bird", "fish", ",", "!", "##s", "##k"]
WORDS = [*MARKS, *PIECES]
LABELS = {0: "good", 1: "bad", 2: "odd"}
families = pytest.mark.parametrize("family", ["Bert", "Albert"])
heads = pytest.mark.parametrize("head", [head for head in TASKS if head != "ForMaskedLM"])


def published(folder: Path, family: str, head: str, **changes: Any) -> Any:
    """A folder as one downloads it, its vocabulary in the family's own form; transformers' model."""
    vocabulary(folder, family)
    named = {"id2label": LABELS} if head in ("ForSequenceClassification", "ForTokenClassification") else {}
    own = {"unk_token_id": 1, "bos_token_id": 2, "eos_token_id": 3} if family == "Albert" else {}
    size = len(WORDS) if family == "Bert" else 400
    numbers = {"vocab_size": size, "max_position_embeddings": 40, **named, **own, **changes}
    return reference(folder, family, head, **numbers)


def vocabulary(folder: Path, family: str) -> None:
    folder.mkdir(exist_ok=True)
    if family == "Bert":
        (folder / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
    else:
        sentencepiece_file(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": f"{family}Tokenizer"}))


def theirs(model: Any, folder: Path, *texts: str) -> Any:
    """What transformers says of a text or a pair, and its pieces. Version 5's ALBERT forgets the segments of a pair."""
    transformers = pytest.importorskip("transformers")
    given = transformers.AutoTokenizer.from_pretrained(str(folder))(*texts, return_tensors="pt")
    ends = given["input_ids"] == 3
    given["token_type_ids"] = (ends.cumsum(-1) - ends.long() > 0).long()
    with torch.no_grad():
        return model(**given), given["input_ids"][0].tolist()


# ---- in, and out again


@families
@heads
def test_a_published_folder_answers_as_at_home(family: str, head: str, command: Command, tmp_path: Path) -> None:
    """Imported, then used from the command line; transformers' answers beside ours."""
    model = published(tmp_path / "hub", family, head)
    out = tmp_path / "run"
    said = command("import", tmp_path / "hub", "--out", out)
    assert said.code == 0 and f"a run of {TASKS[head]} with {family.lower()}" in said.out, said.err
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    ANSWERED[head](command, model, tmp_path)
    run = load(out, "cpu")
    assert run.encode(TEXTS).shape == (4, 16)


def filled(command: Command, model: Any, place: Path) -> None:
    found = json.loads(command("fill-mask", place / "run", "the [MASK] dog", "--top-k", "3", "--json").out)[0]
    answer, ids = theirs(model, place / "hub", "the [MASK] dog")
    best = answer["prediction_logits"][0, ids.index(4)].softmax(-1).topk(3)
    assert list(found.values()) == pytest.approx(best.values.tolist(), abs=1e-5)


def classified(command: Command, model: Any, place: Path) -> None:
    lines = command("predict", place / "run", place / "in.txt", "--top-k", "3", "--json").out.splitlines()
    for text, line in zip(TEXTS, lines, strict=True):
        expected = theirs(model, place / "hub", text)[0].logits[0].softmax(-1).tolist()
        assert json.loads(line) == pytest.approx(dict(zip(LABELS.values(), expected, strict=True)), abs=1e-5)
    (place / "pair.txt").write_text(f"{TEXTS[0]}\t{TEXTS[1]}\n")
    (line,) = command("predict", place / "run", place / "pair.txt", "--top-k", "3", "--json").out.splitlines()
    expected = theirs(model, place / "hub", TEXTS[0], TEXTS[1])[0].logits[0].softmax(-1).tolist()
    assert json.loads(line) == pytest.approx(dict(zip(LABELS.values(), expected, strict=True)), abs=1e-5)


def tagged(command: Command, model: Any, place: Path) -> None:
    """Where a word is a piece, its tag is the piece's."""
    (place / "in.txt").write_text("the old dog sees a bird\n")
    rows = [line.split("\t") for line in command("predict", place / "run", place / "in.txt").out.splitlines() if line]
    subwords = load(place / "run").subwords
    answer, ids = theirs(model, place / "hub", "the old dog sees a bird")
    first = np.flatnonzero(subwords.begins[ids])[1:-1]  # without the marks
    best = answer.logits[0, first].softmax(-1).max(-1)
    assert [row[1] for row in rows] == [LABELS[i] for i in best.indices.tolist()]
    assert [float(row[2]) for row in rows] == pytest.approx(best.values.tolist(), abs=1e-4)


def answered(command: Command, model: Any, place: Path) -> None:
    question, passage = "the cat", "the old dog sees a fish"
    (place / "in.txt").write_text(f"{question}\t{passage}\n")
    (best,) = command("predict", place / "run", place / "in.txt").out.splitlines()
    answer, ids = theirs(model, place / "hub", question, passage)
    begin = ids.index(3) + 1
    begins, ends = answer.start_logits[0, begin:-1], answer.end_logits[0, begin:-1]
    spans = {(i, j): float(begins[i] + ends[j]) for i in range(len(begins)) for j in range(i, len(ends))}
    i, j = max(spans, key=lambda span: spans[span])
    places = load(place / "run").subwords.places(passage).spans
    assert best.split("\t")[0] == passage[places[i][0] : places[j][1]].strip()


ANSWERED = {
    "ForPreTraining": filled,
    "ForSequenceClassification": classified,
    "ForTokenClassification": tagged,
    "ForQuestionAnswering": answered,
}


@families
@heads
def test_a_run_goes_back_to_where_it_came_from(family: str, head: str, command: Command, tmp_path: Path) -> None:
    """Its export is opened by transformers, vocabulary and all, and says the same as the folder it was made of."""
    transformers = pytest.importorskip("transformers")
    model = published(tmp_path / "hub", family, head)
    assert command("import", tmp_path / "hub", "--out", tmp_path / "run").code == 0
    said = command("export", tmp_path / "run", "--to", "huggingface")
    assert said.code == 0, said.err
    back = tmp_path / "run" / "export" / "huggingface"
    opened = getattr(transformers, family + head).from_pretrained(back).eval()
    for texts in ((TEXTS[0],), (TEXTS[2],), (TEXTS[0], TEXTS[1])):
        (one, ids), (other, own) = theirs(model, tmp_path / "hub", *texts), theirs(opened, back, *texts)
        assert ids == own
        for a, b in zip(one.to_tuple(), other.to_tuple(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    if "Class" in head:
        assert opened.config.id2label == LABELS
    assert command("import", back, "--out", tmp_path / "again").code == 0
    assert "exists already" in command.refuses("export", tmp_path / "run", "--to", "huggingface")


@pytest.mark.parametrize(
    "family, head",
    [("Bert", "ForTokenClassification"), pytest.param("Albert", "ForPreTraining", marks=pytest.mark.slow)],
)
def test_a_run_leaves_as_a_graph(family: str, head: str, command: Command, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    published(tmp_path / "hub", family, head)
    assert command("import", tmp_path / "hub", "--out", tmp_path / "run").code == 0
    assert command("export", tmp_path / "run", "--to", "onnx", "--output", tmp_path / "onnx").code == 0
    graph, run = OnnxEncoder(tmp_path / "onnx", threads=1), load(tmp_path / "run", "cpu")
    ids = torch.tensor([run.subwords.single(run.subwords.encode([TEXTS[0]])[0]).ids])
    with torch.no_grad():
        answer = run.model(ids)
    for found, expected in zip(graph(ids), [answer] if isinstance(answer, torch.Tensor) else answer, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    facts = json.loads((tmp_path / "onnx" / "onnx.json").read_text())
    assert facts["task"] == TASKS[head] and facts["labels"] == (list(LABELS.values()) if "Token" in head else None)
    sentence = command.refuses("export", tmp_path / "run", "--to", "ctranslate2")
    assert f"not known for a run of {TASKS[head]}; choose one of huggingface, onnx" in sentence


def test_a_body_alone_becomes_a_run_to_begin_from(command: Command, tmp_path: Path) -> None:
    published(tmp_path / "hub", "Bert", "Model")
    said = command("import", tmp_path / "hub", "--out", tmp_path / "run").out
    assert "a run of masked-lm with bert" in said and "the head is new: train it before use" in said
    assert "give some with --data" in command.refuses("evaluate", tmp_path / "run", "--split", "val")


def test_what_cannot_be_imported(command: Command, tmp_path: Path) -> None:
    published(tmp_path / "hub", "Bert", "ForSequenceClassification")
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    vocabulary = (tmp_path / "hub" / "vocab.txt").read_text()
    for name, content, complaint in (
        ("config.json", json.dumps({**config, "model_type": "roberta"}),
         "describes a model of type 'roberta'; those that can be imported are marian, bert, albert"),
        ("config.json", "{", "is not a JSON file"),
        ("config.json", json.dumps({**config, "pad_token_id": 3}), "padding has the id 0, and the model takes 3"),
        ("vocab.txt", vocabulary + "one\nmore\n",
         "does not fit the model's table of 19 rows: its piece 'more' has the id 20"),
        ("vocab.txt", vocabulary.replace("[MASK]", "mask"), "it has no line [MASK]"),
        ("model.safetensors", "no weights", "cannot be read as weights"),
    ):  # fmt: skip
        before = (tmp_path / "hub" / name).read_bytes()
        (tmp_path / "hub" / name).write_text(content)
        assert complaint in command.refuses("import", tmp_path / "hub", "--out", tmp_path / "run")
        (tmp_path / "hub" / name).write_bytes(before)
    assert "there is no folder" in command.refuses("import", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- fine-tuning from what others published


def table(place: Path) -> Path:
    rows = "".join(f"{line}\t{'dog' if 'dog' in line else 'cat'}\n" for line in LINES)
    (place / "rows.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    return place / "rows.tsv"


@families
def test_fine_tuning_begins_from_a_folder_or_a_run(family: str, command: Command, tmp_path: Path) -> None:
    """With no step to speak of, the body is the folder's; --model need not be said."""
    model = published(tmp_path / "hub", family, "ForPreTraining")
    assert command("import", tmp_path / "hub", "--out", tmp_path / "run").code == 0
    (tmp_path / "words.conll").write_text("\n".join(f"{w} {'O' if w == 'the' else 'B-X'}\n" for w in PIECES))
    rows = [{"question": "the dog", "context": line, "answer": "sees"} for line in LINES]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    still = sets("training.learning_rate=1e-9", "training.precision=float32", "data.length=40")
    hidden = getattr(model, family.lower())(torch.tensor([[2, 5, 6, 7, 3]])).last_hidden_state
    data = {"text-classification": table(tmp_path), "tagging": tmp_path / "words.conll",
            "question-answering": tmp_path / "asked.jsonl"}  # fmt: skip
    for task, path in data.items():
        for start in ("hub", "run"):
            out = tmp_path / f"{task} {start}"
            said = command(
                "train", task, "--from", tmp_path / start, "--data", path, "--out", out, "--max-steps", 1, *still
            )
            assert said.code == 0 and "fresh: head.linear.bias" in said.err + said.out, said.err
            run = load(out, "cpu")
            torch.testing.assert_close(run.hidden_states(torch.tensor([[2, 5, 6, 7, 3]])), hidden, atol=1e-4, rtol=1e-4)
            assert run.settings.system == family.lower()


@families
def test_pre_training_goes_on_from_a_folder_and_from_a_run(family: str, command: Command, tmp_path: Path) -> None:
    """At a rate of nearly nothing the words that are guessed stay what they were: body and head have come along."""
    model = published(tmp_path / "hub", family, "ForPreTraining")
    (tmp_path / "raw.txt").write_text("\n\n".join(f"{text}\n{text}" for text in TEXTS * 8))
    still = sets("training.learning_rate=1e-9", "training.precision=float32", "data.length=40", "data.held_out=0.2")
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    with torch.no_grad():
        expected = model(ids).prediction_logits
    for start, out in (("hub", "once"), ("once", "twice")):
        words = ("--from", tmp_path / start, "--data", tmp_path / "raw.txt", "--out", tmp_path / out, "--max-steps", 1)
        said = command("train", "masked-lm", *words, *still)
        assert said.code == 0 and "fresh: nothing" in said.err + said.out, said.err
        run = load(tmp_path / out, "cpu")
        with torch.no_grad():
            guessed = run.model.head.logits(run.model.encode(ids))
        torch.testing.assert_close(guessed, expected[..., : guessed.shape[-1]], atol=1e-4, rtol=1e-4)
    assert command("train", "masked-lm", "--out", tmp_path / "twice", "--resume", "--max-steps", 2).code == 0


def test_where_fine_tuning_cannot_begin(command: Command, tmp_path: Path) -> None:
    published(tmp_path / "hub", "Bert", "ForPreTraining")
    given = ["train", "text-classification", "--data", table(tmp_path), "--out", tmp_path / "x", "--max-steps", 1]
    (tmp_path / "empty").mkdir()
    for start, words, complaint in (
        ("nowhere", [], "there is no folder"),
        ("empty", [], "holds neither config.yaml nor config.json"),
        ("hub", [], "data.length=128 is more than the 40 positions of"),
        ("hub", ["--model", "albert", *sets("data.length=40")],
         "holds a model of the kind 'bert', not 'albert'; give --model bert"),
    ):  # fmt: skip
        assert complaint in command.refuses(*given, "--from", tmp_path / start, *words)
        assert not (tmp_path / "x").exists()
    (tmp_path / "hub" / "vocab.txt").write_text("".join(f"{word}\n" for word in [*WORDS, "more"]))
    sentence = command.refuses(*given, "--from", tmp_path / "hub", *sets("data.length=40"))
    assert "does not fit the model's table of 19 rows" in sentence
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    (tmp_path / "hub" / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    assert "of type 'gpt2'; encoders that can be read are bert, albert" in command.refuses(
        *given, "--from", tmp_path / "hub"
    )


def test_fine_tuning_chooses_by_its_score_and_draws_what_is_confused(command: Command, tmp_path: Path) -> None:
    published(tmp_path / "hub", "Bert", "ForPreTraining")
    words = sets("training.precision=float32", "data.length=40", "data.metric=mcc")
    begun = [
        "train",
        "text-classification",
        "--from",
        tmp_path / "hub",
        "--data",
        table(tmp_path),
        "--out",
        tmp_path / "run",
    ]
    said = command(*begun, "--max-steps", 4, *words)
    text = said.err + said.out
    assert "best mcc" in text and "labels: cat" in text and "what is taken for what" in text
    assert "cat taken for dog" in (tmp_path / "run" / "confusion.svg").read_text(encoding="utf-8")
    for file in (tmp_path / "hub").iterdir():  # a run that is resumed needs nothing of what it began from
        file.unlink()
    resumed = command("train", "text-classification", "--out", tmp_path / "run", "--resume", "--max-steps", 6)
    assert resumed.code == 0 and "at step 4" in resumed.err + resumed.out, resumed.err
    (tmp_path / "long.txt").write_text("the dog " * 40 + "\nthe cat\n")
    answer = command("predict", tmp_path / "run", tmp_path / "long.txt")
    assert "texts of more than 40 pieces were cut at their end: lines 1" in answer.err
    assert len(answer.out.splitlines()) == 2
    assert "predicts no labels; runs that do: text-classification" in refused_of_another(command, tmp_path)


def refused_of_another(command: Command, place: Path) -> str:
    (place / "raw.txt").write_text("\n\n".join(LINES))
    small = sets(
        "model.dim=16", "model.heads=2", "model.ffn_dim=32", "model.depth=1", "data.vocab_size=200", "data.length=16"
    )
    assert (
        command(
            "train", "masked-lm", "--data", place / "raw.txt", "--out", place / "mlm", "--max-steps", 1, *small
        ).code
        == 0
    )
    return command.refuses("predict", place / "mlm", place / "raw.txt")


@pytest.mark.parametrize("name, train, val, words, complaint", [
    ("a.tsv", "text\tlabel\nx\t1\ny\t0\n", None, ["--label", "mood"],
     "has no column 'mood'; its columns: 'text', 'label'; name one with --set data.label="),
    ("a.tsv", "words\tlabel\nx\t1\ny\t0\n", None, [], "no column that is surely the text; its columns: 'words', 'label'"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t\n", None, [], "line 3: the label (column 'label') is empty"),
    ("a.jsonl", '{"text": "x", "label": null}', None, [], "line 1: the label (column 'label') is empty"),
    ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "y"}', None, [], "line 2: there is no field 'label'"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t1\nz\t1\n", None, [], "all training texts have the label '1'"),
    ("train.tsv", "text\tlabel\nx\t1\ny\t0\n", "text\tlabel\nz\t2\n", [],
     "validation, row 1: the label '2' does not occur in training, which has '0', '1'"),
], ids=["no such column", "no text", "empty", "null", "missing", "one class", "unseen"])  # fmt: skip
def test_bad_labels(
    name: str, train: str, val: str | None, words: list[str], complaint: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text(train, encoding="utf-8")
    data = tmp_path / "data" / name
    if val is not None:
        (tmp_path / "data" / "dev.tsv").write_text(val, encoding="utf-8")
        data = tmp_path / "data"
    given = ["--data", data, "--out", tmp_path / "run", "--max-steps", 1, *words]
    assert complaint in command.refuses("train", "text-classification", *given)
    assert not (tmp_path / "run").exists()


# ---- shorter instances first


def documents(subwords: EncoderSubwords) -> list[list[list[int]]]:
    return [subwords.encode(LINES[i : i + 6]) for i in range(0, 12, 2)] * 4


@pytest.mark.parametrize("dynamic", [True, False])
def test_short_instances_come_first_and_by_the_epoch_alone(dynamic: bool) -> None:
    subwords = EncoderSubwords.train(LINES, "wordpiece", 200)
    train, short = (Instances(documents(subwords), subwords, length, "none") for length in (40, 12))
    hiding = Hiding(subwords, Masking())

    def task(batches: int) -> MaskedLMTask:
        return MaskedLMTask(train, train, subwords, hiding, 120, 1, dynamic, short=Short(short, batches))

    each = len(task(1).plan(0))
    for batches in (1, each // 2, each, each + each // 2, 3 * each):
        lengths = []
        for epoch in range(4):
            widths = [task(batches).collate(batch, epoch).ids.shape[1] for batch in task(batches).plan(epoch)]
            lengths += [max(widths)] if batches >= (epoch + 1) * each else widths
            left = min(max(batches - epoch * each, 0), each)
            assert all(width <= 12 for width in widths[:left])
            assert left >= each or max(widths[left:]) > 12
        assert lengths
    made = task(each + 2)
    for epoch in (3, 1, 0, 1):  # in any order, as a resumed run asks
        again = [task(each + 2).collate(batch, epoch) for batch in task(each + 2).plan(epoch)]
        for one, other in zip([made.collate(batch, epoch) for batch in made.plan(epoch)], again, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_short_instances_need_a_length_of_the_run(command: Command, tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("\n\n".join(LINES))
    given = [
        "train",
        "masked-lm",
        "--data",
        tmp_path / "raw.txt",
        "--out",
        tmp_path / "x",
        *sets("data.vocab_size=200"),
    ]
    assert "must be less than data.length=128" in command.refuses(*given, *sets("data.short_length=128"))
    short = sets("data.short_length=64")
    assert "give --max-steps" in command.refuses(*given, *short, "--max-time", "10s")
