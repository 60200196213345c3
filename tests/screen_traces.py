"""Traces with known answers for the explorer's special screens, made by hand: no model is run."""

import math

import numpy as np

from allyouneed.tracing import manifest as parts
from allyouneed.tracing.trace import Trace

SOURCE = ["Ein", "Mann", "schläft", ".", "</s>"]


def made(arrays: dict[str, np.ndarray] | None = None, **fields: object) -> Trace:
    card = parts.ModelCard(name="made by hand", task="translation", parameters=1_200, orders=["sfsf", "scfscf"])
    return Trace(parts.Manifest(model=card, **fields), arrays or {})  # type: ignore[arg-type]


def node(
    step: int, parent: int, text: str, log_probability: float, total: float, state: str, reading: int = -1
) -> parts.Node:
    return parts.Node(
        step=step, parent=parent, text=text, token=4 + len(text), log_probability=log_probability, total=total,
        score=total / (1 + step), state=state, reading=reading,  # type: ignore[arg-type]
    )  # fmt: skip


def beam_nodes() -> list[parts.Node]:
    """A beam of two. The first rank of step 2 is a child of rank 2 of step 1, so that paths cross."""
    return [
        node(0, -1, "A", -0.3, -0.3, "kept", 0),
        node(0, -1, "The", -1.6, -1.6, "kept", 0),
        node(0, -1, "One", -3.2, -3.2, "pruned", 0),
        node(1, 0, "man", -0.4, -0.7, "kept", 1),
        node(1, 0, "guy", -1.2, -1.5, "kept", 1),
        node(1, 1, "man", -0.5, -2.1, "pruned", 2),
        node(1, 1, "person", -2.9, -4.5, "pruned", 2),
        node(2, 4, "sleeps", -0.2, -1.7, "kept", 4),
        node(2, 3, "is", -1.3, -2.0, "kept", 3),
        node(2, 3, "sleeping", -2.5, -3.2, "pruned", 3),
        node(3, 7, "</s>", -0.1, -1.8, "finished", 5),
        node(3, 8, "asleep", -0.6, -2.6, "kept", 6),
        node(4, 11, "</s>", -0.2, -2.8, "finished", 7),
    ]


def beam_trace() -> Trace:
    """Reading r of layer l, head h looks at source item (r + l + h) mod 5 with 0.6 and at the others with 0.1."""
    arrays = {}
    for layer in range(2):
        weights = np.full((8, 3, 5), 0.1, np.float32)
        for reading in range(8):
            for head in range(3):
                weights[reading, head, (reading + layer + head) % 5] = 0.6
        arrays[f"cross{layer}"] = weights
    beam = parts.Beam(
        width=2, penalty="average", alpha=1.0, nodes=beam_nodes(), best=[0, 4, 7, 10], sources="source",
        cross=list(arrays),
    )  # fmt: skip
    source = parts.Space(kind="sequence", title="source", items=SOURCE, special=[4], language="de")
    return made(arrays, spaces={"source": source}, beam=beam, input="Ein Mann schläft.", output="A guy sleeps")


def long_beam_trace(steps: int = 120, width: int = 10) -> Trace:
    generator = np.random.default_rng(0)
    nodes: list[parts.Node] = []
    alive = [-1]
    for step in range(steps):
        first = len(nodes)
        for rank in range(2 * width):
            parent = int(alive[int(generator.integers(len(alive)))])
            before = nodes[parent].total if parent >= 0 else 0.0
            drop = 0.1 + 0.3 * rank
            state = "kept" if rank < width else "pruned"
            nodes.append(node(step, parent, f"w{step}.{rank}", -drop, before - drop, state))
        alive = list(range(first, first + width))
    best: list[int] = []
    at = alive[0]
    while at >= 0:
        best.insert(0, at)
        at = nodes[at].parent
    beam = parts.Beam(width=width, penalty="none", alpha=0.0, nodes=nodes, best=best, sources="source")
    return made({}, spaces={"source": parts.Space(kind="sequence", items=SOURCE)}, beam=beam)


ROWS, COLUMNS, PREFIX = 3, 5, 2


def grid_space(picture: str | None) -> parts.Space:
    return parts.Space(
        kind="grid", title="patches", items=["[CLS]", "[REG]"], rows=ROWS, columns=COLUMNS, prefix=PREFIX,
        picture=picture,
    )  # fmt: skip


def picture() -> np.ndarray:
    """A sunset of 60 by 100 pixels."""
    y, x = np.mgrid[0:60, 0:100]
    sun = (y - 30) ** 2 + (x - 70) ** 2 < 150
    red = 240 - 2 * y
    image = np.stack([red, 120 + y, 90 + 2 * y], -1)
    image[sun] = (255, 230, 120)
    return image.clip(0, 255).astype(np.uint8)


