"""Settings: typed groups read from YAML and changed by ``--set group.key=value``.

A group is a ``Settings`` class or the small frozen dataclass of a model's numbers; groups nest.
Nothing here loads torch, so that ``--help`` answers at once.
"""

import dataclasses
import difflib
import re
import textwrap
import types
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, to_jsonable_python

from allyouneed.errors import UserError

STRICT = ConfigDict(extra="forbid", frozen=True, validate_assignment=True, allow_inf_nan=False)


class Settings(BaseModel):
    """A frozen group of settings; unknown keys, infinities and truth values for numbers are refused."""

    model_config = STRICT

    @field_validator("*", mode="before")
    @classmethod
    def _read_as_meant(cls, value: Any, info: ValidationInfo) -> Any:
        return _as_meant(value, cls.model_fields[info.field_name or ""].annotation)


S = TypeVar("S", bound=Settings)


class Description(NamedTuple):
    """One setting for the help page; of an instance, the default is its value."""

    key: str
    type: str
    default: Any
    explanation: str


class _Field(NamedTuple):
    annotation: Any
    limits: tuple[Any, ...]
    default: Any
    explanation: str


def override(settings: S, assignments: Sequence[str]) -> S:
    """``override(s, ["model.dim=64"])``: a copy with these values, checked together, or a UserError.

    A value is read as YAML; where a text is wanted and YAML sees something else (``no``), the text is kept.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"--set takes key=value, as in model.dim=64, but got {assignment!r}")
        field, place = _find(settings, key), changes
        *groups, leaf = key.split(".")
        for name in groups:
            place = place.setdefault(name, {})
        place[leaf] = _value(key, text.strip(), field)
    changed: S = _rebuild(settings, changes, "")
    return changed


def from_yaml(cls: type[S], path: str | Path) -> S:
    """The settings in a YAML file (defaults for what it leaves out), or a UserError with file and key."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the settings file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a settings file: it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{path} should hold settings as `key: value` lines, but it holds {_shown(content)}")
    try:
        return cls.model_validate(content or {})
    except ValidationError as error:
        raise UserError(f"{path}: {_complaint(cls, error.errors()[0])}") from None


def to_yaml(settings: Settings) -> str:
    """The settings as YAML text that ``from_yaml`` reads back to an equal object."""
    return yaml.safe_dump(_plain(settings), sort_keys=False, allow_unicode=True)


def describe(settings: type[Settings] | Settings) -> list[Description]:
    """Every setting with dotted key, type, default and explanation, in the order of declaration."""
    return list(_describe(settings, ""))


def difference(old: Settings, new: Settings, ignore: Collection[str] = ()) -> list[str]:
    """The settings that differ, each as ``model.dim (was 64, now 128)``; keys in ``ignore`` may differ."""
    before, after = ({row.key: row.default for row in describe(side)} for side in (old, new))
    pairs = [(key, before.get(key, "absent"), after.get(key, "absent")) for key in {**before, **after}]
    changed = [pair for pair in pairs if pair[1] != pair[2] and pair[0] not in ignore]
    return [f"{key} (was {_shown(a)}, now {_shown(b)})" for key, a, b in changed]


def parse_duration(text: str) -> float:
    """Seconds in ``90s``, ``40m``, ``1h30m``, ``2d`` or ``2400``; UserError on any other form."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    number = r"(\d+(?:\.\d+)?)"
    compact = re.sub(r"\s+", "", text.lower())
    compact += "s" if re.fullmatch(number, compact, re.ASCII) else ""
    match = re.fullmatch("".join(f"(?:{number}{unit})?" for unit in units), compact, re.ASCII)
    parts = match.groups("0") if match else ()
    seconds = sum(float(part) * unit for part, unit in zip(parts, units.values(), strict=False))
    if not 0 < seconds < float("inf"):
        raise UserError(f"{text!r} is not a length of time; write 90s, 40m, 1h30m, or a number of seconds")
    return seconds


def _fields(group: Any) -> dict[str, _Field]:
    """The fields of a group (class or instance); an instance's values stand as defaults."""
    cls: Any = group if isinstance(group, type) else type(group)
    if issubclass(cls, BaseModel):
        found = {
            name: _Field(f.annotation, tuple(f.metadata), _default(f), f.description or "")
            for name, f in cls.model_fields.items()
        }
    else:
        hints = get_type_hints(cls, include_extras=True)
        found = {
            f.name: _Field(hints[f.name], (), _default(f), str(f.metadata.get("description", "")))
            for f in dataclasses.fields(cls)
            if f.init
        }
    if not isinstance(group, type):
        found = {name: field._replace(default=getattr(group, name)) for name, field in found.items()}
    return found


def _default(field: Any) -> Any:
    if not isinstance(field, dataclasses.Field):
        return "required" if field.is_required() else field.get_default(call_default_factory=True)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "required" if field.default is dataclasses.MISSING else field.default


def _is_group(value: Any) -> bool:
    cls = value if isinstance(value, type) else type(value)
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel)


def _group(field: _Field) -> Any:
    """The group (an instance where there is one, or its class) behind a field, or None for a plain value."""
    options = (field.default, field.annotation, *get_args(field.annotation))
    return next((option for option in options if _is_group(option)), None)


def _describe(group: Any, prefix: str) -> Iterator[Description]:
    for name, field in _fields(group).items():
        if (inner := _group(field)) is not None:
            yield from _describe(inner, f"{prefix}{name}.")
        else:
            kind = _kind(field.annotation, field.limits)
            yield Description(prefix + name, kind, field.default, field.explanation)


