"""The door of the server: a body is read within limits, understood, and refused in one sentence where it must be."""

import asyncio
import difflib
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from allyouneed.serving.settings import ServingSettings

DISCARDED = 16 << 20  # bytes of a body over the limit that are read and dropped, so that its sender sees the answer


class Refusal(Exception):
    """A request that is not served: an HTTP status, and one sentence for the client."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None):
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}


class TranslateRequest(BaseModel):
    """The body of `POST /translate`. Strict: no truth values or texts for numbers, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    text: str | list[str] = Field(description="A sentence, or a list of sentences.")
    beam: int | None = Field(None, ge=1, description="Hypotheses kept; 1 is greedy search. None: as the run was made.")
    length_penalty: float | None = Field(None, ge=0, le=5, description="Alpha of the length penalty.")
    n_best: int = Field(1, ge=1, description="Translations of each sentence; more than one gives lists.")
    scores: bool = Field(False, description="Give each translation as an object with text and score.")
    prefix: str | None = Field(None, description="Words with which every translation begins.")
    stream: bool = Field(False, description="Answer with a line of JSON per sentence, as soon as it is ready.")

    @property
    def sentences(self) -> list[str]:
        return [self.text] if isinstance(self.text, str) else self.text


async def read_body(chunks: AsyncIterator[bytes], declared: str | None, limit: int, seconds: float) -> bytes:
    """The whole body. `declared` is the Content-Length header, which may be missing or wrong: the bytes count."""
    too_large = Refusal(413, f"the body is larger than {limit:,} bytes; send less in a request")
    if declared is not None and declared.isdigit() and int(declared) > limit + DISCARDED:
        raise too_large
    kept, size = bytearray(), 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                size += len(chunk)
                if size > limit + DISCARDED:
                    break
                if size <= limit:
                    kept += chunk
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {seconds:g} seconds") from None
    if size > limit:
        raise too_large
    return bytes(kept)


def check_content_type(value: str) -> None:
    """JSON must be called JSON: a foreign web page cannot send that to a local server without asking it first."""
    if value.split(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "send JSON with the header Content-Type: application/json")


def parse(body: bytes) -> TranslateRequest:
    """The request in a body; 400 for what is no JSON, 422 for JSON that asks for what there is not."""
    try:
        return TranslateRequest.model_validate_json(body)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        # A field that there is not says more than one that is missing: it may be that field, misspelt.
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        raise Refusal(400 if first["type"] == "json_invalid" else 422, _sentence(first)) from None


def _sentence(error: Any) -> str:
    """What is wrong, without the user's text in it."""
    kind, place, message = error["type"], error["loc"], error["msg"]
    if kind == "json_invalid":
        return f"the body is not JSON: {message.removeprefix('Invalid JSON: ')}"
    if not place:
        return 'the body must be a JSON object such as {"text": "Guten Morgen."}'
    if kind == "missing":
        return f"{place[0]} is missing; it is a string or a list of strings"
    if kind == "extra_forbidden":
        return _unknown(str(place[0]))
    if place[0] == "text":
        return "text must be a string or a list of strings"
    return f"{place[0]}: {message[:1].lower()}{message[1:]}"


def _unknown(name: str) -> str:
    fields = list(TranslateRequest.model_fields)
    near = difflib.get_close_matches(name, fields, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown field {name[:40]!r}{hint} Fields: {', '.join(fields)}"


def check(asked: TranslateRequest, settings: ServingSettings) -> None:
    """What can be refused without the model."""
    sentences = asked.sentences
    if len(sentences) > settings.max_sentences:
        raise Refusal(
            422, f"a request may hold {settings.max_sentences} sentences, and this one holds {len(sentences)}; split it"
        )
    for number, text in enumerate(sentences, 1):
        if len(text) > settings.max_characters:
            raise too_long(f"sentence {number}", len(text), settings.max_characters, "characters")
    if asked.prefix is not None and len(asked.prefix) > settings.max_characters:
        raise too_long("prefix", len(asked.prefix), settings.max_characters, "characters")
    for name, value in (("beam", asked.beam), ("n_best", asked.n_best)):
        if value is not None and value > settings.max_beam:
            raise Refusal(422, f"{name} may be at most {settings.max_beam} here, and {value} was asked for")


def too_long(what: str, size: int, limit: int, unit: str) -> Refusal:
    return Refusal(422, f"{what} is {size:,} {unit} long, and at most {limit:,} are served; split it")
