"""`allyouneed explore` and `picture`, and the live server: what it answers, and whom it refuses."""

import base64
import json
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from look_runs import INPUTS, RUNS, given, picture
from tiny import Command

httpx = pytest.importorskip("httpx", reason="the server's tests need httpx: make setup")
pytest.importorskip("fastapi", reason="the server's tests need FastAPI: make setup")

from fastapi.testclient import TestClient  # noqa: E402
from serving_runs import Process, error_of  # noqa: E402

from allyouneed import load  # noqa: E402
from allyouneed.errors import UserError  # noqa: E402
from allyouneed.recipes.explore import IMAGE_BYTES, first, invitation  # noqa: E402
from allyouneed.serving import explore  # noqa: E402
from allyouneed.serving.explore import Explorer, Looker, create_explorer  # noqa: E402
from allyouneed.tracing.trace import Trace  # noqa: E402

SENTENCE = INPUTS["translation"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("runs")
    tasks = ("translation", "image-classification", "masked-lm")
    return {task: RUNS[task](base / task) for task in tasks}


# ---- commands


def test_a_page_and_a_trace_are_written(folders: dict[str, Path], tmp_path: Path, command: Command) -> None:
    page, kept = tmp_path / "page.html", tmp_path / "x.trace"
    run = folders["translation"]
    code, out, err = command("explore", run, "--input", SENTENCE, "--output", page, "--save", kept, "--beam", 3)
    assert code == 0, err
    assert out == f"written: {kept}\nwritten: {page}\n"
    trace = Trace.load(kept)
    assert trace.manifest.beam is not None and trace.manifest.beam.width == 3
    text = page.read_text(encoding="utf-8")
    head = text.partition("<style>")[0]
    assert "connect-src" not in head and "default-src 'none'" in head and 'id="live"' not in text
    assert manifest_in(text) == json.loads(trace.manifest.model_dump_json())
    again = tmp_path / "again.html"
    assert command("explore", kept, "--output", again).code == 0
    assert sorted(again.read_text(encoding="utf-8").split("\n")) == sorted(text.split("\n"))


def manifest_in(page: str, name: str = "manifest") -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_two_runs_in_one_page(folders: dict[str, Path], tmp_path: Path, command: Command) -> None:
    page, run = tmp_path / "page.html", folders["translation"]
    assert command("explore", run, "--input", SENTENCE, "--compare", run, "--output", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert manifest_in(text) == manifest_in(text, "manifest-1")


@pytest.mark.parametrize("task", RUNS)
def test_every_kind_of_run_becomes_a_page(task: str, tmp_path: Path, command: Command) -> None:
    run, page = RUNS[task](tmp_path / "run"), tmp_path / "page.html"
    code, _, err = command("explore", run, "--input", given(task, tmp_path), "--output", page)
    assert code == 0, err
    assert manifest_in(page.read_text(encoding="utf-8"))["model"]["task"] == task
    card = invitation(load(run, "cpu"))
    assert card["says"].endswith(".") and set(card) == {
        "name", "task", "takes", "says", "example", "limit", "accept", "options"
    }  # fmt: skip


def test_the_input_can_come_from_standard_input(folders: dict[str, Path], tmp_path: Path, command: Command) -> None:
    kept = tmp_path / "x.trace"
    words = ("explore", folders["translation"], "--input", "-", "--save", kept)
    assert command(*words, stdin=f"{SENTENCE}\n".encode()).code == 0
    assert Trace.load(kept).manifest.input == SENTENCE


def test_what_explore_refuses(folders: dict[str, Path], tmp_path: Path, command: Command) -> None:
    run, page, masked = folders["translation"], tmp_path / "page.html", folders["masked-lm"]
    Trace.save(first(load(run, "cpu"), SENTENCE, {}), tmp_path / "x.trace")
    (tmp_path / "text").write_text("no trace")
    for words, says in (
        ((run, "--output", page), "--input"),
        ((run, "--input", " ", "--output", page), "empty"),
        ((run, "--input", "Hund " * 3000, "--output", page), "limit"),
        ((tmp_path / "nowhere", "--input", "a", "--output", page), "no run folder"),
        ((tmp_path / "text", "--output", page), "not a trace"),
        ((tmp_path / "x.trace", "--input", "a", "--output", page), "no use"),
        ((run, "--input", "a", "--output", tmp_path / "no" / "page.html"), "cannot be written"),
        ((masked, "--input", "a [MASK]", "--beam", 3, "--output", page), "no beam"),
        ((folders["image-classification"], "--input", tmp_path / "text", "--output", page), "cannot be read"),
    ):
        assert says in command.refuses("explore", *words), words
        assert not page.exists()


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_pictures_of_a_run_and_of_a_trace(
    ending: str, folders: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    if ending != "svg":
        pytest.importorskip("typst", reason="PNG and PDF are made with typst: pip install 'allyouneed[pictures]'")
    run, out, kept = folders["translation"], tmp_path / f"x.{ending}", tmp_path / "x.trace"
    code, said, err = command(
        "picture", run, "--input", SENTENCE, "--relation", "cross", "--layer", 2, "--head", 1, "--output", out
    )
    assert code == 0, err
    assert said == f"written: {out}\n"
    begins = {"svg": b"<", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    assert out.read_bytes().startswith(begins)
    assert command("explore", run, "--input", SENTENCE, "--save", kept).code == 0
    assert command("picture", kept, "--what", "beam", "--output", out).code == 0
    assert out.read_bytes().startswith(begins)


def test_curves_are_drawn_of_a_run_that_was_trained(folders: dict[str, Path], tmp_path: Path, command: Command) -> None:
    folder, out = Path(shutil.copytree(folders["translation"], tmp_path / "run")), tmp_path / "x.svg"
    lines = [{"kind": "train", "step": step, "loss": 9 - step, "nll": 8 - step} for step in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = command("picture", folder, "--what", "curves", "--width", 90, "--output", out)
    assert code == 0, err
    assert "Learning curves" in out.read_text(encoding="utf-8")
    assert re.search(r'width="90(\.0+)?mm"', out.read_text(encoding="utf-8"))


def test_pictures_that_there_are_not(folders: dict[str, Path], tmp_path: Path, command: Command) -> None:
    run, out = folders["translation"], tmp_path / "x.svg"
    picture = ("picture", run, "--input", SENTENCE, "--output", out)
    assert "--layer 9 is too high: cross has 2 there" in command.refuses(*picture, "--layer", 9)
    assert "head" in command.refuses(*picture, "--head", 9)
    assert "relation" in command.refuses(*picture, "--relation", "nothing")
    assert "curves" in command.refuses(*picture, "--what", "nothing")
    assert "figures" in command.refuses("picture", run, "--what", "curves", "--output", out)
    assert not out.exists()


# ---- the live page


class Live:
    """A server in this process, and a client that speaks to it as a browser at this machine would."""

    def __init__(self, *lookers: Looker):
        self.explorer = Explorer(lookers, lambda live: page_of(live))
        self.client = TestClient(create_explorer(self.explorer), base_url="http://127.0.0.1:8000")
        self.root = f"/{self.explorer.token}/"

    def ask(self, headers: dict[str, str] | None = None, **body: Any) -> Any:
        return self.client.post(f"{self.root}api/look", json=body, headers=headers)


def page_of(live: Any) -> str:
    return f"<!DOCTYPE html>{json.dumps(live)}"


def echo(given: Any, **options: Any) -> Any:
    """Answers with what it was given."""

    class Answer:
        def to_bytes(self) -> bytes:
            return repr((given, options)).encode()

    if given == "poison":
        raise RuntimeError(f"cannot read {given}")
    if given == "long":
        raise UserError("the input has 9 pieces, and the limit is 8; give a shorter one")
    return Answer()


CARD = {"name": "demo", "takes": "text", "limit": 20, "options": [
    {"name": "beam", "least": 1, "most": 16, "step": 1}, {"name": "alpha", "least": 0, "most": 5, "step": 0.1}]}  # fmt: skip
IMAGES = {"name": "clothes", "takes": "image", "limit": 100, "options": []}


@pytest.fixture
def live() -> Live:
    return Live(Looker(echo, CARD), Looker(echo, IMAGES))


def test_the_page_and_the_answers(live: Live) -> None:
    page = live.client.get(live.root)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    rules = page.headers["content-security-policy"]
    assert "default-src 'none'" in rules and "frame-ancestors 'none'" in rules and "connect-src 'self'" in rules
    assert page.headers["cache-control"] == "no-store"
    told = json.loads(page.text.removeprefix("<!DOCTYPE html>"))
    assert told["url"] == "api/look" and [run["name"] for run in told["runs"]] == ["demo", "clothes"]
    answer = live.ask(input="Hund")
    assert answer.headers["content-type"] == "application/octet-stream" and answer.content == b"('Hund', {})"
    asked = live.ask(input="Hund", run=0, options={"beam": 3.0, "alpha": 1})
    assert asked.content == b"('Hund', {'beam': 3, 'alpha': 1.0})"
    sent = base64.b64encode(b"\x00\x01").decode()
    assert live.ask(run=1, image=sent, name="a.png").content == rb"(b'\x00\x01', {'name': 'a.png'})"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "takes text"),
        ({"input": "a" * 21}, 422, "at most 20"),
        ({"input": 3}, 422, "input"),
        ({"input": "a", "run": 2}, 422, "no run 2"),
        ({"input": "a", "run": -1}, 422, "run"),
        ({"input": "a", "colour": 1}, 422, "colour"),
        ({"input": "a", "options": {"beam": 17}}, 422, "1 to 16"),
        ({"input": "a", "options": {"beam": True}}, 422, "beam"),
        ({"input": "a", "options": {"width": 1}}, 422, "beam, alpha"),
        ({"input": "a", "run": 1}, 422, "takes image"),
        ({"image": "%%%", "run": 1}, 400, "base64"),
        ({"image": base64.b64encode(b"x" * 101).decode(), "run": 1}, 422, "101 bytes"),
        ({"input": "long"}, 422, "the limit is 8"),
        ({"input": "poison"}, 500, "log says where"),
    ],
)
def test_what_is_refused(live: Live, body: dict[str, Any], status: int, says: str) -> None:
    assert says in error_of(live.ask(**body), status)
    assert live.ask(input="Hund").status_code == 200  # and it goes on


def test_a_failure_tells_no_input(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    assert "poison" not in live.ask(input="poison").text and "poison" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_bodies_that_are_no_requests(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    door, headers = f"{live.root}api/look", {"Content-Type": "application/json"}
    for content in (b"", b"no json", b"[" * 5000, b'{"input": "\xff"}'):
        assert "JSON" in error_of(live.client.post(door, content=content, headers=headers), 400)
    assert "application/json" in error_of(live.client.post(door, data={"input": "a"}), 415)
    monkeypatch.setattr(explore, "MAX_BODY", 100)
    assert "100 bytes" in error_of(live.ask(input="a" * 200), 413)
    assert "100 bytes" in error_of(live.client.post(door, content=iter([b" " * 60] * 2), headers=headers), 413)


def test_only_who_knows_the_address_comes_in(live: Live) -> None:
    for path in ("/", "/x/", "/x/api/look", f"/{live.explorer.token[:-1]}/", "/docs", "/openapi.json", "/%2e%2e/"):
        assert "nothing here" in error_of(live.client.get(path), 405 if path.endswith("look") else 404)
    assert "nothing here" in error_of(live.client.post("/wrong/api/look", json={"input": "a"}), 404)
    slash = live.client.get(live.root.rstrip("/"), follow_redirects=False)
    assert (slash.status_code, slash.headers["location"]) == (308, live.root)
    assert live.client.get("/favicon.ico").status_code == 204


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "[",
        "a@127.0.0.1.evil.example",
        "",
    ],
)
def test_a_foreign_name_is_refused(live: Live, host: str) -> None:
    """A page of evil.example can make its own name mean this machine; its requests still carry the name."""
    assert error_of(live.client.get(live.root, headers={"Host": host}), 403)
    assert error_of(live.ask({"Host": host}, input="a"), 403)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost", "LOCALHOST:1"])
def test_its_own_names_are_not(live: Live, host: str) -> None:
    assert live.client.get(live.root, headers={"Host": host}).status_code == 200


def test_a_foreign_page_may_not_ask(live: Live) -> None:
    assert live.ask({"Origin": "http://127.0.0.1:8000"}, input="a").status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9000", "http://127.0.0.1:8000.evil.example"):
        assert "another page" in error_of(live.ask({"Origin": origin}, input="a"), 403)


def test_one_at_a_time_and_few_may_wait() -> None:
    gate, running, most = threading.Event(), 0, 0

    def slow(given: str, **_: Any) -> Any:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        gate.wait(20)
        running -= 1
        return echo(given)

    live, answers = Live(Looker(slow, CARD)), []
    with live.client:  # one event loop for all
        threads = [threading.Thread(target=lambda: answers.append(live.ask(input="a").status_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads[:]:
            thread.join(0.3)
        gate.set()
        for thread in threads:
            thread.join(20)
    assert most == 1 and sorted(answers) == [200] * 5 + [429] * 3


def test_a_page_of_a_trace_asks_nothing(live: Live) -> None:
    still = Live()
    assert still.client.get(still.root).text == "<!DOCTYPE html>null"
    assert "connect-src" not in still.client.get(still.root).headers["content-security-policy"]
    assert "no run 0" in error_of(still.ask(input="a"), 422)


# ---- real runs


def test_real_runs_answer_with_traces(folders: dict[str, Path], tmp_path: Path) -> None:
    runs = [load(folders[task], "cpu") for task in ("translation", "image-classification")]
    live = Live(*(Looker(run.look, invitation(run)) for run in runs))
    path = tmp_path / "answer.trace"
    path.write_bytes(live.ask(input=SENTENCE, options={"beam": 2}).content)
    assert Trace.load(path).manifest.output == runs[0].translate(SENTENCE, beam=2)
    image = picture(tmp_path / "a.png")
    sent = base64.b64encode(image.read_bytes()).decode()
    path.write_bytes(live.ask(run=1, image=sent, name="a.png").content)
    assert Trace.load(path).manifest.title == "a.png"
    for broken in (b"no image", image.read_bytes()[:200], b"\x89PNG\r\n\x1a\n"):
        told = error_of(live.ask(run=1, image=base64.b64encode(broken).decode()), 422)
        assert "read" in told and "Traceback" not in told
    assert "empty" in error_of(live.ask(input=" "), 422)
    assert explore.MAX_BODY > 4 * IMAGE_BYTES / 3


def test_what_a_live_page_begins_with(folders: dict[str, Path]) -> None:
    """The run's example where it has one; else a page that waits for an input."""
    for task in ("masked-lm", "image-classification"):
        trace = first(load(folders[task], "cpu"), None, {})
        assert not trace.manifest.relations and trace.manifest.model.task == task
    assert first(load(folders["translation"], "cpu"), None, {}).manifest.input


def test_a_person_types_a_sentence_and_sees_it_translated(process: Process, browser_page: Any) -> None:
    """The whole of it: command, server, page, model."""
    page = browser_page(process.url)
    page.fill("#live-input", "Der Hund schläft im Garten.")
    page.press("#live-input", "Enter")
    page.get_by_text("Der Hund schläft im Garten.").first.wait_for()
    page.shot("live")
    assert SENTENCE not in page.inner_text("body")


@pytest.fixture
def process(folders: dict[str, Path]) -> Iterator[Process]:
    words = ("-m", "allyouneed", "explore", str(folders["translation"]), "--no-open", "--input", SENTENCE)
    server = Process(*words)
    yield server
    server.process.kill()
    server.killer.cancel()


def test_the_command_serves_here_alone_until_it_is_told_to_stop(process: Process) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", process.url)
    page = httpx.get(process.url, timeout=60, trust_env=False)
    assert manifest_in(page.text)["input"] == SENTENCE
    assert manifest_in(page.text, "live")["runs"][0]["takes"] == "text"
    answer = httpx.post(f"{process.url}api/look", json={"input": "Der Hund."}, timeout=60, trust_env=False)
    assert answer.status_code == 200 and b"allyouneed-trace" in answer.content[:4000]
    code, said = process.stop(signal.SIGINT)
    assert code in (0, -signal.SIGINT, 130) and "Traceback" not in said