def _find(root: Any, key: str) -> _Field:
    """The field behind a dotted key; UserError where there is none or where it is a whole group."""
    group = root
    for name in (names := key.split(".")):
        fields = _fields(group) if group is not None else {}
        if name not in fields:
            raise UserError(_unknown(root, names))
        field, group = fields[name], _group(fields[name])
    if group is not None:
        raise UserError(f"{key!r} is a group; set one of its settings: {', '.join(_fields(group))}")
    return field


def _plain(value: Any) -> Any:
    if not _is_group(value):
        return to_jsonable_python(value)
    return {name: _plain(field.default) for name, field in _fields(value).items()}


def _rebuild(group: Any, changes: dict[str, Any], prefix: str) -> Any:
    """The group with its changes, validated as a whole so that rules between fields see the final values."""
    values: dict[str, Any] = {}
    for name, field in _fields(group).items():
        values[name] = changes.get(name, field.default)
        if name in changes and (start := _group(field)) is not None:
            start = start() if isinstance(start, type) else start
            values[name] = _rebuild(start, changes[name], f"{prefix}{name}.")
    try:
        return TypeAdapter(type(group)).validate_python(values)
    except ValidationError as error:
        raise UserError(_complaint(type(group), error.errors()[0], prefix)) from None


def _as_meant(value: Any, annotation: Any) -> Any:
    """Undo surprises of YAML: ``on`` is True where a number is wanted, ``1e-3`` and ``none`` are texts."""
    if value in ("none", "None") and _takes(annotation, types.NoneType):
        return None
    number = _takes(annotation, int) or _takes(annotation, float)
    if isinstance(value, bool) and number and not _takes(annotation, bool):
        raise ValueError("a truth value stands where a number is wanted")
    if isinstance(value, str) and not _takes(annotation, str):
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _takes(annotation: Any, kind: type) -> bool:
    if get_origin(annotation) is Literal:
        return any(isinstance(choice, kind) for choice in get_args(annotation))
    return annotation in (kind, Any) or any(_takes(part, kind) for part in get_args(annotation))


def _value(key: str, text: str, field: _Field) -> Any:
    """The first reading of the text that the field accepts: as YAML, or as it stands."""
    try:
        readings = [yaml.safe_load(text), text]
    except yaml.YAMLError:
        readings = [text]
    wanted: Any = Annotated[(field.annotation, *field.limits)] if field.limits else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(wanted, config=STRICT)
    for reading in readings:
        try:
            return adapter.validate_python(_as_meant(reading, field.annotation))
        except ValueError:  # pydantic's ValidationError is one
            continue
    raise UserError(f"{key}={text} is not allowed; {key} takes {_kind(field.annotation, field.limits)}")


def _kind(annotation: Any, limits: tuple[Any, ...] = ()) -> str:
    """What a field accepts, in words: ``whole number >= 1``."""
    parts, origin = get_args(annotation), get_origin(annotation)
    if origin is Annotated:
        return _kind(parts[0], (*parts[1:], *limits))
    if origin is Literal:
        return "one of " + ", ".join(map(str, parts))
    if origin in (Union, types.UnionType):
        return " or ".join("null" if part is types.NoneType else _kind(part, limits) for part in parts)
    if origin in (list, tuple, set):
        return "list of " + _kind(parts[0])
    words = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}
    name = words.get(annotation) or getattr(annotation, "__name__", str(annotation))
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    bounds = [f"{sign} {getattr(m, a)}" for m in limits for a, sign in signs.items() if hasattr(m, a)]
    return f"{name} {' and '.join(bounds)}".strip()


def _near(name: str, names: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, 1)), None)  # an exact match comes first


def _unknown(root: Any, names: Sequence[str]) -> str:
    """The sentence for a key that does not exist: what was probably meant, and what its group holds."""
    group, owner = root, ""
    for name in names[:-1]:
        inner = {key: deep for key, field in _fields(group).items() if (deep := _group(field)) is not None}
        if (near := _near(name, inner)) is None:
            break
        group, owner = inner[near], f"{owner}{near}."
    leaf = _near(names[-1], _fields(group))
    elsewhere = [row.key for row in _describe(root, "") if row.key.split(".")[-1] == names[-1]]
    meant = owner + leaf if leaf else next(iter(elsewhere), None)
    hint = f"; did you mean {meant!r}?" if meant else "."
    place = f"Settings of {owner[:-1]}" if owner else "Settings at the top"
    return f"unknown setting {'.'.join(names)!r}{hint} {place}: {', '.join(_fields(group))}"


def _complaint(cls: Any, error: ErrorDetails, prefix: str = "") -> str:
    names = [str(part) for part in error["loc"]]
    key = prefix + ".".join(names)
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return _unknown(cls, names)
    if error["type"] in ("missing", "missing_argument"):
        return f"{key} is missing and has no default"
    reason = error["msg"].removeprefix("Value error, ")
    try:
        field = _find(cls, ".".join(names)) if names else None
    except UserError:
        field = None
    if field is None or error["type"] == "value_error":
        return f"{key.rstrip('.')}: {reason}" if key else reason
    return f"{key}: {_shown(error['input'])} is not allowed; it takes {_kind(field.annotation, field.limits)}"


def _shown(value: Any) -> str:
    return textwrap.shorten("null" if value is None else str(value), 60, placeholder="...")
