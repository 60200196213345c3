"""Answers in passages: files read, windows and spans by hand and by loops, SQuAD's scores, and the commands."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Command, sets

from allyouneed import load
from allyouneed.data.encoder_subwords import EncoderSubwords
from allyouneed.data.questions import Question, read_file, read_questions
from allyouneed.errors import UserError
from allyouneed.models.bert import BertConfig, span_finder
from allyouneed.tasks.answer_scores import answer_scores, normalised
from allyouneed.tasks.question_answering import Reading, Window, Windows, answer_pieces, best_spans, cuts, read

NAMES = ["anna", "bert", "carla", "dora", "emil", "frida"]
CITIES = ["berlin", "paris", "london", "rome", "oslo", "wien"]


def questions() -> list[Question]:
    found = []
    for i, name in enumerate(NAMES):
        for j, city in enumerate(CITIES):
            other = NAMES[(i + 1 + j % 5) % 6]
            context = f"{name} lives in {city} . {other} lives in {CITIES[(j + 2) % 6]} ."
            found.append(Question(f"where does {name} live ?", context, (city,), (context.index(city),)))
    return found


def squad(rows: list[Question], **more: Any) -> str:
    paragraphs = [
        {"context": q.context, "qas": [{"id": f"q{i}", "question": q.question, **more, "answers": [
            {"text": text, "answer_start": start} for text, start in zip(q.answers, q.starts, strict=True)]}]}
        for i, q in enumerate(rows)
    ]  # fmt: skip
    return json.dumps({"version": "1.1", "data": [{"title": "x", "paragraphs": paragraphs}]}, indent=1)


# ---- files


def test_all_spellings_say_the_same(tmp_path: Path) -> None:
    rows = questions()[:3]
    own = [{"question": q.question, "context": q.context, "answer": q.answers[0], "start": q.starts[0]} for q in rows]
    theirs = [{**row, "answers": {"text": [row["answer"]], "answer_start": [row["start"]]}} for row in own]
    searched = [{key: row[key] for key in ("question", "context", "answer")} for row in own]
    (tmp_path / "squad.json").write_text(squad(rows), encoding="utf-8")
    for name, lines in (("own", own), ("theirs", theirs), ("searched", searched)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    for path in tmp_path.iterdir():
        assert read_file(path) == rows, path.name


def test_questions_without_an_answer(tmp_path: Path) -> None:
    (tmp_path / "2.json").write_text(squad(questions()[:1], is_impossible=True), encoding="utf-8")
    line = {"question": "a?", "context": "b", "answer": ""}
    (tmp_path / "2.jsonl").write_text("\n".join(map(json.dumps, [line, {**line, "answer": None}])), encoding="utf-8")
    assert all(q.answers == () for name in ("2.json", "2.jsonl") for q in read_file(tmp_path / name))


def test_a_passage_is_in_one_split_alone(tmp_path: Path) -> None:
    rows = [q for q in questions() for _ in range(2)]
    (tmp_path / "all.json").write_text(squad(rows), encoding="utf-8")
    corpus = read_questions(tmp_path / "all.json")
    seen = [{q.context for q in part} for part in (corpus.train, corpus.val, corpus.tests["test"])]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 36 and all(seen)


@pytest.mark.parametrize("text, complaint", [
    ('{"question": "a?", "context": "b c", "answer": "c", "start": 1}', "'c' does not stand at 1 of the context, but ' '"),
    ('{"question": "a?", "context": "b c", "answer": "c", "start": "2"}', "does not stand at 2"),
    ('{"question": "a?", "context": "b c", "answer": "d"}', "'d' does not stand in the context"),
    ('{"question": "a?", "text": "b c"}', "no text 'context'; it has 'question', 'text'"),
    ('{"question": "a?", "context": "b c"}', "there is no answer"),
    ('{"question": " ", "context": "b c", "answer": "c"}', "no text 'question'"),
    ("[1]", "not a JSON object"),
    ('{"data": [{"paragraphs": [{"context": "b"}]}]}', "article 1: this is not SQuAD's form .*'qas'"),
    ("", "has no questions"),
])  # fmt: skip
def test_bad_files_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        read_file(tmp_path / "a.json")


# ---- scores


def test_scores_as_squad_counts_them() -> None:
    assert normalised(" The  Eiffel-Tower, a sight! ") == "eiffeltower sight"
    found = ["the cat", "black cat sat", "", "x", ""]
    true = [("cat", "dog"), ("a cat",), (), (), ("x",)]
    assert answer_scores(found, true) == {"exact_match": 2 / 5, "f1": pytest.approx((1 + 0.5 + 1 + 0 + 0) / 5)}


# ---- windows


def test_windows_advance_by_the_stride_and_reach_the_end() -> None:
    assert cuts(5, 10, 4) == [(0, 5)] and cuts(10, 10, 4) == [(0, 10)]
    assert cuts(20, 10, 4) == [(0, 10), (4, 10), (8, 10), (12, 8)]
    assert cuts(20, 10, 99) == [(0, 10), (10, 10)]  # no gap, whatever the stride
    assert cuts(0, 10, 4) == [(0, 0)]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_answers_are_found_again_in_their_windows(kind: Any) -> None:
    """By spelling the pieces between the two places."""
    rows = [q._replace(context=f"{q.context} {q.context.upper()}  Ünd " * 3) for q in questions()]
    rows = [q._replace(starts=(q.context.rindex(q.answers[0]),)) for q in rows]
    subwords = EncoderSubwords.train([q.context for q in rows], kind, 200)
    made = Windows.of(rows, subwords, Reading(length=30, stride=7, question=6))
    held = set()
    for i, window in enumerate(made.windows):
        ids = made.ids.ids[made.ids.offsets[i] : made.ids.offsets[i + 1]].tolist()
        begin, end = made.spans[i]
        assert len(ids) <= 30 and (end == 0 or window.offset <= begin <= end < window.offset + window.size)
        if begin:
            held.add(window.question)
            assert subwords.decode([ids[begin : end + 1]]) == [rows[window.question].answers[0]]
    assert held == set(range(len(rows))) and len(made.windows) > 3 * len(rows)


def test_an_answer_inside_a_piece_takes_the_piece() -> None:
    subwords = EncoderSubwords.train(["berlin paris"] * 9, "wordpiece", 60)
    places = subwords.places("in berlin")
    inside = answer_pieces(Question("", "in berlin", ("rlin",), (5,)), places)
    assert inside is not None and places.spans[inside[0]][0] <= 5 and places.spans[inside[1]][1] == 9


def test_the_best_spans_are_those_of_a_loop() -> None:
    window, longest = Window(0, 3, 10, 6), 3
    logits = torch.randn(12, 2, generator=torch.Generator().manual_seed(3))
    loop = {(i - 3 + 10, j - 3 + 10): float(logits[i, 0] + logits[j, 1])
            for i in range(3, 9) for j in range(i, min(i + longest, 9))}  # fmt: skip
    found = best_spans(logits, window, longest)
    assert dict(found) == pytest.approx(loop) and len(found) == 15
    assert [span for span, _ in found] == sorted(loop, key=lambda span: -loop[span])


def test_reading_is_the_same_window_by_window() -> None:
    """Batches and padding change nothing, and the best of all windows is the answer."""
    rows = [q._replace(context=" ".join([q.context] * (1 + i % 3))) for i, q in enumerate(questions()[:9])]
    subwords = EncoderSubwords.train([q.context for q in rows], "wordpiece", 200)
    config = BertConfig(vocab_size=len(subwords), dim=16, heads=2, ffn_dim=32, depth=1, positions_length=32)
    model = span_finder(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    for answerless in (False, True):
        reading = Reading(24, 5, 6, 4, answerless)
        made = Windows.of(rows, subwords, reading)
        found = read(model, rows, made, reading, subwords.marks.pad, 100)
        best, none = [(-1e9, "")] * len(rows), [1e9] * len(rows)
        for i, window in enumerate(made.windows):
            at = slice(made.ids.offsets[i], made.ids.offsets[i + 1])
            ids, segments = (torch.tensor(s.ids[at].tolist())[None] for s in (made.ids, made.segments))
            logits = model(ids, segments)[0]
            none[window.question] = min(none[window.question], logits[0].sum().item())
            (a, b), score = best_spans(logits, window, reading.answer)[0]
            spans = made.places[window.question].spans
            text = rows[window.question].context[spans[a][0] : spans[b][1]]
            best[window.question] = max(best[window.question], (score, text))
        for row, candidates in enumerate(found):
            empty = answerless and none[row] > best[row][0]
            assert candidates[0].text == ("" if empty else best[row][1])
            assert sum(c.probability for c in candidates) == pytest.approx(1, abs=1e-4)
            assert all(rows[row].context[c.start :].startswith(c.text) for c in candidates)


# ---- the commands


def test_a_reader_learns_and_is_used(command: Command, tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(squad(questions()), encoding="utf-8")
    small = sets("model.dim=32", "model.heads=2", "model.ffn_dim=64", "model.depth=2", "model.dropout=0",
                 "model.attention_dropout=0", "data.vocab_size=200", "data.length=40", "data.stride=8",
                 "data.batch_tokens=512", "training.precision=float32", "training.learning_rate=0.005",
                 "training.warmup_steps=10", "training.validate_every=60")  # fmt: skip
    said = command("train", "question-answering", "--data", tmp_path / "all.json", "--out", tmp_path / "run",
                   "--max-steps", 120, *small)  # fmt: skip
    assert said.code == 0, said.err
    scores = json.loads(command("evaluate", tmp_path / "run", "--split", "train", "--json").out)
    assert scores["exact_match"] > 0.8 <= scores["f1"] and scores["questions"] > 30
    asked = questions()[0]
    (tmp_path / "in.txt").write_text(
        f"{asked.question}\t{asked.context}\n" + json.dumps({"question": asked.question, "context": asked.context})
    )
    lines = command("predict", tmp_path / "run", tmp_path / "in.txt").out.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1] and lines[0].split("\t")[0] == "berlin"
    (found,) = json.loads(command("predict", tmp_path / "run", tmp_path / "in.txt", "--json").out.splitlines()[0])
    assert found["start"] == asked.context.index("berlin") and 0 < found["probability"] <= 1
    run = load(tmp_path / "run")
    (far,) = run.predict([asked.question], ["nothing happens here . " * 30 + asked.context])
    assert far.text and run.predict([], []) == []
    (tmp_path / "in.txt").write_text("no tab here\n")
    assert "line 1 of the input is no question" in command.refuses("predict", tmp_path / "run", tmp_path / "in.txt")
    assert "no split 'x'" in command.refuses("evaluate", tmp_path / "run", "--split", "x")
    smooth = sets("training.label_smoothing=0.1")
    for words, complaint in ((smooth, "means nothing to places"), ([], "give --data SQuAD's JSON")):
        assert complaint in command.refuses("train", "question-answering", "--out", tmp_path / "x", *words)
