"""Every model of the catalogue, with every task, recorded: nothing changes, each layer is checked, the trace is kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_laws import variants as translator_variants
from test_laws_encoders import variants as encoder_variants
from test_laws_images import variants as image_variants
from test_laws_language import variants as language_variants
from test_laws_taggers import variants as tagger_variants
from torch import Tensor, nn

from allyouneed.errors import UserError
from allyouneed.models.catalogue import CATALOGUE, System
from allyouneed.nn.layer import select
from allyouneed.tracing.record import record
from allyouneed.tracing.trace import Trace

VARIANTS = {
    "translation": translator_variants, "algorithm": tagger_variants, "language-model": language_variants,
    "image-classification": image_variants,
}  # fmt: skip
NOTHING = {("cnn", "image-classification"), ("rnn", "algorithm"), ("conv", "algorithm")}
"""Convolutions and recurrences, in which no place looks at another by a map."""

CASES = [
    pytest.param(system, task, config, id=f"{name}-{task}-{i}")
    for name, system in CATALOGUE.items()
    for task in system.builds
    if (name, task) not in NOTHING
    for i, config in enumerate(VARIANTS.get(task, encoder_variants)(name, system))
    if config.model_dump().get("order") != "ddd"  # convolutions alone
]


def inputs(task: str, config: Any) -> tuple[Tensor, ...]:
    """A batch of two whose second is shorter."""
    if task == "image-classification":
        return (torch.randn(2, config.channels, config.image_size, config.image_size),)
    ids = torch.randint(4, 24, (2, 9))
    ids[1, 6:] = 0
    return (ids, ids[:, 1:8]) if task == "translation" else (ids,)


def parts(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else [part for part in output if part is not None]


@pytest.mark.parametrize("system, task, config", CASES)
def test_everything_is_recorded_checked_and_kept(system: System, task: str, config: Any, tmp_path: Path) -> None:
    model, given = system.builds[task](config).eval(), inputs(task, config)
    with torch.no_grad():
        before = parts(model(*given))
        with record(model) as seen:
            during = parts(model(*given))
    assert all(map(torch.equal, before, during))
    trace = seen.trace(item=1)
    for name, relation in trace.manifest.relations.items():
        sizes = [trace.manifest.spaces[space].size for space in (relation.queries, relation.keys)]
        for number, layer in enumerate(relation.layers):
            assert trace.weights(name, number).shape == (layer.heads, *sizes)
            assert (layer.error is None) == relation.input_independent
            assert layer.error is None or (layer.error < 1e-5 and layer.output_rows > 0)
    assert trace.manifest.relations or trace.manifest.permutations
    if task != "image-classification":
        sizes = {name: space.size for name, space in trace.manifest.spaces.items()}
        expected = {"source": 6, "target": 5} if task == "translation" else {"tokens": 6}
        assert sizes == expected or list(sizes) == ["places"]
    again = Trace.load(trace.save(tmp_path / "x.trace"))
    assert again.manifest == trace.manifest
    assert all(np.array_equal(again.arrays[name], array) for name, array in trace.arrays.items())


@pytest.mark.parametrize("name, task", sorted(NOTHING))
def test_models_without_a_map_say_so(name: str, task: str) -> None:
    model = CATALOGUE[name].builds[task](CATALOGUE[name].tiny)
    with pytest.raises(UserError, match="nothing to record in"), record(model):
        model(*inputs(task, CATALOGUE[name].tiny))


TRANSLATORS = {name: system for name, system in CATALOGUE.items() if "translation" in system.builds}
each_translator = pytest.mark.parametrize("system", TRANSLATORS.values(), ids=TRANSLATORS)


@each_translator
def test_steps_of_decoding_make_the_maps_of_one_reading(system: System) -> None:
    model, (source, target) = system.builds["translation"](system.tiny).eval(), inputs("translation", system.tiny)
    target = target[:, :5]
    with torch.no_grad():
        with record(model) as at_once:
            model(source, target)
        with record(model) as stepped:
            cache = model.init_cache(source)
            for place in range(5):
                _, cache = model.step(target[:, place], cache)
    for item in range(2):
        whole, joined = at_once.trace(item), stepped.trace(item)
        assert joined.manifest.relations.keys() == whole.manifest.relations.keys()
        assert joined.manifest.spaces == whole.manifest.spaces
        assert "Put together from 5 steps" in joined.manifest.notes[0]
        for name, relation in whole.manifest.relations.items():
            assert [layer.causal for layer in joined.manifest.relations[name].layers] == [name == "decoder"] * len(
                relation.layers
            )
            for layer in range(len(relation.layers)):
                np.testing.assert_allclose(joined.weights(name, layer), whole.weights(name, layer), atol=1e-6)
                assert joined.manifest.relations[name].layers[layer].error < 1e-5


@each_translator
def test_a_beam_is_not_taken_for_a_text(system: System) -> None:
    model, (source, _) = system.builds["translation"](system.tiny).eval(), inputs("translation", system.tiny)
    with torch.no_grad(), record(model) as seen:
        cache = select(model.init_cache(source), torch.tensor([0, 0, 1, 1]))
        for _ in range(3):
            _, cache = model.step(torch.randint(4, 24, (4,)), cache)
    with pytest.raises(UserError, match=r"cannot be put together.*as in a beam search; use `run.look"):
        seen.trace()
    assert seen.maps()


def test_hypotheses_that_changed_places_are_noticed() -> None:
    system = CATALOGUE["gpt"]
    model, ids = system.build(system.tiny).eval(), torch.randint(4, 24, (2, 4))
    with torch.no_grad(), record(model) as seen:
        cache = model.init_cache(ids)
        for place in range(4):
            _, cache = model.step(ids[:, place], cache)
            cache = select(cache, torch.tensor([1, 0])) if place == 1 else cache
    with pytest.raises(UserError, match="rows changed places"):
        seen.trace()


def test_layers_that_decode_unseen_are_named() -> None:
    system = CATALOGUE["gpt"]
    model, ids = (
        system.build(system.config(**{**system.tiny.model_dump(), "order": "swf"})).eval(),
        torch.ones(1, 1).long(),
    )
    with torch.no_grad(), record(model) as seen:
        cache = model.init_cache(ids)
        for _ in range(3):
            _, cache = model.step(ids[:, 0], cache)
    trace = seen.trace()
    assert len(trace.manifest.relations["self"].layers) == 1
    assert "1 layers decode in a way that is not seen (decoder.layers.1w.layer.attend)" in trace.manifest.notes[1]


def test_of_several_forward_passes_the_last_is_shown() -> None:
    system = CATALOGUE["gpt"]
    model = system.build(system.tiny).eval()
    first, second = torch.randint(4, 24, (1, 5)), torch.randint(4, 24, (1, 5))
    with torch.no_grad(), record(model) as both:
        model(first), model(second)
    with torch.no_grad(), record(model) as one:
        model(second)
    assert both.trace().manifest.notes == ["The model ran 2 times; this is the last."]
    np.testing.assert_array_equal(both.trace().weights("self", 1), one.trace().weights("self", 1))
    assert len(both.trace().manifest.relations["self"].layers) == 2


@pytest.mark.parametrize("name", ["transformer", "bert", "vit", "gpt", "reformer", "lambda", "universal"])
def test_half_precision_and_autocast(name: str) -> None:
    system = CATALOGUE[name]
    model, given = system.build(system.tiny).eval(), inputs(system.task, system.tiny)
    nn.init.normal_(next(model.parameters()), std=0.1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), record(model) as seen:
        model(*given)
    layers = [layer for relation in seen.trace().manifest.relations.values() for layer in relation.layers]
    assert layers and all(layer.error < 0.1 for layer in layers)
