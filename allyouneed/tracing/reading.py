"""Of all that was recorded, one reading of one of the batch: the last forward pass, or steps of decoding put together."""

from collections import Counter
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from allyouneed.errors import UserError
from allyouneed.tracing.looks import Call, Look, Recording


class Reading(NamedTuple):
    """Looks and calls by name, in the order in which they ran, each with a batch of one."""

    looks: dict[str, Look]
    calls: dict[str, Call]
    inputs: tuple[Tensor, ...]  # ids 1 n, or an image 1 c y x
    notes: list[str]


def one_reading(seen: Recording, item: int) -> Reading:
    """UserError where there is no such item, or where the rows of the steps have changed places."""
    kinds = [run.kind for run in seen.runs]
    last = len(kinds) - 1
    if kinds and kinds[-1] == "step":
        begun = max((i for i, kind in enumerate(kinds) if kind == "start"), default=None)
        steps = range(begun + 1 if begun is not None else kinds.index("step"), last + 1)
        return _stepped(seen, begun, steps, item)
    first = last
    while first > 0 and _goes_on(_of_run(seen, first - 1), _of_run(seen, first)):
        first -= 1
    if first < last:  # what ran before them is the encoder, of as many rows
        before = _of_run(seen, -1)
        same = first == 0 and any(look.q.shape[0] == seen.runs[0].inputs[0].shape[0] for look in before.values())
        return _stepped(seen, -1 if same else None, range(first, last + 1), item)
    notes = [f"The model ran {len(kinds)} times; this is the last."] if len(kinds) > 1 else []
    looks = {name: _look_of(look, item) for name, look in seen.looks.items() if look.run == last}
    return Reading(looks, _calls(seen, last, item), _inputs(seen, last, item), notes)


def _look_of(look: Look, item: int) -> Look:
    _check(look.q.shape[0], item)
    cut = getattr(look.module, "of", None)  # a map that was kept is cut with its look
    return look.of(item)._replace(module=cut(item) if cut else look.module)


def _calls(seen: Recording, run: int, item: int) -> dict[str, Call]:
    calls = {name: call for name, call in seen.calls.items() if call.run == run}
    for call in calls.values():
        _check(call.given[0].shape[0], item)
    return {name: call.of(item) for name, call in calls.items()}


def _check(batch: int, item: int) -> None:
    if not 0 <= item < batch:
        raise UserError(f"the recorded batch has {batch} rows, counted from 0; there is no item {item}")


def _inputs(seen: Recording, run: int, item: int) -> tuple[Tensor, ...]:
    given = seen.runs[run].inputs if run >= 0 else ()
    return tuple(x[item : item + 1] for x in given if x.shape[0] > item)


def _goes_on(before: dict[str, Look], after: dict[str, Look]) -> bool:
    """Whether a run has more keys than the one before, and fewer queries: decoding with kept keys, as Hugging Face's."""
    return any(
        name in before and before[name].k.shape[2] < look.k.shape[2] and look.q.shape[2] < look.k.shape[2]
        for name, look in after.items()
    )


def _of_run(seen: Recording, run: int) -> dict[str, Look]:
    """By the name, and the number of its call in this run."""
    found: dict[str, Look] = {}
    calls: Counter[str] = Counter()
    for name, look in seen.looks.items():
        if look.run == run:
            name = name.split("#")[0]
            calls[name] += 1
            found[name if calls[name] == 1 else f"{name}#{calls[name]}"] = look
    return found


def _stepped(seen: Recording, begun: int | None, steps: range, item: int) -> Reading:
    found: dict[str, list[Look]] = {}
    for run in steps:
        for name, look in _of_run(seen, run).items():
            found.setdefault(name, []).append(look)
    start = -1 if begun is None else begun
    looks = {} if begun is None else {name: _look_of(look, item) for name, look in _of_run(seen, begun).items()}
    looks |= {name: _joined(name, parts, item, seen.runs[steps[0]].kind == "step") for name, parts in found.items()}
    notes = [f"Put together from {len(steps)} steps of decoding.", *_unseen(seen, looks)]
    return Reading(looks, _calls(seen, start, item), _inputs(seen, start, item), notes)


def _unseen(seen: Recording, looks: dict[str, Look]) -> list[str]:
    """A layer may decode in a way of its own, as those with windows do, in which no recorder sees it."""
    known = {name.split("#")[0] for name in looks}
    all_of_them = [name for name, module in seen.model.named_modules() if callable(getattr(module, "weights", None))]
    unseen = [name for name in all_of_them if name not in known]
    if not unseen:
        return []
    return [f"{len(unseen)} layers decode in a way that is not seen ({', '.join(unseen)}); record a forward pass."]


def _joined(name: str, parts: list[Look], item: int, single: bool) -> Look:
    """The rows of all steps over the keys of the last. Refused if what the steps remember is not one text: their keys
    differ, or there is more than a `single` query, which are hypotheses side by side."""
    if any(look.q.shape[0] <= item or (single and look.q.shape[2] != 1) for look in parts):
        raise _moved(name)
    parts = [_look_of(look, item) for look in parts]
    last, m = parts[-1], parts[-1].k.shape[2]
    if any(not torch.equal(look.k, last.k[:, :, : look.k.shape[2]]) for look in parts):
        raise _moved(name)
    if len(parts) == 1:
        return last
    seen = [look.visible().expand(1, -1, look.q.shape[2], look.k.shape[2])[:, :1] for look in parts]
    outputs = [look.output for look in parts if look.output is not None]
    return last._replace(
        q=torch.cat([look.q for look in parts], dim=2),
        mask=torch.cat([F.pad(rows, (0, m - rows.shape[-1])) for rows in seen], dim=2),
        output=torch.cat(outputs, dim=2) if len(outputs) == len(parts) else None,
    )


def _moved(name: str) -> UserError:
    return UserError(
        f"the recorded steps of decoding cannot be put together: at {name} rows changed places or stood side by side, as "
        "in a beam search; use `run.look(...)`, which follows one translation, or record one forward pass"
    )
