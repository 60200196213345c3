"""What a recorder has kept of a model at work: references to what went in and came out; maps are made on demand."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.nn.reversible import runs_again
from allyouneed.nn.shown import Shown
from allyouneed.tracing.trace import Trace


class Look(NamedTuple):
    """What one call of an `attend` was given and what it gave, detached."""

    module: Any  # offers weights(q, k, mask)
    q: Tensor  # b h n k
    k: Tensor  # b h m k
    mask: Tensor | None  # broadcasts to b h n m, True where looking is allowed; the module may have rules beside it
    v: Tensor | None = None  # b h m k
    output: Tensor | None = None  # b h n k, or what the module's `finish` makes of it
    run: int = -1  # which of the recording's runs it belongs to
    crossing: bool | None = None  # whether queries and keys are of two texts; None: to be told by where it stands
    place: int = 0  # its number among all that was recorded

    def weights(self) -> Tensor:  # b h n m
        made: Tensor = self.module.weights(self.q, self.k, self.mask)
        return made

    def visible(self) -> Tensor:  # b|1 h|1 n m
        """Asks the module, which may make masks of its own. Of one that has no answer: a zero query likes all keys
        alike, so the cells to which it gives weight are those that may be seen."""
        if callable(getattr(self.module, "visible", None)):
            seen: Tensor = self.module.visible(self.q, self.k, self.mask)
            return seen
        return self._replace(q=torch.zeros_like(self.q)).weights() > 0

    def of(self, item: int) -> "Look":
        """The same for one of the batch, which stays an axis."""
        return Look(*(_row(field, item, self.q.shape[0]) for field in self))


class Call(NamedTuple):
    """A call of a part that has a method `show` (`nn/shown.py`)."""

    module: Any
    given: tuple[Any, ...]
    output: Any
    run: int
    place: int
    precision: tuple[str, torch.dtype, bool]  # of autocast: device, type, whether it was on

    def shown(self) -> list[Shown]:
        device, dtype, enabled = self.precision
        with torch.no_grad(), torch.autocast(device, dtype, enabled):
            made: list[Shown] = self.module.show(*self.given)
        return made

    def of(self, item: int) -> "Call":
        batch = self.given[0].shape[0]
        return self._replace(given=_row(self.given, item, batch), output=_row(self.output, item, batch))


class Run(NamedTuple):
    """The model was called: a whole forward pass, the start of decoding (`init_cache`), or a step of it."""

    kind: str  # forward, start, step
    inputs: tuple[Tensor, ...]  # token ids b n, or images b c y x


class Recording:
    """What was seen, by the module's name. A module called again (`Repeat`, decoding) has `#2`, `#3` ... at its name."""

    def __init__(self, model: nn.Module, own: bool = True) -> None:
        self.model, self.own = model, own  # made of this library's parts, or of others
        self.looks: dict[str, Look] = {}
        self.calls: dict[str, Call] = {}
        self.runs: list[Run] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._thread, self._deaf = threading.get_ident(), False

    # ---- listening

    @property
    def listening(self) -> bool:
        """Not to other threads, whose inputs are somebody else's; nor to what a backward pass or a trace runs again."""
        return not self._deaf and threading.get_ident() == self._thread and not runs_again()

    @contextmanager
    def deaf(self) -> Iterator[None]:
        before, self._deaf = self._deaf, True
        try:
            yield
        finally:
            self._deaf = before

    def close(self) -> None:
        self._deaf = True

    def begin(self, kind: str, given: tuple[Any, ...]) -> None:
        self.runs.append(Run(kind, tuple(x.detach() for x in given if isinstance(x, Tensor) and _is_input(x))))

    def keep(self, name: str, look: Look) -> None:
        self.looks[self._called("look", name)] = look._replace(run=len(self.runs) - 1, place=self._place())

    def keep_call(self, name: str, module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        device = given[0].device.type
        precision = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        call = Call(module, detached(given), detached(output), len(self.runs) - 1, self._place(), precision)
        self.calls[self._called("call", name)] = call

    def _place(self) -> int:
        return len(self.looks) + len(self.calls)

    def _called(self, kind: str, name: str) -> str:
        self._counts[kind, name] += 1
        count = self._counts[kind, name]
        return name if count == 1 else f"{name}#{count}"

    # ---- answers

    def maps(self) -> dict[str, Tensor]:
        """Attention maps b h n m, made now. Rows sum to one, or to zero where nothing may be seen."""
        with torch.no_grad(), self.deaf():
            return {name: look.weights() for name, look in self.seen().items()}

    def visible(self) -> dict[str, Tensor]:
        """Which cells of each map may be looked at, b h n m, causal masks included: masked is not the same as zero."""
        with torch.no_grad(), self.deaf():
            return {
                name: look.visible().expand(*look.q.shape[:3], look.k.shape[2]) for name, look in self.seen().items()
            }

    def seen(self) -> dict[str, Look]:
        """The recorded attention; an error if there is none, so that nobody takes an empty result for an answer."""
        if not self.looks:
            raise UserError(self._nothing())
        return self.looks

    def _nothing(self) -> str:
        if self.own:
            return (
                "nothing was recorded: no attention of the recorded model ran, or it ran in another thread or inside "
                "torch.compile, where hooks do not fire; call the model itself, uncompiled, inside `with record(model)`"
            )
        return (
            f"there is nothing to record in {type(self.model).__name__}: none of its modules has a method "
            "`weights(q, k, mask)`, as allyouneed's `Attend` has, and none of them called torch's functions of "
            "attention inside `with record(model)`"
        )

    def check(self) -> None:
        """An error if there is nothing at all."""
        if not self.calls:
            self.seen()

    def trace(self, item: int = 0, **labels: Any) -> Trace:
        """What was seen of one of the batch, as a trace: `trace(source=pieces, target=pieces)`.

        Labels go by space: `source`, `target` (what was written), `read` (what the decoder read) for translators,
        `tokens` or `patches` for others; each is a list of strings or a `Space`, and numbers stand where none are
        given. Parts that `show` more than they look run once more for it, under their own hooks too. UserError if
        labels and lengths differ, or if the steps of a beam search cannot be put together.
        """
        from allyouneed.tracing.collect import trace_of

        self.check()
        with torch.no_grad(), self.deaf():
            return trace_of(self, labels, item)

    def save(self, path: str | Path, item: int = 0, **labels: Any) -> Path:
        """Writes the trace to a file."""
        return self.trace(item, **labels).save(path)

    def show(self, item: int = 0, **labels: Any) -> Any:
        """The explorer in a notebook."""
        return self.trace(item, **labels).show()

    def plot(self, *what: Any, **options: Any) -> str:
        """A picture of the first of the batch, with numbers for labels; see `Trace.plot`."""
        return self.trace().plot(*what, **options)


def _is_input(x: Tensor) -> bool:
    return (x.dim() == 2 and not x.is_floating_point() and x.dtype != torch.bool) or x.dim() == 4


def detached(x: Any) -> Any:
    """Tensors without their graph, inside tuples too; what is no tensor stays as it is."""
    if isinstance(x, Tensor):
        return x.detach()
    return _rebuilt(x, [detached(part) for part in x]) if isinstance(x, tuple) else x


def _row(x: Any, item: int, batch: int) -> Any:
    """One of the batch of all tensors that have one."""
    if isinstance(x, Tensor):
        return x[item : item + 1] if x.dim() and x.shape[0] == batch else x
    return _rebuilt(x, [_row(part, item, batch) for part in x]) if isinstance(x, tuple) else x


def _rebuilt(like: Any, parts: list[Any]) -> Any:
    return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
