"""Recording from outside: hooks keep what went in and came out, and the maps are made when someone asks for them.

The fast kernel keeps running, so a model's outputs are bit-equal with and without a recorder.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any

import torch
from torch import nn

from allyouneed.errors import UserError
from allyouneed.tracing.looks import Look, Recording, detached

__all__ = ["Look", "Recording", "record"]


class _Here(threading.local):
    busy = False


_here = _Here()


@contextmanager
def record(model: nn.Module) -> Iterator[Recording]:
    """Records what runs in the block: `with record(model) as seen: model(x)`, then `seen.trace()` or `seen.maps()`.

    Watched is each module with a method `weights(q, k, mask)`, as `nn/attention.py` has, or `show`, as in
    `nn/shown.py`; in a model that has none, as Hugging Face's, torch's own functions of attention. The model keeps its
    mode; put it into `eval()` first, or dropout makes the outputs differ from what the maps say. A part that is asked
    for its map later answers with the weights it has then. UserError if there is nothing to record, if the model is
    compiled, or if a recorder is at work already.
    """
    _check(model)
    watched = {name: module for name, module in model.named_modules() if _tells(module)}
    seen = Recording(model, bool(watched))
    try:
        with ExitStack() as stack:
            stack.enter_context(_alone())
            stack.enter_context(_runs(seen, model))
            stack.enter_context(_own(seen, watched) if watched else _foreign(seen, model))
            yield seen
    finally:
        seen.close()
    seen.check()


def _tells(module: nn.Module) -> bool:
    return callable(getattr(module, "weights", None)) or callable(getattr(module, "show", None))


def _check(model: nn.Module) -> None:
    if any(hasattr(module, "_orig_mod") or module._compiled_call_impl is not None for module in model.modules()):
        raise UserError(
            "this model is compiled by torch.compile, where hooks do not fire, so nothing would be recorded; "
            "record the model from which it was made (its `_orig_mod`)"
        )


@contextmanager
def _alone() -> Iterator[None]:
    """One recorder at a time: a second would keep the same tensors under other names."""
    if _here.busy:
        raise UserError(
            "a recorder is at work already; end its `with record(...)` before the next begins, or use the first"
        )
    _here.busy = True
    try:
        yield
    finally:
        _here.busy = False


@contextmanager
def _runs(seen: Recording, model: nn.Module) -> Iterator[None]:
    """Tells the recording when the model is called: by a hook, and, as steps of decoding are methods that no hook sees,
    by methods of the same name that stand before them for a while. A copy of the model made meanwhile runs its own."""
    inside = False

    def forward(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not torch.compiler.is_compiling() and seen.listening and not inside:
            seen.begin("forward", (*args, *kwargs.values()))

    def announced(name: str, kind: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal inside
            if inside or not seen.listening:
                return getattr(type(self), name)(self, *args, **kwargs)
            inside = True
            try:
                seen.begin(kind, args)
                return getattr(type(self), name)(self, *args, **kwargs)
            finally:
                inside = False

        return method

    names = {"init_cache": "start", "step": "step"}
    standing = {name: kind for name, kind in names.items() if callable(getattr(type(model), name, None))}
    handle = model.register_forward_pre_hook(forward, with_kwargs=True)
    try:
        for name, kind in standing.items():
            setattr(model, name, MethodType(announced(name, kind), model))
        yield
    finally:
        handle.remove()
        for name in standing:
            delattr(model, name)


@contextmanager
def _own(seen: Recording, watched: Mapping[str, nn.Module]) -> Iterator[None]:
    handles = []
    try:
        for name, module in watched.items():
            handles.append(module.register_forward_hook(_keeper(seen, name, module), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _foreign(seen: Recording, model: nn.Module) -> Any:
    from allyouneed.tracing.foreign import watching

    return watching(seen, model)


def _keeper(seen: Recording, name: str, module: nn.Module) -> Any:
    looks, shows = (callable(getattr(module, method, None)) for method in ("weights", "show"))

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        # A compiled region would keep the tensors of its first run only: rather nothing, which is an error.
        if torch.compiler.is_compiling() or not seen.listening:
            return
        if looks:
            given = dict(zip(("q", "k", "v", "mask"), args, strict=False)) | kwargs
            q, k, v, mask = (detached(given.get(part)) for part in ("q", "k", "v", "mask"))
            seen.keep(name, Look(module, q, k, mask, v, detached(output)))
        if shows:
            seen.keep_call(name, module, (*args, *kwargs.values()), output)

    return keep
