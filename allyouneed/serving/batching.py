"""Dynamic batching: one thread owns the model; what arrives together and asks for the same is computed together."""

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, NamedTuple

log = logging.getLogger("allyouneed.serving")


class Options(NamedTuple):
    """What all sentences of a batch share; None leaves it to the run's own settings."""

    beam: int | None = None
    length_penalty: float | None = None
    n_best: int = 1


class Job(NamedTuple):
    """One sentence on its way."""

    text: str
    prefix: str
    options: Options
    future: "Future[Any]"
    arrived: float  # time.monotonic()


Compute = Callable[[Options, Sequence[str], Sequence[str]], Sequence[Any]]
"""Options, sentences, prefixes -> an answer per sentence; an exception among the answers is that sentence's alone."""


class QueueFull(Exception):
    """No room for all sentences of a request; none of them was taken."""


class Closed(Exception):
    """The batcher is stopping and takes nothing new."""


class Batcher:
    """A bounded queue of sentences, and the thread that empties it.

    A batch is the oldest sentence with others that have equal options, in the order of arrival. It starts when
    `max_batch` sentences are there or when the oldest has waited `max_wait` milliseconds, which under load has
    happened by the time that the last batch is done: then nobody waits for company.
    """

    def __init__(self, compute: Compute, max_batch: int, max_wait: float, max_queue: int):
        self.compute, self.max_batch, self.max_wait, self.max_queue = compute, max_batch, max_wait / 1000, max_queue
        self.batches = self.sentences = 0  # computed so far
        self._queue: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._running: list[Job] = []  # the batch that is being computed
        self._thread = threading.Thread(target=self._work, name="translator", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, sentences: Sequence[str], prefix: str, options: Options) -> "list[Future[Any]]":
        """One future per sentence; all are taken or none is. Raises QueueFull or Closed."""
        now = time.monotonic()
        jobs = [Job(text, prefix, options, Future(), now) for text in sentences]
        with self._changed:
            if self._closed:
                raise Closed
            if len(self._queue) + len(jobs) > self.max_queue:  # those whose clients gave up leave their places
                self._queue = deque(job for job in self._queue if not job.future.cancelled())
            if len(self._queue) + len(jobs) > self.max_queue:
                raise QueueFull
            self._queue.extend(jobs)
            self._changed.notify()
        return [job.future for job in jobs]

    def close(self) -> None:
        """Takes nothing new; what is queued will still be computed."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Waits for the thread, which ends after `close` when the queue is empty; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def abandon(self) -> int:
        """Tells all that are still waiting that they will not be answered; how many they were."""
        with self._changed:
            left = [job for job in (*self._queue, *self._running) if not job.future.done()]
            self._queue.clear()
        for job in left:
            _deliver(job, Closed())
        return len(left)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def unfinished(self) -> int:
        """Sentences waiting or being computed."""
        with self._changed:
            return len(self._queue) + len(self._running)

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            self._answer(batch)
            with self._changed:
                self._running = []

    def _next(self) -> list[Job] | None:
        """The next batch, empty if all its clients have gone; None at the end."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            if not self._queue:
                return None
            ready = self._queue[0].arrived + self.max_wait
            while len(self._queue) < self.max_batch and not self._closed:
                left = ready - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            batch = [job for job in self._take() if job.future.set_running_or_notify_cancel()]
            self._running = batch
            return batch

    def _take(self) -> deque[Job]:
        options = self._queue[0].options if self._queue else None
        taken: deque[Job] = deque()
        left: deque[Job] = deque()
        for job in self._queue:
            fits = job.options == options and len(taken) < self.max_batch
            (taken if fits else left).append(job)
        self._queue = left
        return taken

    def _answer(self, batch: Sequence[Job]) -> None:
        if not batch:
            return
        try:
            texts, prefixes = [job.text for job in batch], [job.prefix for job in batch]
            pairs = list(zip(batch, self.compute(batch[0].options, texts, prefixes), strict=True))
        except Exception as error:
            if len(batch) > 1:  # one sentence must not spoil its neighbours: each by itself
                for job in batch:
                    self._answer([job])
                return
            pairs = [(batch[0], error)]
            _report(error)
        self.batches, self.sentences = self.batches + 1, self.sentences + len(batch)
        for job, answer in pairs:
            _deliver(job, answer)


def _deliver(job: Job, answer: Any) -> None:
    with suppress(InvalidStateError):  # it has been abandoned
        if isinstance(answer, Exception):
            job.future.set_exception(answer)
        else:
            job.future.set_result(answer)


def _report(error: Exception) -> None:
    """Where it went wrong, without the message: that may quote a user's text."""
    log.error("a sentence failed with %s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
