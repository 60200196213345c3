"""A page that asks a running model: here a small server that answers with known traces."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import traces
from browser import Open
from matrix_probe import cividis, close, colour

from allyouneed.tracing.explorer import page
from allyouneed.tracing.manifest import Manifest, ModelCard
from allyouneed.tracing.trace import Trace


def told(runs: int = 1, takes: str = "text") -> dict[str, Any]:
    """What a live server tells its page."""
    beam = {"name": "beam", "title": "Beam width", "value": 5, "least": 1, "most": 16, "step": 1}
    run = {
        "task": "translation",
        "takes": takes,
        "says": "A sentence to translate.",
        "example": "",
        "limit": 60,
        "accept": "image/png",
    }
    return {"url": "api/look", "runs": [{"name": f"run{i}", "options": [beam], **run} for i in range(runs)]}


class Model(ThreadingHTTPServer):
    """Answers each request with a translator's trace whose source is what was typed."""

    def __init__(self, live: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page(Trace(Manifest(model=ModelCard(name="transformer")), {}), live)
        self.asked: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/token/"


class Handler(BaseHTTPRequestHandler):
    server: Model

    def do_GET(self) -> None:
        found = self.path == "/token/"
        self._send(200 if found else 204, "text/html; charset=utf-8", self.server.page.encode() if found else b"")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked | {"path": self.path})
        if "bad" in asked.get("input", ""):
            return self._send(422, "application/json", json.dumps({"error": "<b>bad</b> is not a word."}).encode())
        trace = traces.translator(source=[*asked.get("input", "an image").split(), "</s>"])
        trace.manifest.model.run = f"run{asked['run']}"
        return self._send(200, "application/octet-stream", trace.to_bytes())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[Model] = []

    def start(live: dict[str, Any]) -> Model:
        running.append(Model(live))
        threading.Thread(target=running[-1].serve_forever, daemon=True).start()
        return running[-1]

    yield start
    for model in running:
        model.shutdown()
        model.server_close()


def test_a_sentence_is_asked_and_its_trace_shown(browser_page: Open, serve: Any) -> None:
    model = serve(told())
    view = browser_page(model.address, "screen=head&relation=encoder&head=1")
    assert "Type a sentence and press Enter." in view.inner_text("#screen")
    view.fill("#live-input", "drei kleine Katzen")
    view.fill("#live-beam", "3")
    view.press("#live-input", "Enter")
    view.wait_for_selector("#matrix")
    assert model.asked == [{"run": 0, "input": "drei kleine Katzen", "options": {"beam": 3}, "path": "/token/api/look"}]
    assert close(colour(view, 3, 2), cividis(1)) and close(colour(view, 2, 3), cividis(0))
    view.click("#tool-language")
    assert view.input_value("#live-input") == "drei kleine Katzen", "a change of language keeps what was typed"
    view.click("#tool-export")
    with view.expect_download() as waiting:
        view.click("#export-page")
    saved = browser_page(waiting.value.path().read_text(encoding="utf-8"), "screen=head&relation=encoder&head=1")
    assert close(colour(saved, 3, 2), cividis(1)) and saved.locator("form").count() == 0
    assert "connect-src" not in saved.content().partition("<style>")[0]


def test_an_error_is_told_and_the_old_picture_stays(browser_page: Open, serve: Any) -> None:
    model = serve(told())
    view = browser_page(model.address)
    view.watch.allowed = ("422",)  # the browser itself logs an answer of this status
    view.fill("#live-input", "gut")
    view.click("#live-run")
    view.wait_for_selector(".map")
    view.fill("#live-input", "bad")
    view.click("#live-run")
    view.wait_for_selector("[role=alert]:not([hidden])")
    assert view.inner_text("form [role=alert]") == "<b>bad</b> is not a word." and view.locator(".map").count() == 24
    for text, sentence in (("", "There is nothing to look at"), ("x" * 61, "at most 60")):
        view.fill("#live-input", text)
        view.click("#live-run")
        view.locator("form [role=alert]", has_text=sentence).wait_for()
    assert len(model.asked) == 2


def test_two_models_are_asked_the_same(browser_page: Open, serve: Any) -> None:
    model = serve(told(runs=2))
    view = browser_page(model.address, "screen=compare")
    view.fill("#live-input", "eins zwei")
    view.click("#live-run")
    view.wait_for_selector("#matrix-b")
    assert [asked["run"] for asked in model.asked] == [0, 1]
    assert "A · transformer · run0" in view.inner_text("#screen") and "B · transformer · run1" in view.inner_text(
        "#screen"
    )


def test_an_image_is_sent_whole(browser_page: Open, serve: Any) -> None:
    model = serve(told(takes="image"))
    view = browser_page(model.address)
    view.set_input_files("#live-input", {"name": "cat.png", "mimeType": "image/png", "buffer": b"\x89PNG\x00\xff"})
    view.wait_for_selector(".map")
    assert model.asked[0]["image"] == "iVBORwD/" and model.asked[0]["name"] == "cat.png"


def test_a_server_that_is_gone_is_named(browser_page: Open, serve: Any) -> None:
    model = serve(told())
    view = browser_page(model.address)
    view.watch.allowed = ("ERR_",)
    model.shutdown()
    model.server_close()
    view.fill("#live-input", "hallo")
    view.click("#live-run")
    view.wait_for_selector("form [role=alert]:not([hidden])")
    assert "does not answer" in view.inner_text("form [role=alert]")
