"""The explorer, live: one page, and one door to which it sends an input and gets back the trace of what the model did.

It is meant for the person at this machine. So it listens here alone, its address holds a token that no other page can
know, requests that come under a foreign name are refused (a foreign page can make its own name mean this
machine), and one model is asked at a time.
"""

import asyncio
import base64
import binascii
import ipaddress
import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from allyouneed.errors import UserError
from allyouneed.serving.limits import Refusal, check_content_type, read_body
from allyouneed.tracing.explorer import bundle, policy

log = logging.getLogger("allyouneed.serving")

MAX_BODY = 24 << 20  # bytes of a request: an image of 16 MB in base64 and what is around it
WAITING = 4  # requests that may wait for the one that is looked at
PATIENCE = 30.0  # seconds for a body to arrive
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


class Looker(NamedTuple):
    """A run, as the page asks it: `look(input, **options)` gives a trace; the card is told to the page.

    A card has name, task, takes (text or image), says (a sentence on what to give), example, limit (characters of a
    text, bytes of an image), accept (types of files), and options: each a number with name, title, value, least,
    most and step.
    """

    look: Callable[..., Any]
    card: Mapping[str, Any]


class LookRequest(BaseModel):
    """The body of `POST api/look`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    run: int = Field(0, ge=0)
    input: str | None = None
    image: str | None = Field(None, description="A file's bytes in base64.")
    name: str = Field("", max_length=200, description="The file's name.")
    options: dict[str, float | int] = Field({}, max_length=20)


class Explorer:
    """What the doors share. `show(live)` makes the page; `live` tells it where and what it may ask."""

    def __init__(
        self, lookers: Sequence[Looker], show: Callable[[dict[str, Any] | None], str], host: str = "127.0.0.1"
    ):
        self.lookers, self.host = lookers, host
        self.token = secrets.token_urlsafe(18)
        live = {"url": "api/look", "runs": [dict(looker.card) for looker in lookers]} if lookers else None
        self.page = show(live)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="looker")
        self.asked = 0  # requests that are looked at or wait

    async def root(self, request: Request) -> Response:
        self._admit(request)
        rules = policy(bundle(), bool(self.lookers)) + "; frame-ancestors 'none'"
        return HTMLResponse(self.page, headers={**HEADERS, "Content-Security-Policy": rules})

    async def slash(self, request: Request) -> Response:
        """Addresses on the page are relative to the slash."""
        self._admit(request)
        return RedirectResponse(f"/{self.token}/", 308)

    async def look(self, request: Request) -> Response:
        self._admit(request)
        check_content_type(request.headers.get("content-type", ""))
        declared = request.headers.get("content-length")
        asked = _parse(await read_body(request.stream(), declared, MAX_BODY, PATIENCE))
        look, given, options = self._understood(asked)
        if self.asked > WAITING:
            raise Refusal(429, "the model is busy with other inputs; try again in a moment", {"Retry-After": "1"})
        self.asked += 1
        try:
            content = await asyncio.get_running_loop().run_in_executor(
                self.thread, lambda: look(given, **options).to_bytes()
            )
        except UserError as error:
            raise Refusal(422, str(error)) from None
        finally:
            self.asked -= 1
        return Response(content, media_type="application/octet-stream", headers=HEADERS)

    def _understood(self, asked: LookRequest) -> tuple[Callable[..., Any], str | bytes, dict[str, Any]]:
        if asked.run >= len(self.lookers):
            raise Refusal(422, f"there is no run {asked.run}; the page has {len(self.lookers)}, counted from 0")
        looker = self.lookers[asked.run]
        takes = looker.card["takes"]
        given = asked.input if takes == "text" else asked.image
        if given is None:
            raise Refusal(422, f"this model takes {takes}, and the request holds none")
        options = _checked(asked.options, looker.card["options"])
        limit = looker.card["limit"]
        content = given if takes == "text" else _decoded(given)
        if len(content) > limit:
            unit = "characters" if takes == "text" else "bytes"
            raise Refusal(422, f"the input is {len(content):,} {unit} long, and at most {limit:,} are looked at")
        return looker.look, content, options if takes == "text" else {**options, "name": asked.name}

    def _admit(self, request: Request) -> None:
        """Refuses who came under a foreign name, from a foreign page, or without the token."""
        host = request.headers.get("host", "")
        if not _is_own(host, self.host):
            raise Refusal(403, "this address is not the server's own; open the one that it printed")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refusal(403, "another page may not ask here; open the address that the server printed")
        if not secrets.compare_digest(request.path_params.get("token", "").encode(), self.token.encode()):
            raise Refusal(404, "there is nothing here; open the whole address that the server printed")


def _is_own(host: str, given: str) -> bool:
    """A number is no name that someone else could point here; of names, this machine's and the one that was given."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that hold no address
        return False
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return name in {"localhost", given.lower()}


def _parse(body: bytes) -> LookRequest:
    try:
        return LookRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refusal(400, "the body is not JSON") from None
        place = ".".join(str(part) for part in first["loc"][:2])[:60]
        raise Refusal(422, f"the request is not understood: {place or 'body'}: {first['msg']}") from None


def _checked(given: Mapping[str, float | int], known: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    """The options, each within its range; whole numbers where the steps are whole."""
    options: dict[str, float | int] = {}
    for name, value in given.items():
        option = next((option for option in known if option["name"] == name), None)
        if option is None:
            raise Refusal(
                422, f"there is no option {name[:40]!r}; there are {', '.join(o['name'] for o in known) or 'none'}"
            )
        if not option["least"] <= value <= option["most"]:
            raise Refusal(422, f"{name} may be from {option['least']} to {option['most']}, and {value} was asked for")
        options[name] = round(value) if isinstance(option["step"], int) else float(value)
    return options


def _decoded(image: str) -> bytes:
    try:
        return base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, "the image is not base64") from None


def create_explorer(explorer: Explorer) -> FastAPI:
    """The application: the page, and the door that it asks."""
    app = FastAPI(title="allyouneed explore", docs_url=None, redoc_url=None, openapi_url=None)
    app.get("/{token}/")(_door(explorer.root))
    app.post("/{token}/api/look")(_door(explorer.look))
    app.get("/favicon.ico")(_nothing)
    app.get("/{token}")(_door(explorer.slash))
    app.add_exception_handler(HTTPException, _no_such_door)
    return app


def _door(serve: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def door(request: Request) -> Response:
        try:
            return await serve(request)
        except Refusal as refusal:
            return JSONResponse({"error": refusal.sentence}, refusal.status, {**HEADERS, **refusal.headers})
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("looking failed with %s\n%s", type(error).__name__, where)  # its message may quote the input
            return JSONResponse({"error": "the model failed on this input; the server's log says where"}, 500, HEADERS)

    return door


async def _nothing(request: Request) -> Response:
    return Response(status_code=204)


async def _no_such_door(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "there is nothing here"}, getattr(error, "status_code", 404), HEADERS)
