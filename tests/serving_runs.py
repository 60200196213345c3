"""What the tests of the server share: runs that are no models, clients, and servers in processes of their own."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

httpx = pytest.importorskip("httpx", reason="the server's tests need httpx: make setup")
pytest.importorskip("fastapi", reason="the server's tests need FastAPI: make setup")

from fastapi.testclient import TestClient  # noqa: E402

from allyouneed.serving.app import create_app  # noqa: E402
from allyouneed.serving.settings import ServingSettings  # noqa: E402


class Found(NamedTuple):
    text: str
    score: float


class Echo:
    """A run that answers with what it was given, when its gate is open; the word poison makes it fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int, dict[str, Any]]] = []
        self.gate, self.began = threading.Event(), threading.Event()
        self.gate.set()

    def n_best(self, lines: Sequence[str], n: int = 1, **options: Any) -> list[list[Found]]:
        self.began.set()
        assert self.gate.wait(20)
        self.calls.append((list(lines), n, options))
        if any("poison" in line for line in lines):
            raise RuntimeError(f"cannot read {lines}")
        return [[Found(f"<{line}>{k or ''}", -float(k)) for k in range(n)] if line else [] for line in lines]


Serve = Callable[..., TestClient]


def starter() -> Iterator[Serve]:
    """A fixture: starts an application with a client that speaks to it in this process."""
    clients: list[TestClient] = []

    def start(run: Any, **settings: Any) -> TestClient:
        clients.append(TestClient(create_app(run, ServingSettings(**settings))).__enter__())
        return clients[-1]

    yield start
    for client in clients:
        client.__exit__(None, None, None)


def post(client: Any, **body: Any) -> Any:
    return client.post("/translate", json=body)


def error_of(reply: Any, status: int) -> str:
    assert (reply.status_code, list(reply.json())) == (status, ["error"])
    return str(reply.json()["error"])


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Process:
    """A server in a process of its own, on a free port; killed at the end at the latest."""

    def __init__(self, *words: str):
        root = Path(__file__).parent.parent
        self.process = subprocess.Popen([sys.executable, *words], cwd=root, stderr=subprocess.PIPE, text=True)
        self.killer = threading.Timer(150, self.process.kill)
        self.killer.start()
        assert self.process.stderr is not None
        lines = iter(self.process.stderr.readline, "")
        self.url = next(found[1] for line in lines if (found := re.search(r" at (http://\S+)", line)))

    def ask(self, **body: Any) -> Any:
        return httpx.post(f"{self.url}/translate", json=body, timeout=60, trust_env=False)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(how)
        said = self.process.communicate(timeout=60)[1]
        self.killer.cancel()
        return self.process.returncode, said
