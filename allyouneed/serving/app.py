"""The web application: `POST /translate`, `GET /health`, `GET /model`. An opened run is passed in."""

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from allyouneed.errors import UserError
from allyouneed.serving.batching import Batcher, Closed, Options, QueueFull
from allyouneed.serving.limits import (
    Refusal,
    TranslateRequest,
    check,
    check_content_type,
    parse,
    read_body,
)
from allyouneed.serving.run import ServedRun
from allyouneed.serving.settings import ServingSettings

log = logging.getLogger("allyouneed.serving")
DOORS = "POST /translate, GET /health, GET /model"
Pending = dict["asyncio.Future[Any]", int]  # -> the sentence's place in its request


class Service:
    """What the endpoints share: the queue to the model and the limits."""

    def __init__(self, run: Any, settings: ServingSettings):
        self.settings, self.run = settings, ServedRun(run, settings)
        self.batcher = Batcher(self.run, settings.max_batch, settings.max_wait, settings.max_queue)
        self.requests = 0  # being served now

    async def translate(self, request: Request) -> Response:
        if self.requests >= self.settings.max_requests:
            raise _busy("requests")
        self.requests += 1
        try:
            return await self._translate(request)
        finally:
            self.requests -= 1

    async def _translate(self, request: Request) -> Response:
        settings, deadline = self.settings, asyncio.get_running_loop().time() + self.settings.timeout
        check_content_type(request.headers.get("content-type", ""))
        declared = request.headers.get("content-length")
        asked = parse(await read_body(request.stream(), declared, settings.max_body, settings.timeout))
        check(asked, settings)
        pending: Pending = {asyncio.wrap_future(future): row for row, future in enumerate(self._submit(asked))}
        if asked.stream:
            return StreamingResponse(_lines(pending, asked, deadline), media_type="application/x-ndjson")
        found = await _all(pending, asked, deadline, request)
        if isinstance(asked.text, str):
            return JSONResponse({"translation": found[0]})
        return JSONResponse({"translations": found})

    def _submit(self, asked: TranslateRequest) -> "list[Future[Any]]":
        options = Options(asked.beam, asked.length_penalty, asked.n_best)
        try:
            return self.batcher.submit(asked.sentences, asked.prefix or "", options)
        except QueueFull:
            raise _busy("sentences") from None
        except Closed:
            raise Refusal(503, "the server is stopping and takes nothing new", {"Connection": "close"}) from None

    async def health(self, request: Request) -> Response:
        batcher = self.batcher
        status = "stopping" if batcher.closed else "ok" if batcher.alive else "the translating thread has ended"
        counts = {"waiting": batcher.unfinished, "sentences": batcher.sentences, "batches": batcher.batches}
        return JSONResponse({"status": status, **counts}, 200 if status == "ok" else 503)

    async def model(self, request: Request) -> Response:
        return JSONResponse({**self.run.card, "limits": self.settings.model_dump()})


def _busy(what: str) -> Refusal:
    return Refusal(429, f"too many {what} are waiting; try again in a second", {"Retry-After": "1"})


async def _all(pending: Pending, asked: TranslateRequest, deadline: float, request: Request) -> list[Any]:
    """The answers in order; the first failure, the deadline or the client's leaving ends the wait for all."""
    everything: asyncio.Future[list[Any]] = asyncio.gather(*pending)
    gone: asyncio.Future[None] = asyncio.ensure_future(_until_gone(request))
    first: list[asyncio.Future[Any]] = [everything, gone]
    left = deadline - asyncio.get_running_loop().time()
    try:
        await asyncio.wait(first, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if everything.done() and not everything.exception():
            return [_shown(answer, asked) for answer in everything.result()]
        failed = next(((row, f.exception()) for f, row in pending.items() if f.done() and f.exception()), None)
        if failed:
            raise _refusal(*failed, asked)
        raise ClientDisconnect if gone.done() else _too_late()
    finally:
        _drop([*first, *pending])


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _lines(pending: Pending, asked: TranslateRequest, deadline: float) -> AsyncIterator[str]:
    """A line of JSON for each sentence, as soon as it is ready: its index from 0, and its translation or error."""
    waiting = set(pending)
    try:
        while waiting:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            late: set[Any] = set() if done else waiting
            for future in sorted(done or late, key=pending.__getitem__):
                row = pending[future]
                error = _too_late() if late else future.exception()
                told = {"error": _refusal(row, error, asked).sentence} if error else {}
                told = told or {"translation": _shown(future.result(), asked)}
                yield json.dumps({"index": row, **told}, ensure_ascii=False) + "\n"
            waiting = waiting - late
    finally:
        _drop(pending)


def _drop(futures: Any) -> None:
    """Those not ready are given up, and give up their places in the queue; the others' errors count as seen."""
    for future in futures:
        future.cancel()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


def _shown(found: Sequence[Any], asked: TranslateRequest) -> Any:
    """A sentence's translations as the client asked for them; those of an empty sentence are empty."""
    shown: list[Any] = [{"text": t.text, "score": t.score} if asked.scores else t.text for t in found]
    if asked.n_best > 1:
        return shown
    return shown[0] if shown else ({"text": "", "score": 0.0} if asked.scores else "")


def _too_late() -> Refusal:
    return Refusal(504, "the translation was not ready in time; send less at once, or try again later")


def _refusal(row: int, error: BaseException | None, asked: TranslateRequest) -> Refusal:
    """A sentence's failure as the request's."""
    where = "" if isinstance(asked.text, str) else f"sentence {row + 1}: "
    if isinstance(error, Refusal):
        return Refusal(error.status, where + error.sentence)
    if isinstance(error, UserError):
        return Refusal(422, where + str(error))
    if isinstance(error, Closed):
        return Refusal(503, "the server stopped before the translation was ready", {"Connection": "close"})
    return Refusal(500, where + "the translation failed; the server's log says where")


def create_app(run: Any, settings: ServingSettings | None = None) -> FastAPI:
    """The application. `run` is an opened run, or anything with its `n_best`; only the batcher's thread calls it."""
    service = Service(run, settings or ServingSettings())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        service.batcher.close()
        await asyncio.to_thread(service.batcher.join, 1.0)

    # No /docs: that page loads its scripts from a foreign host. /openapi.json says the same.
    app = FastAPI(title="allyouneed", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = service
    body = {"required": True, "content": {"application/json": {"schema": TranslateRequest.model_json_schema()}}}
    app.post("/translate", openapi_extra={"requestBody": body})(_endpoint(service.translate))
    app.get("/health")(_endpoint(service.health))
    app.get("/model")(_endpoint(service.model))
    app.add_exception_handler(HTTPException, _no_such_door)
    return app


def _endpoint(serve: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await serve(request)
        except Refusal as refusal:
            return JSONResponse({"error": refusal.sentence}, refusal.status, refusal.headers)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("a request failed with %s\n%s", type(error).__name__, where)  # its message may quote a text
            return JSONResponse({"error": "the server failed; its log says where"}, 500)

    return endpoint


async def _no_such_door(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    sentence = f"there is no {request.method} {request.url.path[:80]}; there are {DOORS}"
    return JSONResponse({"error": sentence}, status, getattr(error, "headers", None))
