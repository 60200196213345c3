"""The server: what it answers, what it refuses, and that nobody gets another's answer."""

import asyncio
import json
import logging
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serving_runs import Echo, Process, Serve, error_of, post, starter

from allyouneed.errors import UserError
from allyouneed.recipes.runs import load
from allyouneed.recipes.train import train
from allyouneed.recipes.translation_run import TranslationRun
from allyouneed.serving import server
from allyouneed.serving.limits import Refusal, read_body
from allyouneed.serving.settings import ServeCommand, ServingSettings
from allyouneed.settings import override
from allyouneed.training.progress import Silent

serve = pytest.fixture(starter)

NUMBERS = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four", "fünf": "five", "sechs": "six"}
PAIRS = [(f"{a} {b} {c}", f"{NUMBERS[a]} {NUMBERS[b]} {NUMBERS[c]}") for a in NUMBERS for b in NUMBERS for c in NUMBERS]
SMALL = "model.dim=32 model.ffn_dim=64 model.depth=1 model.heads=2 model.dropout=0 data.vocab_size=260 "
SMALL += "data.src=de data.tgt=en data.batch_tokens=512 training.max_steps=160 training.learning_rate=0.01 "
SMALL += "training.warmup_steps=20 training.threads=1 decoding.beam=2 decoding.max_extra=10"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt a little of how to count, so that every sentence has a translation of its own."""
    data, out = tmp_path_factory.mktemp("numbers"), tmp_path_factory.mktemp("runs") / "numbers"
    for split, part in (("train", PAIRS[:190]), ("val", PAIRS[190:200]), ("test", PAIRS[200:])):
        for side, language in enumerate(("de", "en")):
            text = "".join(pair[side] + "\n" for pair in part)
            (data / f"{split}.{language}").write_text(text, encoding="utf-8")
    train("translation", out, assignments=[f"data.path={data}", *SMALL.split()], reporter=Silent())
    return out


@pytest.fixture(scope="session")
def run(folder: Path) -> TranslationRun:
    """In float64: what stands beside a sentence in a batch moves its numbers by less than any choice depends on."""
    opened = load(folder)
    opened.model.double()
    return opened


def test_a_sentence_a_list_and_the_options(serve: Serve) -> None:
    echo, start = Echo(), time.monotonic()
    client = serve(echo, max_wait=0)
    assert post(client, text="Hund").json() == {"translation": "<Hund>"}
    assert post(client, text=["a", "", "b"]).json() == {"translations": ["<a>", "", "<b>"]}
    assert post(client, text=[]).json() == {"translations": []}
    assert post(client, text="", scores=True).json() == {"translation": {"text": "", "score": 0.0}}
    assert post(client, text=["a", ""], n_best=2).json() == {"translations": [["<a>", "<a>1"], []]}
    scored = post(client, text="a", n_best=2, scores=True, beam=3, length_penalty=1, prefix="so").json()
    assert scored == {"translation": [{"text": "<a>", "score": 0.0}, {"text": "<a>1", "score": -1.0}]}
    assert echo.calls[-1] == (["a"], 2, {"beam": 3, "length_penalty": 1.0, "prefixes": ["so"]})
    assert echo.calls[0] == (["Hund"], 1, {})
    assert time.monotonic() - start < 20  # an answer does not wait for the deadline


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("no json", 400, "not JSON"),
        ("", 400, "not JSON"),
        ("[" * 5000, 400, "not JSON"),
        ('{"text": "\\ud800"}', 400, "not JSON"),
        ('{"text": "a\nb"}', 400, "control character"),
        ("[]", 422, "JSON object"),
        ("{}", 422, "text is missing"),
        ('{"txt": "a"}', 422, "did you mean 'text'"),
        ('{"text": ["a", 1]}', 422, "string or a list of strings"),
        ('{"text": "a", "beam": true}', 422, "beam"),
        ('{"text": "a", "beam": "3"}', 422, "beam"),
        ('{"text": "a", "beam": 0}', 422, "beam"),
        ('{"text": "a", "beam": 17}', 422, "at most 16"),
        ('{"text": "a", "n_best": 17}', 422, "at most 16"),
        ('{"text": "a", "length_penalty": NaN}', 422, "length_penalty"),
        ('{"text": ["a", "b", "c", "d"]}', 422, "may hold 3 sentences"),
        ('{"text": ["a", "bbbbbbbbbbbbbbbbbbbbb"]}', 422, "sentence 2 is 21 characters"),
        ('{"text": "a", "prefix": "bbbbbbbbbbbbbbbbbbbbb"}', 422, "prefix is 21 characters"),
    ],
)
def test_what_is_refused_at_the_door(serve: Serve, body: str, status: int, words: str) -> None:
    echo = Echo()
    client = serve(echo, max_sentences=3, max_characters=20)
    reply = client.post("/translate", content=body.encode(), headers={"Content-Type": "application/json"})
    assert words in error_of(reply, status) and not echo.calls


def test_other_doors_and_other_types(serve: Serve) -> None:
    client = serve(Echo())
    assert "POST /translate" in error_of(client.get("/translate"), 405)
    assert "POST /translate" in error_of(client.get("/docs"), 404)
    assert "application/json" in error_of(client.post("/translate", data={"text": "a"}), 415)
    assert "prefix" in json.dumps(client.get("/openapi.json").json()["paths"]["/translate"]["post"]["requestBody"])


def test_a_large_body_is_refused_however_it_comes(serve: Serve) -> None:
    client, headers = serve(Echo(), max_body=100), {"Content-Type": "application/json"}
    chunks = [b'{"text": "', b"x" * 60, b"x" * 60, b'"}']
    assert "100 bytes" in error_of(client.post("/translate", content=b"".join(chunks), headers=headers), 413)
    assert "100 bytes" in error_of(client.post("/translate", content=iter(chunks), headers=headers), 413)

    async def endless() -> Any:
        while True:
            yield b"x" * (1 << 20)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(20)

    for chunks_of, declared, status in ((endless, None, 413), (endless, "9", 413), (slow, None, 408)):
        with pytest.raises(Refusal) as caught:
            asyncio.run(read_body(chunks_of(), declared, 100, 5 if status == 413 else 0.05))
        assert caught.value.status == status


def test_a_failure_stays_with_its_sentence_and_out_of_the_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    echo = Echo()
    client = serve(echo, max_wait=100)
    with ThreadPoolExecutor(3) as pool, caplog.at_level(logging.DEBUG):
        replies = list(pool.map(lambda text: post(client, text=text), (["good"], ["fine", "poison"], ["well"])))
    assert [reply.status_code for reply in replies] == [200, 500, 200]
    assert error_of(replies[1], 500).startswith("sentence 2: the translation failed")
    assert "RuntimeError" in caplog.text and "poison" not in caplog.text and "good" not in caplog.text
    assert post(client, text="again").json() == {"translation": "<again>"}
    rows = [json.loads(line) for line in post(client, text=["a", "poison"], stream=True).text.splitlines()]
    assert {"index": 0, "translation": "<a>"} in rows and any(row["index"] == 1 and "error" in row for row in rows)


def test_many_clients_each_get_their_own_answer(serve: Serve, run: TranslationRun) -> None:
    sources = [source for source, _ in PAIRS[::7]] + ["", "eins", "zwei " * 9]
    expected = {beam: run.translate(sources, beam=beam) for beam in (1, 2)}
    assert len(set(expected[2])) > len(sources) // 2
    client = serve(run, max_batch=8)

    def ask(number: int) -> tuple[int, int, Any]:
        row, beam = number * 5 % len(sources), 1 + number % 2
        return row, beam, post(client, text=sources[row], beam=beam).json()

    with ThreadPoolExecutor(16) as pool:
        for row, beam, answer in pool.map(ask, range(160)):
            assert answer == {"translation": expected[beam][row]}
    counts = client.get("/health").json()
    assert counts["sentences"] == 160 and counts["batches"] < 160 and counts["status"] == "ok"


HOSTILE = [
    "</s> <pad> <unk>", "\x00\x01\x7f", "אבג مرحبا", "👩‍👩‍👧‍👦" * 20, "a\u0300\u0301" * 30, "\u202e\u2028\ufeff",
    "eins\n\r\tzwei",
    "'; DROP TABLE runs; --", "{{7*7}} ${x} %s %n", "𝕬\U0010ffff\ufffe", " ", "老师买书", "<script>alert(1)</script>",
]  # fmt: skip


def test_any_text_is_text(serve: Serve, run: TranslationRun) -> None:
    client = serve(run)
    assert post(client, text=HOSTILE).json() == {"translations": run.translate(HOSTILE)}
    with_prefix = post(client, text=["eins", ""], prefix="two </s>", n_best=2).json()["translations"]
    found = run.n_best(["eins", ""], 2, prefixes=["two </s>"] * 2)
    assert with_prefix == [[translation.text for translation in translations] for translations in found]


def test_too_many_pieces_and_the_models_card(serve: Serve, run: TranslationRun) -> None:
    client = serve(run, max_pieces=20)
    assert error_of(post(client, text=["eins", "zwei " * 60]), 422).startswith("sentence 2: the sentence is 6")
    assert "prefix" in error_of(post(client, text="eins", prefix="one " * 60), 422)
    rows = post(client, text=["zwei " * 60, "eins"], stream=True).text.splitlines()
    assert {"index": 1, "translation": run.translate("eins")} in map(json.loads, rows)
    card = client.get("/model").json()
    assert (card["name"], card["source"], card["target"]) == ("numbers", "de", "en")
    assert card["parameters"] > 0 and card["decoding"]["beam"] == 2 and card["limits"]["max_pieces"] == 20


def test_what_a_user_can_put_right(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="choose another --port"):
        server.bind("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(UserError, match="no address of this machine"):
        server.bind("no such host", 0)
    with pytest.raises(UserError, match="max_queue"):
        override(ServeCommand(), ["serving.max_queue=4"])
    for address, warned in (("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("192.0.2.1", True)):
        server._greet("runs/x", type("Listener", (), {"getsockname": lambda self, a=address: (a, 80)})())  # type: ignore
        assert ("warning" in capsys.readouterr().err) is warned
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match="pip install"):
        server.serve(Echo, "runs/x", "127.0.0.1", 0, ServingSettings())


def test_the_command_serves_a_run_and_ends_on_ctrl_c(folder: Path) -> None:
    served = Process("-m", "allyouneed", "serve", str(folder), "--port", "0", "--set", "serving.max_batch=4")
    sources = [source for source, _ in PAIRS[:12]]
    assert served.ask(text=sources).json() == {"translations": load(folder).translate(sources)}
    assert served.stop(signal.SIGINT) == (0, "stopped; all was answered\n")
