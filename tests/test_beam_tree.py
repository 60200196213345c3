"""The tree of a beam search against a naive search by hand, and its cross-attention against a second reading."""

import math
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from decoding_models import BOS, EOS, PENALTIES, Table, sources
from torch import Tensor

from allyouneed.decoding.beam import RIVALS, beam
from allyouneed.decoding.greedy import greedy
from allyouneed.decoding.settings import DecodingSettings
from allyouneed.models.catalogue import CATALOGUE
from allyouneed.tracing.beam_tree import Tree, Watching, searched, tree
from allyouneed.tracing.manifest import Layer, Node
from allyouneed.tracing.record import record


def spell(ids: Any) -> list[str]:
    return [f"<{i}>" for i in ids]


class Thought(NamedTuple):
    path: tuple[int, ...]  # tokens, the candidate's own last
    total: float
    state: str
    row: int  # of the step, from which it was thought of


def naive(model: Table, source: Tensor, size: int, steps: int) -> list[list[Thought]]:
    """Each step of a beam search with plain loops: every path is read anew from its beginning."""
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    found = []
    for _ in range(steps):
        every = []
        for row, (path, total) in enumerate(live):
            gains = F.log_softmax(model(source, torch.tensor([[BOS, *path]]))[0, -1], -1)
            every += [(total + float(gains[t]), row, t) for t in range(EOS, len(gains))]
        every.sort(key=lambda c: (-c[0], c[1], c[2]))
        every = every[: max(2 * size, size + RIVALS)]
        going = [i for i, (_, _, token) in enumerate(every[: 2 * size]) if token != EOS][:size]
        states = ["finished" if t == EOS and i < size else "kept" if i in going else "pruned"
                  for i, (_, _, t) in enumerate(every)]  # fmt: skip
        step = [Thought((*live[row][0], token), total, states[i], row) for i, (total, row, token) in enumerate(every)]
        found.append(step)
        live = [(step[i].path, step[i].total) for i in going]
    return found


def path_of(nodes: list[Node], i: int) -> tuple[int, ...]:
    parent = nodes[i].parent
    return (*(path_of(nodes, parent) if parent >= 0 else ()), nodes[i].token)


def grown(model: Any, source: Tensor, size: int, penalty: Any, longest: int) -> tuple[Tree, Watching, Any]:
    watching = Watching()
    found = beam(model, source, size, penalty, max_lengths=longest, watch=watching)[0][0]
    return tree(watching, found.ids, EOS, penalty, spell), watching, found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_tree_is_that_of_a_search_by_hand(size: int, seed: int) -> None:
    torch.manual_seed(seed)
    model, source, penalty = Table(vocab_size=9, seed=seed, eos_bonus=0.5), sources(1, 9), PENALTIES[seed % 3]
    found, watching, _ = grown(model, source, size, penalty, 30)
    steps = naive(model, source, size, len(watching.decisions))
    nodes, offset = list(enumerate(found.nodes)), 0
    for number, wanted in enumerate(steps):
        own = [(i, node) for i, node in nodes if node.step == number]
        assert [path_of(found.nodes, i) for i, _ in own] == [thought.path for thought in wanted]
        assert [node.state for _, node in own] == [thought.state for thought in wanted]
        assert [node.reading - offset for _, node in own] == [thought.row for thought in wanted]
        for (_, node), thought in zip(own, wanted, strict=True):
            assert math.isclose(node.total, thought.total, abs_tol=1e-4)
            assert math.isclose(node.score, thought.total / penalty(number + 1), abs_tol=1e-4)
            before = found.nodes[node.parent].total if node.parent >= 0 else 0.0
            assert math.isclose(node.log_probability, node.total - before, abs_tol=1e-5)
            assert node.text == f"<{node.token}>"
        offset += watching.rows[number]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_best_path_is_what_the_search_gives(size: int, seed: int) -> None:
    """Also where the limit closes it: the table likes to go on."""
    torch.manual_seed(seed)
    model, source = Table(vocab_size=14, seed=seed, eos_bonus=-1.0), sources(1, 14)
    for penalty in PENALTIES[:3]:
        found, _, result = grown(model, source, size, penalty, 7)
        assert [found.nodes[i].token for i in found.best] == [*result.ids, EOS]
        assert [found.nodes[i].parent for i in found.best] == [-1, *found.best[:-1]]
        last = found.nodes[found.best[-1]]
        assert last.state == "finished" and math.isclose(last.total, result.log_prob, abs_tol=1e-5)
        assert math.isclose(last.score, result.score, abs_tol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_watching_changes_nothing_and_a_beam_of_one_is_greedy_search(seed: int) -> None:
    torch.manual_seed(seed)
    model, source = Table(vocab_size=40, seed=seed), sources(1, 40)
    for size in (1, 3):
        watched = beam(model, source, size, n_best=size, watch=Watching())
        assert watched == beam(model, source, size, n_best=size)
    found, watching, result = grown(model, source, 1, PENALTIES[0], 20)
    assert result.ids == greedy(model, source, PENALTIES[0], 20)[0].ids
    assert watching.rows == [1] * len(watching.decisions)
    for step in range(min(20, len(watching.decisions))):  # at the limit there is no choice
        states = [node.state for node in found.nodes if node.step == step]
        assert states.count("kept") <= 1 and states.count("pruned") >= RIVALS - 1


TRANSLATORS = [name for name, system in CATALOGUE.items() if "translation" in system.builds]


@pytest.mark.parametrize("name", TRANSLATORS)
def test_the_cross_attention_of_a_step_is_that_of_a_second_reading(name: str) -> None:
    """Of every translator: the rows read on the way to the result, stacked, are the map of the whole translation."""
    torch.manual_seed(1)
    model = CATALOGUE[name].builds["translation"](CATALOGUE[name].tiny).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    source, watching, penalty = torch.tensor([[5, 9, 7, 11, 2]]), Watching(), PENALTIES[1]
    with watching.over(model):
        result = beam(model, source, 3, penalty, max_lengths=6, min_length=4, watch=watching)[0][0]
    assert not any(module._forward_pre_hooks for module in model.modules())
    with torch.no_grad(), record(model) as seen:
        model(source, torch.tensor([[BOS, *result.ids]]))
    maps = {key: w[0] for key, w in seen.maps().items() if w.shape[-2:] == (len(result.ids) + 1, source.shape[1])}
    assert maps, "a translator without cross-attention"
    layers = [Layer(module=key, heads=len(w)) for key, w in maps.items()]
    settings = DecodingSettings(beam=3, penalty="average", length_penalty=1.0)
    found, arrays = searched(watching, tree(watching, result.ids, EOS, penalty, spell), settings, layers)
    assert len(found.cross) == len(layers) and len(found.best) == len(result.ids) + 1
    rows = [found.nodes[i].reading for i in found.best]
    for key, dense in zip(found.cross, maps.values(), strict=True):
        assert arrays[key].shape[0] == sum(watching.rows)
        torch.testing.assert_close(torch.from_numpy(arrays[key][rows]).transpose(0, 1), dense, atol=1e-5, rtol=0)


def test_a_layer_that_was_not_seen_leaves_the_tree_without_readings() -> None:
    model, source = Table(vocab_size=9), sources(1, 9)
    found, watching, _ = grown(model, source, 2, PENALTIES[0], 5)
    result, arrays = searched(watching, found, DecodingSettings(beam=2), [Layer(module="nowhere", heads=1)])
    assert not arrays and not result.cross and {node.reading for node in result.nodes} == {-1}
