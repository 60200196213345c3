"""Traces whose pictures are known beforehand: each head does one thing, so a test can say which cell must be bright."""

import numpy as np

from allyouneed.tracing.manifest import Array, Layer, Manifest, ModelCard, Relation, Space
from allyouneed.tracing.trace import Trace, softmax

GERMAN = ["Ein", "▁kleiner", "▁Hund", "▁läuft", "▁.", "</s>"]
ENGLISH = ["A", "▁small", "▁dog", "▁runs", "▁.", "</s>"]
HOSTILE = [
    "</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "<!--", "]]>", "&lt;b&gt;",
    '"onmouseover="window.hacked=1', "שלום", "مرحبا بالعالم", "模型", "👩‍👩‍👧",
    "", " ", "\n", "\u2028", "x" * 4000, "{t}", "__proto__",
]  # fmt: skip


def copy(n: int, m: int) -> np.ndarray:  # n m
    """Looks at its own place."""
    return np.eye(n, m, dtype=np.float32)


def previous(n: int, m: int) -> np.ndarray:
    """Looks at the place before; the first at itself."""
    return np.eye(m, dtype=np.float32)[np.maximum(np.arange(n) - 1, 0)]


def first(n: int, m: int) -> np.ndarray:
    """Nine tenths go to the first place, the rest evenly to the others."""
    weights = np.full((n, m), 0.1 / max(1, m - 1), np.float32)
    weights[:, 0] = 0.9 if m > 1 else 1
    return weights


def uniform(n: int, m: int) -> np.ndarray:
    return np.full((n, m), 1 / m, np.float32)


def blurred(n: int, m: int) -> np.ndarray:
    """Mostly its own place, in proportion, with a soft edge: what a translator's cross-attention looks like."""
    rows, columns = np.arange(n)[:, None] / max(1, n - 1), np.arange(m)[None] / max(1, m - 1)
    powers = np.exp(-((rows - columns) ** 2) * 60)
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def masked(weights: np.ndarray) -> np.ndarray:
    """Of what a causal row may see, summing to one."""
    n, m = weights.shape
    seen = np.tril(weights, m - n)
    total = seen.sum(1, keepdims=True)
    return np.where(
        total > 0, seen / np.where(total > 0, total, 1), np.tril(uniform(n, m)) * m / np.arange(1, n + 1)[:, None]
    )


def sequence(items: list[str], title: str = "", language: str = "") -> Space:
    special = [i for i, item in enumerate(items) if item in ("</s>", "[CLS]", "[SEP]")]
    return Space(kind="sequence", title=title, items=items, special=special, language=language)


def entropy(weights: np.ndarray) -> list[float]:  # h n m
    logs = np.log2(np.where(weights > 0, weights, 1))
    return [float(value) for value in -(weights * logs).sum(-1).mean(-1)]


def distance(weights: np.ndarray) -> list[float]:
    _, n, m = weights.shape
    away = np.abs(np.arange(n)[:, None] - np.arange(m)[None])
    return [float((head * away).sum(-1).mean()) for head in weights]


