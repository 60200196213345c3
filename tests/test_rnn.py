"""The recurrent translators: both attentions, and where the decoder starts, against loops over single words."""

import pytest
import torch
from recurrence_by_hand import HANDS, at, read, stirred
from torch import Tensor, nn

from allyouneed.decoding.beam import beam
from allyouneed.decoding.greedy import greedy
from allyouneed.models.rnn import PRESETS, RNNConfig, rnn, tagger
from allyouneed.models.transformer import TransformerConfig, transformer
from allyouneed.nn.alignment import AdditiveAttend, UnscaledAttend, align
from allyouneed.tracing.record import record

each_cell = pytest.mark.parametrize("kind", ["lstm", "gru"])


def config(**numbers: object) -> RNNConfig:
    """Widths that all differ, so that none can stand in for another."""
    given = dict(vocab_size=20, dim=6, hidden_dim=8, encoder_dim=10, depth=1, dropout=0.0)
    return RNNConfig(**(given | numbers))  # type: ignore[arg-type]


# ---- the attentions


def softmax(scores: list[Tensor]) -> list[Tensor]:
    powers = [score.exp() for score in scores]
    return [power / sum(powers) for power in powers]


def memory_by_hand(model: nn.Module, kind: str, source: Tensor) -> list[Tensor]:
    """One layer of both directions over one sentence."""
    words = model.source.embedding.table.weight[source] * model.source.embedding.scale
    sides = []
    for side, order in (("rightward", words), ("leftward", words.flip(0))):
        weights = at(model, f"encoder.layers.0b.layer.{side}.cell.")
        width = weights["weight_hh"].shape[1]
        nothing = tuple(torch.zeros(width).double() for _ in range(2 if kind == "lstm" else 1))
        sides.append(read(HANDS[kind], weights, order, nothing))
    return list(torch.cat([sides[0], sides[1].flip(0)], dim=1))