def grid_trace(with_picture: bool = True) -> Trace:
    """17 items, 2 layers, 2 heads. In layer l, head h, item i gives 0.5 to item (i + 3 + l + h) mod 17, and 0.3 to [CLS]
    (0.1 more where that is the same), and the rest evenly."""
    n = PREFIX + ROWS * COLUMNS
    arrays: dict[str, np.ndarray] = {}
    layers = []
    for layer in range(2):
        weights = np.full((2, n, n), 0.2 / n, np.float32)
        for head in range(2):
            for i in range(n):
                weights[head, i, (i + 3 + layer + head) % n] += 0.5
                weights[head, i, 0] += 0.3
        arrays[f"w{layer}"] = weights
        layers.append(parts.Layer(module=f"layer {layer}", heads=2, weights=f"w{layer}"))
    if with_picture:
        arrays["picture"] = picture()
    relation = parts.Relation(
        kind="attention", title="encoder self-attention", queries="patches", keys="patches", layers=layers
    )
    classes = parts.Classes(title="class", names=["ship", "sun", "cat"], probabilities=[0.2, 0.7, 0.06])
    space = grid_space("picture" if with_picture else None)
    return made(arrays, spaces={"patches": space}, relations={"self": relation}, classes=classes)


def rollout_by_hand(trace: Trace) -> np.ndarray:  # n n
    """The product written out, without a thought for speed."""
    product = np.eye(PREFIX + ROWS * COLUMNS)
    for layer in range(2):
        mean = trace.arrays[f"w{layer}"].astype(np.float64).mean(0)
        product = (mean + np.eye(len(mean))) / 2 @ product
    return product


def signed_trace() -> Trace:
    """A mixing matrix over a grid without prefix, and one over tokens: item i takes +1 of i + 1 and -0.5 of i - 1."""
    arrays: dict[str, np.ndarray] = {}
    relations = {}
    for name, n in (("patches", 15), ("tokens", 5)):
        weights = np.zeros((1, n, n), np.float32)
        for i in range(n):
            weights[0, i, (i + 1) % n] = 1.0
            weights[0, i, (i - 1) % n] = -0.5
        arrays[name] = weights
        relations["lambda" if name == "patches" else "mixing"] = parts.Relation(
            kind="signed", title="implied by lambdas" if name == "patches" else "token mixing",
            queries=name, keys=name, input_independent=name == "tokens",
            layers=[parts.Layer(module="0", heads=1, weights=name)],
        )  # fmt: skip
    spaces = {
        "patches": parts.Space(kind="grid", rows=3, columns=5),
        "tokens": parts.Space(kind="sequence", items=SOURCE),
    }
    return made(arrays, spaces=spaces, relations=relations)


def halting_trace() -> Trace:
    """Four steps over five tokens; token i takes UPDATES[i] steps."""
    updates = np.array([1, 3, 4, 2, 1], np.float32)
    steps = np.zeros((4, 5), np.float32)
    for i, count in enumerate(updates.astype(int)):
        for step in range(count):
            steps[step, i] = 0.9 if step == count - 1 else 0.1 * (step + 1)
    before = np.array([steps[: int(c) - 1, i].sum() for i, c in enumerate(updates)], np.float32)
    arrays = {"p": steps, "u": updates, "r": 1 - before}
    layers = []
    for step in range(4):
        weights = np.full((2, 5, 5), 0.1, np.float32)
        weights[:, np.arange(5), (np.arange(5) + step) % 5] = 0.6
        arrays[f"w{step}"] = weights
        layers.append(parts.Layer(module=f"repeat#{step + 1}", heads=2, weights=f"w{step}"))
    relation = parts.Relation(
        kind="attention", title="encoder self-attention", queries="source", keys="source", layers=layers
    )
    halting = parts.Halting(
        title="encoder", space="source", probabilities="p", updates="u", remainders="r", relation="encoder"
    )
    source = parts.Space(kind="sequence", title="source", items=SOURCE, special=[4], language="de")
    return made(arrays, spaces={"source": source}, relations={"encoder": relation}, halting=[halting])


