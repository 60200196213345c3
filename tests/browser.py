"""One headless Chromium for each file of tests, and pages that must behave: no error, no request off their file or host."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; tests are skipped where there is none.

    One for each file: while Playwright is open its event loop runs, and tests of other files could not run theirs.
    """
    api = pytest.importorskip("playwright.sync_api", reason="pages are tested with playwright: pip install playwright")
    program = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if program is None:
        pytest.skip("pages are tested in Chromium, and there is none on this machine: apt install chromium")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Watch:
    """What a page did that it should not have done."""

    def __init__(self, page: Any, host: str) -> None:
        self.host = host
        self.faults: list[str] = []
        self.allowed: tuple[str, ...] = ()
        page.on("console", lambda message: message.type == "error" and self.faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", lambda request: self._request(request.url))

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and not (parts.scheme == "file" or parts.netloc == self.host):
            self.faults.append(f"request: {url}")

    def check(self) -> None:
        wrong = [fault for fault in self.faults if not any(text in fault for text in self.allowed)]
        assert not wrong, wrong


@pytest.fixture
def browser_page(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """`open(html or path or http address, hash="screen=head", width=1280, ...)` -> a Playwright page that is watched.

    `page.watch.allowed` may name texts of errors that a test means to cause. `page.shot("name")` writes a picture
    into the test's temporary folder. Faults fail the test at its end.
    """
    contexts, watches = [], []

    def open_page(
        content: str | Path,
        hash: str = "",
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        locale: str = "en-US",
        **more: Any,
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale=locale,
            reduced_motion="reduce", accept_downloads=True, **more,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        address = address_of(content, tmp_path)
        page.watch = Watch(page, urlsplit(address).netloc)
        watches.append(page.watch)
        page.shot = lambda name: page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        page.goto(f"{address}#{hash}" if hash else address)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    for watch in watches:
        watch.check()


def address_of(content: str | Path, folder: Path) -> str:
    if isinstance(content, str) and content.startswith("http"):
        return content
    if isinstance(content, str):
        path = folder / f"page-{len(list(folder.glob('page-*.html')))}.html"
        path.write_text(content, encoding="utf-8")
        content = path
    return content.resolve().as_uri()
