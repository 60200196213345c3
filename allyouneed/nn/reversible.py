"""Reversible layers: a stack whose memory does not grow with its depth (Gomez et al. 2017; Reformer, section 3).

Two streams run side by side, and each layer adds a function of the one to the other: y1 = x1 + f(x2), y2 = x2 + g(y1).
So inputs follow from outputs, x2 = y2 - g(y1), x1 = y1 - f(x2): the backward pass makes them again, layer by layer, and
only the last outputs are kept.

A layer that runs a second time must do what it did the first time. Chance (dropout, rotations) is replayed by putting
back the state of the random generators. What is decided by comparison (LSH buckets) could tip over where inputs come
back with another rounding: it is remembered, through `once`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import local
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from allyouneed.nn.dropout import Dropout
from allyouneed.nn.layer import Context, Layer
from allyouneed.nn.stack import Stack


class Tape:
    """What `once` made while a layer ran, in order, for its second run."""

    def __init__(self) -> None:
        self.made: list[Tensor] = []
        self.place: int | None = None  # of the next to be read; None: the first run, which writes


class _Running(local):
    tape: Tape | None = None


_running = _Running()


def once(make: Callable[[], Tensor]) -> Tensor:
    """The tensor that `make` gives; in the second run of a reversible layer the one it gave in the first."""
    if torch.compiler.is_compiling() or _running.tape is None:
        return make()
    tape = _running.tape
    if tape.place is None:
        tape.made.append(make())
        return tape.made[-1]
    tape.place += 1
    return tape.made[tape.place - 1]


def runs_again() -> bool:
    """Whether a reversible layer runs for the second time, in the backward pass."""
    return _running.tape is not None and _running.tape.place is not None


@contextmanager
def _on(tape: Tape) -> Iterator[None]:
    before, _running.tape = _running.tape, tape
    try:
        yield
    finally:
        _running.tape = before


class Generators(NamedTuple):
    """The state of the random generators that a layer on a device may draw from."""

    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> "Generators":
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    def put_back(self, device: torch.device) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, device)


class Inside(Layer):
    """dropout(layer(norm(x))), what a reversible layer adds. The norm sits inside: one outside could not be undone."""

    def __init__(self, layer: Layer, norm: nn.Module, dropout: float = 0.0):
        super().__init__()
        self.layer = layer
        self.norm = norm
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n d
        return self.dropout(self.layer(self.norm(x), context))

    def init_cache(self, x: Tensor, context: Context) -> Any:
        return self.layer.init_cache(x, context)

    def step(self, x: Tensor, cache: Any, context: Context) -> tuple[Tensor, Any]:
        return self.layer.step(self.norm(x), cache, context)


class ReversibleStack(Stack):
    """A stack of `Inside` layers over two streams, which both start as x: `b n d -> b n 2d`, the streams side by side.

    The layers take turns: the first adds to the first stream what it makes of the second, the next the other way round.
    """

    def forward(self, x: Tensor, context: Context) -> Tensor:  # b n d -> b n 2d
        layers = list(self.layers.values())
        learning = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if learning and (x.requires_grad or any(p.requires_grad for p in self.parameters())):
            return _Reversible.apply(x, context, layers, *_weights(layers))
        return run_both_streams(x, context, layers)

    def step(self, x: Tensor, cache: tuple[Any, ...], context: Context) -> tuple[Tensor, tuple[Any, ...]]:
        caches, streams = [], (x, x)
        for layer, past in zip(self.layers.values(), cache, strict=True):
            seen, past = layer.step(streams[1], past, context)  # type: ignore[operator]
            streams = streams[1], streams[0] + seen
            caches.append(past)
        return _side_by_side(*streams, len(caches)), tuple(caches)


def run_both_streams(x: Tensor, context: Context, layers: Sequence[nn.Module]) -> Tensor:  # b n d -> b n 2d
    """The plain twin: ordinary autograd, which keeps everything."""
    next_up, other = x, x
    for layer in layers:
        next_up, other = other, next_up + layer(other, context)
    return _side_by_side(next_up, other, len(layers))


def _side_by_side(next_up: Tensor, other: Tensor, layers: int) -> Tensor:
    """The first stream first, which is the next to be added to after an even number of layers."""
    return torch.cat([other, next_up] if layers % 2 else [next_up, other], dim=-1)


def _weights(layers: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Those that learn, each once."""
    return list({id(p): p for layer in layers for p in layer.parameters() if p.requires_grad}.values())


class _Precision(NamedTuple):
    """How autocast stood; its cache stays off, or weights cast here without gradients would serve outside too."""

    device: str
    dtype: torch.dtype
    enabled: bool

    @classmethod
    def now(cls, device: str) -> "_Precision":
        return cls(device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))

    def again(self) -> torch.autocast:
        return torch.autocast(self.device, self.dtype, self.enabled, cache_enabled=False)


class _Reversible(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, context, layers, *weights):  # type: ignore[no-untyped-def, override]
        ctx.context, ctx.layers, ctx.weights = context, layers, weights
        ctx.precision, ctx.runs = _Precision.now(x.device.type), []
        next_up, other = x, x
        with ctx.precision.again():
            for layer in layers:
                tape = Tape()
                ctx.runs.append((Generators.now(x.device), tape))
                with _on(tape):
                    next_up, other = other, next_up + layer(other, context)
                # Copied now that the layer's own tensors are gone: what stays must not lie between them and hold their room.
                tape.made = [made.clone() for made in tape.made]
        out = _side_by_side(next_up, other, len(layers))
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def, override]
        """Undoes the layers from the last to the first; `a` is always the stream that the layer added to."""
        (out,) = ctx.saved_tensors
        streams, grads = list(out.chunk(2, -1)), list(grad.chunk(2, -1))
        found = {id(weight): torch.zeros_like(weight) for weight in ctx.weights}  # all at once, for the same reason
        before = Generators.now(out.device)
        for i in reversed(range(len(ctx.layers))):
            a, b = i % 2, 1 - i % 2
            own = _weights([ctx.layers[i]])
            added, (grad_b, *grad_own) = _again(ctx, i, streams[b], grads[a], own)
            streams[a] = streams[a] - added
            grads[b] = grads[b] + grad_b
            for weight, made in zip(own, grad_own, strict=True):
                if made is not None:
                    found[id(weight)] += made
        before.put_back(out.device)
        return (grads[0] + grads[1], None, None, *(found.get(id(weight)) for weight in ctx.weights))


def _again(ctx: Any, i: int, x: Tensor, grad: Tensor, weights: list[nn.Parameter]) -> tuple[Tensor, tuple[Any, ...]]:
    """Runs a layer a second time on `x`: what it adds, and the gradients to x and its weights."""
    generators, tape = ctx.runs[i]
    generators.put_back(x.device)
    tape.place = 0
    with torch.enable_grad(), ctx.precision.again(), _on(tape):
        x = x.detach().requires_grad_()
        added = ctx.layers[i](x, ctx.context)
    grads = torch.autograd.grad(added, [x, *weights], grad.to(added.dtype), allow_unused=True)
    return added.detach(), grads