def buckets_trace(n: int = 24) -> Trace:
    """Buckets by parity in round 1 and by thirds in round 2; chunks of four."""
    rounds = np.stack([np.arange(n) % 2, np.arange(n) * 3 // n]).astype(np.int32)
    order = np.stack([np.argsort(row, kind="stable") for row in rounds]).astype(np.int32)
    arrays = {"b": rounds, "o": order}
    words = [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "a",
        "lazy",
        "dog",
        "and",
        "runs",
        "away",
        "from",
        "all",
        "the",
        "big",
        "bad",
        "wolves",
        "of",
        "old",
        "dark",
        "woods",
        ".",
    ]
    space = parts.Space(kind="sequence", title="tokens", items=[words[i % len(words)] for i in range(n)])
    buckets = parts.Buckets(title="layer 1", space="tokens", relation="self", layer=0, buckets="b", order="o", chunk=4)
    shuffles = []
    for layer in range(3):
        name = f"p{layer}"
        arrays[name] = np.roll(np.arange(n), layer + 1).astype(np.int32)
        shuffles.append(parts.Permutation(title=f"shuffle {layer + 1}", space="tokens", layer=layer, targets=name))
    return made(arrays, spaces={"tokens": space}, buckets=[buckets], permutations=shuffles)


def waves(length: int, dim: int) -> np.ndarray:
    """The paper's sinusoids, in a loop."""
    codes = np.zeros((length, dim), np.float32)
    for place in range(length):
        for i in range(dim // 2):
            angle = place / 10000 ** (2 * i / dim)
            codes[place, 2 * i], codes[place, 2 * i + 1] = math.sin(angle), math.cos(angle)
    return codes


def positions_trace(sinusoidal: bool) -> Trace:
    codes = waves(40, 16) if sinusoidal else np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    space = parts.Space(kind="sequence", items=[f"t{i}" for i in range(40)])
    positions = parts.Positions(title="encoder", space="tokens", codes="codes", sinusoidal=sinusoidal)
    return made({"codes": codes}, spaces={"tokens": space}, positions=[positions])


def grid_positions_trace() -> Trace:
    """Codes of a 3 x 5 grid with two prefix items: cell (y, x) is a one-hot row and a one-hot column; the prefix is 0."""
    codes = np.zeros((17, 8), np.float32)
    for y in range(ROWS):
        for x in range(COLUMNS):
            codes[PREFIX + y * COLUMNS + x, [y, 3 + x]] = 1
    positions = parts.Positions(title="patches", space="patches", codes="codes")
    arrays = {"codes": codes, "picture": picture()}
    return made(arrays, spaces={"patches": grid_space("picture")}, positions=[positions])


def flow_steps(layers: int = 6) -> list[parts.Step]:
    """A small encoder: an embedding, layers of two sublayers, a head."""

    def step(name: str, kind: str, depth: int, parameters: int, **more: object) -> parts.Step:
        shape = [1, 5, 8]
        return parts.Step(name=name, kind=kind, depth=depth, input=shape, output=shape, parameters=parameters, **more)  # type: ignore[arg-type]

    steps = [step("", "Tagger", 0, 100 + 560 * layers), step("embedding", "Embedding", 1, 60)]
    steps.append(step("encoder", "Stack", 1, 560 * layers))
    for i in range(layers):
        steps.append(step(f"encoder.{2 * i}s", "PreNorm", 2, 240, letter="s", relation="self", layer=i))
        steps.append(step(f"encoder.{2 * i}s.layer", "SelfAttention", 3, 224, relation="self", layer=i))
        steps.append(step(f"encoder.{2 * i + 1}f", "PreNorm", 2, 320, letter="f"))
        steps.append(step(f"encoder.{2 * i + 1}f.layer", "FeedForward", 3, 304))
    steps.append(step("head", "VocabularyHead", 1, 40))
    return steps


def flow_trace(layers: int = 6) -> Trace:
    n = len(SOURCE)
    arrays = {f"w{i}": np.full((2, n, n), 1 / n, np.float32) for i in range(layers)}
    relation = parts.Relation(
        kind="attention", title="self-attention", queries="tokens", keys="tokens",
        layers=[parts.Layer(module=f"encoder.{2 * i}s", heads=2, weights=f"w{i}") for i in range(layers)],
    )  # fmt: skip
    return made(
        arrays, spaces={"tokens": parts.Space(kind="sequence", items=SOURCE)}, relations={"self": relation},
        flow=flow_steps(layers),
    )  # fmt: skip


def guesses_trace() -> Trace:
    items = ["[CLS]", "the", "[MASK]", "sat", "[SEP]"]
    guess = parts.Guess(item=2, tokens=["cat", "dog", "<b>man</b>"], probabilities=[0.5, 0.25, 0.05])
    other = parts.Guess(item=1, tokens=["the", "a"], probabilities=[0.75, 0.125])
    guesses = parts.Guesses(title="masked words", space="tokens", at=[guess, other])
    classes = parts.Classes(title="sentiment", names=["good", "bad"], probabilities=[0.875, 0.125])
    space = parts.Space(kind="sequence", title="tokens", items=items, special=[0, 4])
    return made({}, spaces={"tokens": space}, guesses=[guesses], classes=classes)
