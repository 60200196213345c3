"""Recipe data from a local server: what is right is kept, what is wrong is not; there may be no network."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from allyouneed.data.download import RECIPES, Recipe, RemoteFile, check_content, fetch_recipe_data
from allyouneed.errors import UserError

SHARED = Path(__file__).parents[2] / "shared" / "data"
CONTENT = {"train.de.gz": "Grüße\n".encode() * 50, "train.en.gz": b"Greetings\n" * 50}


def recipe_of(content: dict[str, bytes]) -> dict[str, Recipe]:
    files = (RemoteFile(name, hashlib.sha256(text).hexdigest(), len(text)) for name, text in content.items())
    return {"tiny": Recipe("http://127.0.0.1:9/", "none", tuple(files))}


RECIPE = recipe_of(CONTENT)


class Handler(SimpleHTTPRequestHandler):
    requests: ClassVar[list[str]] = []

    def log_message(self, *arguments: object) -> None:
        self.requests.append(self.path)


class Server(ThreadingHTTPServer):
    """A client that hangs up in the middle is part of the tests, and no news."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder that it serves: the recipe's files."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    for name, text in CONTENT.items():
        (folder / name).write_bytes(gzip.compress(text, compresslevel=1, mtime=0))
    Handler.requests = []
    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: gzip.decompress(file.read_bytes()) for file in folder.iterdir()}


def test_files_are_fetched_once(served: tuple[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    assert fetch_recipe_data("tiny", folder, served[0], RECIPE) == folder
    assert content_of(folder) == CONTENT and len(Handler.requests) == 2
    fetch_recipe_data("tiny", folder, served[0], RECIPE)
    assert len(Handler.requests) == 2


def test_what_is_missing_or_wrong_is_fetched_again(served: tuple[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.de").write_bytes(CONTENT["train.de.gz"])  # unpacked by hand: right as well
    (folder / "train.en.gz").write_bytes(gzip.compress(CONTENT["train.en.gz"], mtime=0)[:-9])
    fetch_recipe_data("tiny", folder, served[0], RECIPE)
    assert len(Handler.requests) == 1 and not (folder / "train.de.gz").exists()
    assert gzip.decompress((folder / "train.en.gz").read_bytes()) == CONTENT["train.en.gz"]


@pytest.mark.parametrize(
    ("served_bytes", "reason"),
    [
        (gzip.compress(b"other text\n", mtime=0), "sha256"),
        (b"<html>not found</html>", "no gzip file"),
        (gzip.compress(CONTENT["train.en.gz"], mtime=0)[:-5], "truncated"),
        (gzip.compress(b"0" * 10_000_000, mtime=0), "unpacks to more than"),
        (b"\x1f\x8b" + bytes(1_000_000), "no gzip file"),
    ],
)
def test_a_wrong_file_is_not_kept(served: tuple[str, Path], tmp_path: Path, served_bytes: bytes, reason: str) -> None:
    (served[1] / "train.en.gz").write_bytes(served_bytes)
    with pytest.raises(UserError, match=reason) as caught:
        fetch_recipe_data("tiny", tmp_path / "data", served[0], RECIPE)
    assert "train.en.gz" in str(caught.value) and "nothing was kept" in str(caught.value)
    assert list(content_of(tmp_path / "data")) == ["train.de.gz"]


def test_no_network_tells_which_files_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError) as caught:  # port 9 of this machine refuses
        fetch_recipe_data("tiny", tmp_path / "data", None, RECIPE)
    message = str(caught.value)
    assert "refused" in message and "train.de.gz train.en.gz" in message and str(tmp_path / "data") in message


def test_a_file_that_the_server_lacks(served: tuple[str, Path], tmp_path: Path) -> None:
    (served[1] / "train.en.gz").unlink()
    with pytest.raises(UserError, match="404") as caught:
        fetch_recipe_data("tiny", tmp_path / "data", served[0], RECIPE)
    assert str(caught.value).endswith(": train.en.gz.")


def test_other_errors_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is: multi30k"):
        fetch_recipe_data("multi40k", tmp_path)
    with pytest.raises(UserError, match="unknown url type"):
        fetch_recipe_data("tiny", tmp_path, "nonsense", RECIPE)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be used as a folder"):
        fetch_recipe_data("tiny", tmp_path / "file", None, RECIPE)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is absent")
def test_the_recipe_names_the_content_of_multi30k() -> None:
    files = {file.name: file for file in RECIPES["multi30k"].files}
    there = sorted((SHARED / "multi30k").glob("*.gz"))
    assert len(there) == 9
    for path in there:
        check_content(path.read_bytes(), files[path.name], compressed=True)
