"""Load on a server of a run: throughput and latency with 1, 8 and 64 clients, and whether each got its own answer.

`python -m benchmarks.serving RUN [--json]` starts `allyouneed serve RUN` on a free port of 127.0.0.1. Every client
sends one sentence after another, each as soon as the last is answered. The clients share the machine with the server,
so the figures are lower bounds. Before, the same sentences are translated offline: that is what answers must equal.
"""

import argparse
import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from allyouneed.errors import UserError

STARTING = 120  # seconds
PATIENCE = 60  # seconds for one answer
MOST = 20_000  # requests with one number of clients


class Answer(NamedTuple):
    row: int  # of the sentence
    status: int  # HTTP's; 0 where none came
    text: str
    seconds: float


def offline(run: Any, sentences: Sequence[str]) -> tuple[list[str], float]:
    """The translations without a server, all in one call, and the sentences per second."""
    start = time.perf_counter()
    translations = run.translate(sentences)
    return translations, len(sentences) / (time.perf_counter() - start)


@contextlib.contextmanager
def server(run: Path, settings: Sequence[str]) -> Iterator[str]:
    """A server of the run in a process of its own; its address. It is stopped gracefully."""
    words = [sys.executable, "-m", "allyouneed", "serve", str(run), "--port", "0"]
    words += [part for setting in settings for part in ("--set", setting)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(STARTING, process.kill)
    timer.start()
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r" at (http://\S+)", line):
                break
        else:
            sys.exit("".join(said) or "the server did not start")
        timer.cancel()
        threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it never blocks on a full pipe
        yield found[1]
    finally:
        timer.cancel()
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()


class Connection:
    """A client that keeps its connection, with no more of HTTP than the server needs.

    A general client is slower than the server: httpx with a pool of 64 connections reached a tenth of this.
    """

    def __init__(self, url: str):
        self.host, _, self.port = url.removeprefix("http://").rpartition(":")
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sentence: str) -> tuple[int, str]:
        """Status and translation or error; status 0 and the reason where no answer came."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(json.dumps({"text": sentence}).encode())
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            return 0, type(error).__name__

    async def _ask(self, body: bytes) -> tuple[int, str]:
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, int(self.port))
        reader, writer = self.streams
        head = f"POST /translate HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        first, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in headers if line.startswith("content-length:"))
        content = json.loads(await reader.readexactly(length))
        return int(first.split()[1]), content.get("translation", content.get("error", ""))

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def load(url: str, sentences: Sequence[str], clients: int, requests: int) -> tuple[list[Answer], float]:
    """All answers to `requests` requests by so many clients at once, and the seconds they took together."""
    rows = iter(range(requests))  # shared: a client that is done early takes the next
    answers: list[Answer] = []

    async def client() -> None:
        connection = Connection(url)
        for number in rows:
            row = number % len(sentences)
            start = time.perf_counter()
            status, text = await connection.ask(sentences[row])
            answers.append(Answer(row, status, text, time.perf_counter() - start))
        connection.close()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return answers, time.perf_counter() - start


def judge(answers: Sequence[Answer], expected: Sequence[str], requests: int) -> dict[str, int]:
    """Lost: no answer. Mixed up: another sentence's. Differing: neither its own offline translation nor another's."""
    known = set(expected)
    wrong = [a for a in answers if a.status == 200 and a.text != expected[a.row]]
    mixed = sum(a.text in known for a in wrong)
    good = sum(a.status == 200 for a in answers)
    return {"lost": requests - good, "mixed_up": mixed, "differing": len(wrong) - mixed}


def measure(url: str, sentences: Sequence[str], expected: Sequence[str], clients: int, requests: int) -> dict[str, Any]:
    """The figures of one number of clients."""
    before = health(url)
    answers, seconds = asyncio.run(load(url, sentences, clients, requests))
    after = health(url)
    batches = after["batches"] - before["batches"]
    p50, p95, p99 = np.percentile([a.seconds * 1000 for a in answers], [50, 95, 99])
    return {
        "requests": requests,
        "seconds": seconds,
        "sentences_per_second": requests / seconds,
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "sentences_per_batch": (after["sentences"] - before["sentences"]) / max(batches, 1),
        **judge(answers, expected, requests),
        "statuses": dict(Counter(str(a.status) for a in answers)),
    }


def health(url: str) -> dict[str, Any]:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/health", timeout=PATIENCE) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def read_sentences(run: Any, file: Path | None, split: str, most: int) -> list[str]:
    """Distinct sentences, so that an answer says whose it is: of a file, or of a split of the run's data."""
    from allyouneed.data.files import read_lines
    from allyouneed.recipes.translation import read_split_of

    lines = read_lines(file) if file else read_split_of(run.settings.data, split).source
    return list(dict.fromkeys(line for line in lines if line.strip()))[:most]


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    import allyouneed

    run = allyouneed.load(options.run)
    sentences = read_sentences(run, options.text, options.split, options.sentences)
    if not sentences:
        sys.exit("there are no sentences to send; give a file with --text")
    run.translate(sentences[:8])  # the first call is slower
    expected, speed = offline(run, sentences)
    found: dict[str, Any] = {"run": str(options.run), "sentences": len(sentences), "clients": {}}
    found["offline_sentences_per_second"] = speed
    with server(options.run, options.set) as url:
        asyncio.run(load(url, sentences, 1, 4))
        for clients in options.clients:
            requests = min(max(options.requests, clients), MOST)
            found["clients"][str(clients)] = measure(url, sentences, expected, clients, requests)
    for key in ("lost", "mixed_up", "differing"):
        found[key] = sum(row[key] for row in found["clients"].values())
    return found


def show(found: dict[str, Any]) -> None:
    title = f"{found['run']}: offline {found['offline_sentences_per_second']:.0f} sentences/s in one call"
    header = ("clients", "sent./s", "p50 ms", "p95 ms", "p99 ms", "batch", "lost", "mixed up", "differing")
    table = Table(*header, title=title, title_justify="left")
    for clients, row in found["clients"].items():
        speed = [f"{row[key]:.1f}" for key in ("sentences_per_second", "p50_ms", "p95_ms", "p99_ms")]
        faults = [str(row[key]) for key in ("lost", "mixed_up", "differing")]
        table.add_row(clients, *speed, f"{row['sentences_per_batch']:.1f}", *faults)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="Load on a server of a run.")
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--text", type=Path, help="sentences to send, one a line (default: a split of the run's data)")
    parser.add_argument("--split", default="test", help="the split: test, val, test_2016_flickr (test)")
    parser.add_argument("--sentences", type=int, default=500, help="different sentences at most (500)")
    parser.add_argument("--requests", type=int, default=500, help=f"requests per number of clients (500, most {MOST})")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], help="numbers of clients (1 8 64)")
    parser.add_argument("--set", action="append", default=[], help="a setting of the server, serving.key=value")
    options = parser.parse_args()
    if min(options.clients) < 1 or max(options.clients) > 256 or options.requests < 1 or options.sentences < 1:
        parser.error("clients go from 1 to 256; requests and sentences are 1 or more")
    try:
        found = benchmark(options)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        show(found)
    sys.exit(1 if found["lost"] or found["mixed_up"] else 0)


if __name__ == "__main__":
    main()