def start_by_hand(weights: dict[str, Tensor], memory: list[Tensor], kind: str) -> tuple[Tensor, ...]:
    """tanh(W h + b) of the leftward reader's last state, which is its state at the first word."""
    end = memory[0][len(memory[0]) // 2 :]
    return (weights["start.out.weight"] @ end + weights["start.out.bias"]).tanh().chunk(2 if kind == "lstm" else 1)


def ragged() -> tuple[Tensor, Tensor, list[int]]:
    source, target, lengths = torch.randint(4, 20, (3, 5)), torch.randint(4, 20, (3, 4)), [5, 3, 1]
    for row, length in enumerate(lengths):
        source[row, length:] = 0
    return source, target, lengths


@each_cell
def test_bahdanaus_decoder_word_by_word(kind: str) -> None:
    """a_j = v tanh(W s + U h_j) with the state before; s' = f(s, [y; c]); maxout over pairs of W [s; y; c]."""
    model = stirred(rnn(config(cell=kind, attention="additive", out_dim=3, tie="none")))
    source, target, lengths = ragged()
    with record(model) as seen:
        hidden = model.hidden(source, target)
    (maps,) = seen.maps().values()
    for row, length in enumerate(lengths):
        memory, weights = memory_by_hand(model, kind, source[row, :length]), at(model, "decoder.layers.0t.layer.")
        state = start_by_hand(weights, memory, kind)
        for place, token in enumerate(target[row]):
            before, word = state[0], model.target.embedding.table.weight[token] * 6**0.5
            query = weights["attend.query.weight"] @ before
            scores = [weights["attend.score.weight"][0] @ (query + weights["keys.weight"] @ h).tanh() for h in memory]
            shares = softmax(scores)
            found = sum(share * h for share, h in zip(shares, memory, strict=True))
            pairs = weights["out.weight"] @ torch.cat([before, word, found]) + weights["out.bias"]
            expected = torch.stack([torch.maximum(pairs[2 * i], pairs[2 * i + 1]) for i in range(3)])
            torch.testing.assert_close(hidden[row, place], expected)
            torch.testing.assert_close(maps[row, 0, place, :length], torch.stack(shares))
            state = HANDS[kind](at(model, "decoder.layers.0t.layer.cell."), torch.cat([word, found]), state)
    assert not maps[1, 0, :, 3:].any()


@each_cell
@pytest.mark.parametrize("attention", ["dot", "general"])
def test_luongs_decoder_word_by_word(kind: str, attention: str) -> None:
    """The state after the word looks: score h . m_j or h W m_j, and tanh(W [c; h])."""
    model = stirred(rnn(config(cell=kind, attention=attention, encoder_dim=8)))
    source, target, lengths = ragged()
    hidden = model.hidden(source, target)
    looking = at(model, "decoder.layers.1a.layer.")
    for row, length in enumerate(lengths):
        memory, weights = memory_by_hand(model, kind, source[row, :length]), at(model, "decoder.layers.0r.layer.")
        words = model.target.embedding.table.weight[target[row]] * 6**0.5
        start = start_by_hand(weights, memory, kind)
        for place, state in enumerate(read(HANDS[kind], at(model, "decoder.layers.0r.layer.cell."), words, start)):
            # `query` sits on the state's side: (Q h) . m = h W m with W = Q transposed.
            matrix = looking["query.weight"].T if attention == "general" else torch.eye(8).double()
            shares = softmax([state @ matrix @ m for m in memory])
            found = sum(share * m for share, m in zip(shares, memory, strict=True))
            torch.testing.assert_close(hidden[row, place], (looking["out.weight"] @ torch.cat([found, state])).tanh())


@pytest.mark.parametrize("attention", ["additive", "general"])
def test_a_rightward_encoder_hands_over_its_state_at_the_last_real_word(attention: str) -> None:
    model = stirred(rnn(config(attention=attention, order="rr")))
    source, _, lengths = ragged()
    context = model.encode(source)
    letter = "t" if attention == "additive" else "r"
    start = model.decoder.layers[f"0{letter}"].layer.start
    for row, length in enumerate(lengths):
        end = context.memory[row, length - 1]
        expected = (start.out.weight @ end + start.out.bias).tanh()
        torch.testing.assert_close(torch.cat([part[row] for part in start(context)]), expected)


def test_a_score_that_says_nothing_gives_the_mean_of_the_real_words() -> None:
    attend, memory = AdditiveAttend(3, 4), torch.randn(2, 5, 6)
    nn.init.zeros_(attend.score.weight)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])[:, None]
    found = attend.look(torch.randn(2, 3, 3), torch.randn(2, 5, 4), memory, mask)
    torch.testing.assert_close(found[0], memory[0].mean(0).expand(3, 6))
    torch.testing.assert_close(found[1], memory[1, :2].mean(0).expand(3, 6))
    assert not attend.look(torch.randn(2, 3, 3), torch.randn(2, 5, 4), memory, mask & False).any()


def test_a_large_score_points_at_one_word() -> None:
    memory = torch.eye(4)[None]  # b 4 4: a query that is a multiple of word 2 finds word 2
    found = align(UnscaledAttend(), 100 * memory[:, 2:3], (memory, memory), None)
    torch.testing.assert_close(found, memory[:, 2:3])


def test_unscaled_attention_has_no_scale_and_its_map_neither() -> None:
    q, k, v = (torch.randn(2, 1, n, 16).double() for n in (3, 5, 5))
    weights = (q @ k.transpose(2, 3)).softmax(-1)
    torch.testing.assert_close(UnscaledAttend()(q, k, v), weights @ v)
    torch.testing.assert_close(UnscaledAttend().weights(q, k), weights)