class Maker:
    """Collects layers and their arrays."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def keep(self, name: str, array: np.ndarray) -> Array:
        self.arrays[name] = array
        return Array(name)

    def layer(self, name: str, weights: np.ndarray, causal: bool = False, across: bool = False) -> Layer:
        if causal:
            weights = np.stack([masked(head) for head in weights])
        return Layer(
            module=name, heads=len(weights), weights=self.keep(f"{name}.weights", weights.astype(np.float32)), causal=causal,
            entropy=entropy(weights), distance=[] if across else distance(weights), error=3e-7, output_rows=8,
        )  # fmt: skip

    def relation(self, name: str, queries: str, keys: str, layers: list[np.ndarray], causal: bool = False) -> Relation:
        title = {"encoder": "encoder self-attention", "decoder": "decoder self-attention", "cross": "cross-attention"}
        made = [self.layer(f"{name}.{i}", weights, causal, queries != keys) for i, weights in enumerate(layers)]
        return Relation(
            kind="attention", title=title.get(name, "self-attention"), queries=queries, keys=keys, layers=made
        )


HEADS = (copy, previous, first, uniform)


def translator(source: list[str] | None = None, target: list[str] | None = None, layers: int = 2) -> Trace:
    """Encoder, decoder and cross; head 0 copies, 1 looks back, 2 at the first, 3 everywhere. Cross-attention is aligned."""
    source, target = source or GERMAN, target or ENGLISH
    n, m, maker = len(target), len(source), Maker()
    cross = [np.stack([blurred(n, m), uniform(n, m), first(n, m), blurred(n, m)]) for _ in range(layers)]
    relations = {
        "encoder": maker.relation("encoder", "source", "source", [np.stack([f(m, m) for f in HEADS])] * layers),
        "decoder": maker.relation(
            "decoder", "target", "target", [np.stack([f(n, n) for f in HEADS])] * layers, causal=True
        ),
        "cross": maker.relation("cross", "target", "source", cross),
    }
    card = ModelCard(
        name="transformer",
        task="translation",
        parameters=5_200_000,
        orders=["sf" * layers + "n", "scf" * layers + "n"],
        run="demo",
    )
    manifest = Manifest(
        title="demo", input="Ein kleiner Hund läuft .", output="A small dog runs .", model=card, relations=relations,
        spaces={"source": sequence(source, "source", "de"), "target": sequence(target, "translation", "en")},
    )  # fmt: skip
    return Trace(manifest, maker.arrays)


def encoder(items: list[str], heads: int = 4, layers: int = 1, causal: bool = False, name: str = "bert") -> Trace:
    """A one-stack model whose heads repeat the four in turn."""
    n, maker = len(items), Maker()
    maps = [np.stack([HEADS[(head + layer) % 4](n, n) for head in range(heads)]) for layer in range(layers)]
    relation = maker.relation("self", "tokens", "tokens", maps, causal)
    card = ModelCard(name=name, task="masked-lm", parameters=1_000, orders=["sf" * layers])
    return Trace(
        Manifest(model=card, spaces={"tokens": sequence(items, "tokens")}, relations={"self": relation}), maker.arrays
    )


def hostile() -> Trace:
    """Labels that would do harm if they were markup, and that are hard to set."""
    trace = encoder(HOSTILE, heads=2)
    trace.manifest.title = trace.manifest.input = HOSTILE[0]
    trace.manifest.output, trace.manifest.notes = HOSTILE[1], [HOSTILE[1]]
    return trace


def overviewed(weights: np.ndarray, most: int = 48) -> tuple[np.ndarray, float]:  # h n m -> h y x uint8, its largest
    """The largest of each block, as the root of its share of the largest of all."""
    _, n, m = weights.shape
    y, x = min(n, most), min(m, most)
    rows, columns = np.arange(n) * y // n, np.arange(m) * x // m
    down = np.maximum.reduceat(weights, np.searchsorted(rows, np.arange(y)), axis=1)
    small = np.maximum.reduceat(down, np.searchsorted(columns, np.arange(x)), axis=2)
    top = float(small.max())
    return np.round(255 * np.sqrt(small / top)).astype(np.uint8), top


def large(n: int = 512, layers: int = 12, heads: int = 12, k: int = 64, kept: str = "qk") -> Trace:
    """Queries and keys of which head 0 looks at its own place, the others at random; kept="pooled" keeps pictures only."""
    draw, maker, made = np.random.default_rng(0), Maker(), []
    for i in range(layers):
        q, key = (draw.standard_normal((heads, n, k)).astype(np.float32) for _ in range(2))
        q[0] = key[0] * 4
        few = slice(0, heads if n <= 512 and layers == 1 else 1)
        weights = softmax(q[few] @ key[few].swapaxes(-1, -2) / np.sqrt(k), np.ones((1, 1, 1), bool))
        small, top = overviewed(weights)
        small = np.broadcast_to(small, (heads, *small.shape[1:])) if len(small) == 1 else small
        layer = Layer(
            module=f"layers.{i}",
            heads=heads,
            scale=k**-0.5,
            overview=maker.keep(f"{i}.overview", small),
            overview_max=top,
            error=4e-7,
        )
        if kept == "pooled":
            layer.pooled = maker.keep(
                f"{i}.pooled",
                np.ascontiguousarray(
                    np.broadcast_to(overviewed(weights, 256)[0][:1], (heads, min(n, 256), min(n, 256)))
                ),
            )
        else:
            layer.q, layer.k = maker.keep(f"{i}.q", q), maker.keep(f"{i}.k", key)
        layer.entropy, layer.distance = [3.0] * heads, [float(n) / 3] * heads
        made.append(layer)
    relation = Relation(kind="attention", title="self-attention", queries="tokens", keys="tokens", layers=made)
    card = ModelCard(name="bert-base", task="masked-lm", parameters=110_000_000, orders=["sf" * layers])
    spaces = {"tokens": sequence([f"t{i}" for i in range(n)], "tokens")}
    return Trace(Manifest(model=card, spaces=spaces, relations={"self": relation}), maker.arrays)


def grid(rows: int = 4, columns: int = 6, heads: int = 2) -> Trace:
    """Patches with one mark before them: each looks at itself, or at the mark. The picture's columns brighten."""
    n, maker = 1 + rows * columns, Maker()
    relation = maker.relation(
        "self", "patches", "patches", [np.stack([HEADS[(0, 2)[head % 2]](n, n) for head in range(heads)])]
    )
    picture = np.zeros((rows * 16, columns * 16, 3), np.uint8)
    picture[...] = (np.arange(columns * 16) * 255 // (columns * 16))[None, :, None]
    space = Space(
        kind="grid",
        title="patches",
        items=["[CLS]"],
        prefix=1,
        rows=rows,
        columns=columns,
        picture=maker.keep("picture", picture),
    )
    card = ModelCard(name="vit", task="image-classification", parameters=2_000, orders=["sf"])
    return Trace(Manifest(model=card, spaces={"patches": space}, relations={"self": relation}), maker.arrays)
