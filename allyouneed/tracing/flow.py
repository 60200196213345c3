"""The shape flow: which modules ran, in order, what went in, what came out, and what they have learned.

Watched from outside by hooks, so it knows any PyTorch module. Nothing is folded: a page that shows it folds what repeats.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from allyouneed.nn.stack import Stack
from allyouneed.tracing.manifest import Relation, Step

METHODS = ("logits",)
"""By these methods parts are run that are not called as modules: a head reads out by `logits` or learns by `loss`."""


def flow(model: nn.Module, *inputs: Any) -> list[Step]:
    """The modules in the order they ran in `model(*inputs)`, without dropout and all else that gives back its input.

    Shapes are of the first tensor that goes in and comes out. A parameter counts once, at the first module that has it
    and runs: the parameters of a step's children and its own make up the step's, and the first step's are the model's.
    """
    watch = _Watch(model)
    with _still(model), watch.attached(), torch.no_grad():
        model(*inputs)
    return [step for step in watch.steps if step is not None]


def linked(steps: list[Step], relations: Mapping[str, Relation]) -> list[Step]:
    """The steps, with the relation and layer that were recorded of them, by the modules' names."""
    places = {
        layer.module: (name, i) for name, relation in relations.items() for i, layer in enumerate(relation.layers)
    }
    found = [(step, *places.get(step.name, (None, None))) for step in steps]
    return [step.model_copy(update=dict(relation=relation, layer=layer)) for step, relation, layer in found]


class _Watch:
    """Hooks on all modules, and what they saw."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.steps: list[Step | None] = []  # None: what turned out to do nothing
        self.calls: Counter[str] = Counter()
        self.letters = dict(_letters(model))
        self.within: list[tuple[int, set[nn.Parameter]]] = [
            (-1, set(model.parameters()))
        ]  # a step, and what is still to count

    @contextmanager
    def attached(self) -> Iterator[None]:
        handles, shadowed = [], []
        try:
            for name, module in self.model.named_modules():
                handles.append(module.register_forward_pre_hook(self._before(name), with_kwargs=True))
                handles.append(module.register_forward_hook(self._after, with_kwargs=True))
                for method in METHODS:
                    if callable(getattr(type(module), method, None)) and method not in vars(module):
                        setattr(module, method, self._around(name, module, getattr(module, method)))
                        shadowed.append((module, method))
            yield
        finally:
            for handle in handles:
                handle.remove()
            for module, method in shadowed:
                delattr(module, method)

    def _before(self, name: str) -> Callable[..., None]:
        return lambda module, args, kwargs: self.begin(name, module, (args, kwargs))

    def _after(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self.end(module, (args, kwargs), output)

    def _around(self, name: str, module: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.begin(name, module, (args, kwargs))
            output = method(*args, **kwargs)
            self.end(module, (args, kwargs), output)
            return output

        return run

    def begin(self, name: str, module: nn.Module, given: Any) -> None:
        self.calls[name] += 1
        calls = self.calls[name]
        uncounted = self.within[-1][1]
        own = {parameter for parameter in module.parameters() if parameter in uncounted}
        uncounted -= own
        step = Step(
            name=name if calls == 1 else f"{name}#{calls}", kind=type(module).__name__, depth=len(self.within) - 1,
            input=_shape(given), output=[], parameters=sum(parameter.numel() for parameter in own),
            letter=self.letters.get(name, ""),
        )  # fmt: skip
        self.within.append((len(self.steps), own))
        self.steps.append(step)

    def end(self, module: nn.Module, given: Any, output: Any) -> None:
        place, _ = self.within.pop()
        step = self.steps[place]
        assert step is not None
        step.output = _shape(output)
        alone = place == len(self.steps) - 1 and not step.letter and step.depth > 0
        if alone and not any(True for _ in module.parameters()) and _first(given) is _first(output):
            self.steps[place] = None


def _letters(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Sublayers of stacks are named by index and letter: `encoder.layers.3f`."""
    for name, module in model.named_modules():
        if isinstance(module, Stack):
            above = f"{name}." if name else ""
            yield from ((f"{above}layers.{child}", re.sub(r"^\d+", "", child)) for child in module.layers)


def _first(value: Any) -> Tensor | None:
    """The first tensor in arguments or outputs, whatever they are packed in."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((found for part in value if (found := _first(part)) is not None), None)
    return None


def _shape(value: Any) -> list[int]:
    found = _first(value)
    return [] if found is None else list(found.shape)


@contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """In evaluation, so that no statistics move, and without PyTorch's fast path, which runs a layer past its parts."""
    modes = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    model.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in modes.items():
            module.training = training