def test_hypotheses_of_a_sentence_find_what_each_alone_would() -> None:
    keys, values, q = torch.randn(2, 5, 4), torch.randn(2, 5, 6), torch.randn(6, 1, 4)
    together = align(UnscaledAttend(), q, (keys, values), None)
    for row in range(6):
        sentence = slice(row // 3, row // 3 + 1)
        alone = align(UnscaledAttend(), q[row : row + 1], (keys[sentence], values[sentence]), None)
        torch.testing.assert_close(together[row : row + 1], alone)


# ---- the whole


@each_cell
@pytest.mark.parametrize("attention", ["additive", "dot", "general"])
def test_bfloat16_training_and_decoding_stay_close_to_float32(kind: str, attention: str) -> None:
    model = rnn(config(cell=kind, attention=attention, dim=32, hidden_dim=32, encoder_dim=32, depth=2))
    source, target, _ = ragged()
    exact, wanted = model.hidden(source, target), model(source, target)
    exact.square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model.hidden(source, target)
        narrow.float().square().sum().backward()
        assert torch.nn.functional.cosine_similarity(narrow.float().flatten(), exact.flatten(), dim=0) > 0.999
        for name, parameter in model.named_parameters():
            if (size := gradients[name].norm()) > 1e-3:
                assert (parameter.grad - gradients[name]).norm() / size < 0.1, name
        with torch.no_grad():
            cache = model.init_cache(source)
            for place in range(4):
                logits, cache = model.step(target[:, place], cache)
                torch.testing.assert_close(logits.float(), wanted[:, place], atol=0.1, rtol=0.1)


@pytest.mark.parametrize("attention, steps", [("additive", 100), ("general", 160)])
def test_it_learns_to_turn_a_text_round(attention: str, steps: int) -> None:
    """Greedy and beam search write new sentences backwards after a short training."""
    model = rnn(RNNConfig(vocab_size=10, dim=32, hidden_dim=48, depth=1, attention=attention, dropout=0.0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        words = torch.randint(4, 10, (32, 5))
        ids = torch.cat([torch.ones(32, 1, dtype=torch.long), words.flip(1), torch.full((32, 1), 2)], dim=1)
        loss = model.head.loss(model.hidden(words, ids[:, :-1]), ids[:, 1:])
        optimizer.zero_grad()
        (loss.loss / loss.tokens).backward()
        optimizer.step()
    words = torch.randint(4, 10, (20, 5))
    model.eval()
    for found in (greedy(model, words), [best for best, *_ in beam(model, words, size=3)]):
        right = sum(list(f.ids) == row for f, row in zip(found, words.flip(1).tolist(), strict=True))
        assert right >= 18


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_default_is_as_large_as_the_default_transformer() -> None:
    with torch.device("meta"):
        ours, theirs = count(rnn(PRESETS["small"])), count(transformer(TransformerConfig()))
    assert abs(ours / theirs - 1) < 0.05


def test_luongs_size_by_arithmetic() -> None:
    """Four LSTMs of 1000 on each side with torch's two biases, a start W (2 states) for each of the decoder's, W_a and
    W_c; tables of 50,000 words for both sides and the softmax."""
    lstm, start = 4 * (1000 * 1000 + 1000 * 1000 + 2 * 1000), 1000 * 2000 + 2000
    attention = 1000 * 1000 + 2000 * 1000
    with torch.device("meta"):
        assert count(rnn(PRESETS["luong"])) == 8 * lstm + 4 * start + attention + 3 * 50_000 * 1000


def test_the_tagger_reads_both_ways_and_ties_as_it_is_told() -> None:
    model, ids = tagger(config(dropout=0.0)), torch.randint(4, 20, (2, 6))
    assert model(ids).shape == (2, 6, 20) and model.head.weight is model.source.embedding.table.weight
    changed = ids.clone()
    changed[:, 5] = 4 + ids[:, 5] % 16
    assert (model(changed) != model(ids)).any(-1).all()  # the last word reaches the first place


@pytest.mark.parametrize(
    "numbers, words",
    [
        ({"order": "bs"}, "order 'bs' has the letter 's'"),
        ({"encoder_dim": 9}, "width 9 is odd"),
        ({"attention": "dot"}, "encoder_dim (10) equal to hidden_dim (8)"),
        ({"out_dim": 4}, "out_dim 4 is not dim 6"),
        ({"cell": "elman"}, "lstm"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(numbers: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as error:
        config(**numbers)
    assert words in str(error.value)
