"""The server's queue: batches, places, deadlines, clients that leave, and how a stop is graceful."""

import asyncio
import json
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serving_runs import Echo, Process, Serve, error_of, httpx, post, starter, wait_until

from allyouneed.serving.app import create_app
from allyouneed.serving.batching import Batcher, Closed, Options, QueueFull
from allyouneed.serving.settings import ServingSettings

serve = pytest.fixture(starter)


def test_a_full_queue_is_told_to_wait_and_the_others_are_served(serve: Serve) -> None:
    echo = Echo()
    client = serve(echo, max_batch=1, max_queue=1, max_sentences=1, max_wait=0)
    echo.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, client, text="one")
        assert echo.began.wait(20)
        second = pool.submit(post, client, text="two")
        wait_until(lambda: client.get("/health").json()["waiting"] == 2)
        third = post(client, text="three")
        assert "try again" in error_of(third, 429) and third.headers["Retry-After"] == "1"
        echo.gate.set()
        assert [future.result().json()["translation"] for future in (first, second)] == ["<one>", "<two>"]


def test_too_late_is_said_and_leaves_no_trace(serve: Serve) -> None:
    echo = Echo()
    client = serve(echo, max_batch=1, max_queue=2, max_sentences=2, max_wait=0, timeout=0.2)
    echo.gate.clear()
    assert "not ready in time" in error_of(post(client, text="a"), 504)
    assert "not ready in time" in error_of(post(client, text=["b", "c"]), 504)  # they wait behind `a`
    rows = [json.loads(line) for line in post(client, text=["d", "e"], stream=True).text.splitlines()]  # b, c made room
    assert [row["index"] for row in rows] == [0, 1] and all("in time" in row["error"] for row in rows)
    echo.gate.set()
    wait_until(lambda: client.get("/health").json()["waiting"] == 0)
    assert post(client, text="f").json() == {"translation": "<f>"}
    assert [lines for lines, _, _ in echo.calls] == [["a"], ["f"]]  # nobody computed what nobody waited for


def test_batches_share_their_options_and_keep_their_order() -> None:
    seen: list[tuple[Options, list[str]]] = []

    def compute(options: Options, lines: Sequence[str], prefixes: Sequence[str]) -> list[str]:
        seen.append((options, list(lines)))
        return [prefix + line for prefix, line in zip(prefixes, lines, strict=True)]

    batcher, greedy, wide = Batcher(compute, 3, 0, 10), Options(1), Options(8)
    futures = batcher.submit(["a", "b"], "", greedy) + batcher.submit(["c", "d"], "", wide)
    futures += batcher.submit(["e", "f"], "x", greedy)
    gone = batcher.submit(["g"], "", wide)[0]
    gone.cancel()
    with pytest.raises(QueueFull):
        batcher.submit(["h"] * 5, "", wide)
    batcher.close()
    with pytest.raises(Closed):
        batcher.submit(["h"], "", wide)
    batcher.start()
    assert [future.result(20) for future in futures] == ["a", "b", "c", "d", "xe", "xf"] and batcher.join(20)
    assert seen == [(greedy, ["a", "b", "e"]), (wide, ["c", "d"]), (greedy, ["f"])]
    assert (batcher.sentences, batcher.batches, batcher.unfinished) == (6, 3, 0)


def test_who_leaves_is_forgotten() -> None:
    echo = Echo()
    app = create_app(echo, ServingSettings(max_wait=1000))
    messages = [{"type": "http.request", "body": b'{"text": "a"}'}, {"type": "http.disconnect"}]
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/translate", "query_string": b"", "headers": headers}
    sent: list[Any] = []

    async def call() -> None:
        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(call())
    batcher = app.state.service.batcher
    batcher.close()
    batcher.start()
    assert batcher.join(20) and not echo.calls and sent[0]["status"] == 499


SLOW = """
import os, sys, time
sys.path.insert(0, "tests")
from serving_runs import Echo
from allyouneed.serving import server
from allyouneed.serving.settings import ServingSettings
class Slow(Echo):
    def n_best(self, *given, **options):
        while not os.path.exists({go!r}):
            time.sleep(0.05)
        return super().n_best(*given, **options)
done = server.serve(Slow, "slow", "127.0.0.1", 0, ServingSettings(max_batch=1, max_wait=0, drain={drain}))
sys.exit(0 if done else 1)
"""


def test_told_to_stop_it_finishes_and_takes_nothing_new(tmp_path: Path) -> None:
    go = tmp_path / "go"
    slow = Process("-c", SLOW.format(drain=60, go=str(go)))
    with ThreadPoolExecutor(1) as pool:
        queued = pool.submit(slow.ask, text=["a", "b"])
        wait_until(lambda: httpx.get(f"{slow.url}/health", trust_env=False).json()["waiting"] == 2)
        slow.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{slow.url}/health", trust_env=False).status_code == 503)
        refused = slow.ask(text="c")
        assert "stopping" in error_of(refused, 503) and refused.headers["Connection"] == "close"
        go.touch()
        assert queued.result().json() == {"translations": ["<a>", "<b>"]}
    said = slow.process.communicate(timeout=60)[1]
    slow.killer.cancel()
    assert (slow.process.returncode, said) == (0, "stopped; all was answered\n")


@pytest.mark.parametrize(("drain", "signals"), [(60, 2), (0, 1)])
def test_told_twice_or_out_of_time_it_says_what_it_gives_up(drain: int, signals: int, tmp_path: Path) -> None:
    slow = Process("-c", SLOW.format(drain=drain, go=str(tmp_path / "never")))
    with ThreadPoolExecutor(2) as pool:
        whole, stream = pool.submit(slow.ask, text=list("abcdef")), pool.submit(slow.ask, text=["g"], stream=True)
        wait_until(lambda: httpx.get(f"{slow.url}/health", trust_env=False).json()["waiting"] == 7)
        for _ in range(signals):
            slow.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert "stopped before" in error_of(whole.result(), 503)
        assert "stopped before" in stream.result().text
    said = slow.process.communicate(timeout=60)[1]
    slow.killer.cancel()
    assert (slow.process.returncode, said) == (1, "stopped; 7 sentences were given up\n")
