"""What a trace says: spaces, the relations between them, and what else happened. Numbers lie beside it, as arrays.

A *space* is a list of things with a geometry (tokens in a row, patches in a grid); a *relation* says how much each of one
space had to do with each of another, per layer and head. Every screen and picture is a function of these, so a new
model declares its spaces and relations and needs no screen of its own.

This page is the format: its JSON schema is published as docs/trace.schema.json. Fields of
type `Array` hold names of arrays in the same file. Layers, heads and items count from 0 here, from 1 where people read.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

VERSION = 1


def library() -> str:
    """The version of allyouneed that runs here, for `ModelCard.library`."""
    try:
        return version("allyouneed")
    except PackageNotFoundError:  # run from its folder, not installed
        return ""


class Array(str):
    """The name of an array of the trace: a type of its own, so that a trace can check that it holds all it names."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, source: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(source), "format": "array"}


class Part(BaseModel):
    """Unknown fields are refused, so that a misspelt one is not lost in silence."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class ModelCard(Part):
    """Which model it was."""

    name: str = Field(description="Its name in the catalogue, or its class.")
    task: str = Field("", description="What it was trained for.")
    parameters: int = Field(0, description="Numbers that were learned.")
    orders: list[str] = Field([], description="Order strings, the encoder's first: one letter for each sublayer.")
    run: str = Field("", description="The run's folder name, if it came from one.")
    library: str = Field("", description="Version of allyouneed that recorded it.")


class Space(Part):
    """A list of things that look or are looked at."""

    kind: Literal["sequence", "grid"]
    title: str = Field("", description="For people: source, translation, patches.")
    items: list[str] = Field(
        [], description="A label for each, as a person reads it. A grid's prefix comes first; its cells need none."
    )
    special: list[int] = Field([], description="Items that are marks of the model and not of the text, as </s>.")
    language: str = Field("", description="BCP 47 code, if known.")
    rows: int = Field(0, description="Of a grid.")
    columns: int = Field(0, description="Of a grid.")
    prefix: int = Field(0, description="Items before a grid's cells, such as [CLS].")
    picture: Array | None = Field(None, description="What a grid lies on: y x 3, uint8; cells part it evenly.")

    @property
    def size(self) -> int:
        return len(self.items) if self.kind == "sequence" else self.prefix + self.rows * self.columns


class Layer(Part):
    """One layer's heads. Either `weights`, or `q` and `k` of which they are made, or `pooled` alone where all is too much.

    weights = softmax(q k^T * scale) over the cells that may be seen.
    """

    module: str = Field(description="The module's name in the model; a later call of the same has #2, #3 at its end.")
    heads: int
    weights: Array | None = Field(None, description="h n m, float32 or float16.")
    q: Array | None = Field(None, description="h n k, float32 or float16, as the product takes it (after rotations).")
    k: Array | None = Field(None, description="h m k or 1 m k.")
    scale: float = 1.0
    visible: Array | None = Field(None, description="1 n m or h n m, uint8: 1 where looking was allowed; none: all.")
    causal: bool = Field(False, description="Item i may see items up to i (with `visible`, both must allow).")
    overview: Array | None = Field(
        None, description="h y x, uint8, at most 48 by 48: 255 * sqrt(largest weight of the block / `overview_max`)."
    )
    overview_max: float = 1.0
    pooled: Array | None = Field(
        None,
        description="h y x, uint8, at most 256 by 256, as the overview, where neither weights nor q and k are kept.",
    )
    entropy: list[float] = Field([], description="Per head: mean over rows, in bits.")
    distance: list[float] = Field([], description="Per head: mean distance looked over, in items; empty across spaces.")
    error: float | None = Field(
        None, description="Largest difference between weights times values and the layer's real output, of rows drawn."
    )
    output_rows: int = Field(0, description="Rows that were compared.")


class Relation(Part):
    """Who had to do with whom."""

    kind: Literal["attention", "signed"] = Field(
        description="attention: weights of a row sum to one. signed: any weights (lambda layers, token mixing)."
    )
    title: str = Field(description="For people: encoder self-attention.")
    queries: str = Field(description="Name of the space that looks; rows.")
    keys: str = Field(description="Name of the space that is looked at; columns.")
    layers: list[Layer] = Field(description="From input to output. Of a repeated layer, one for each time.")
    input_independent: bool = Field(False, description="The same for every input, as a token-mixing matrix.")
    note: str = Field("", description="One sentence on how it came about, such as a second reading.")


class Halting(Part):
    """Universal Transformer: how sure each item was to stop, step by step."""

    title: str
    space: str
    probabilities: Array = Field(description="steps n, float32; 0 after the item has halted.")
    updates: Array = Field(description="n, float32: steps taken.")
    remainders: Array = Field(description="n, float32.")
    relation: str | None = Field(None, description="The relation whose layers are these steps.")


class Buckets(Part):
    """Reformer: where each round of hashing put each item."""

    title: str
    space: str
    relation: str
    layer: int
    buckets: Array = Field(description="rounds n, int32, or heads rounds n.")
    order: Array = Field(description="of the same shape: items sorted by bucket.")
    chunk: int = Field(description="Items of a chunk of the sorted order; a chunk sees itself and the one before.")


class Permutation(Part):
    """Shuffle-exchange: where a layer sends each item."""

    title: str
    space: str
    layer: int
    targets: Array = Field(description="n, int32: item i goes to place targets[i].")


class Positions(Part):
    """The codes of places that the model really uses."""

    title: str
    space: str = Field(description="Whose places they are; empty where they number the steps of a recurrence in depth.")
    codes: Array = Field(description="n d, float32; n may be more than the space's items.")
    sinusoidal: bool = False


class Node(Part):
    """A token that the search wrote, or thought of."""

    step: int = Field(description="From 0: the first token after the beginning.")
    parent: int = Field(description="Index of the node before; -1 at the first step.")
    text: str
    token: int
    log_probability: float
    total: float = Field(description="Sum of the log probabilities so far.")
    score: float = Field(description="After the length penalty: what the search compares.")
    state: Literal["kept", "pruned", "finished"]
    reading: int = Field(-1, description="Row of the cross-attention when this token was chosen; -1: not kept.")


class Beam(Part):
    """How the translation was searched."""

    width: int
    penalty: str = Field(description="The length penalty by name.")
    alpha: float
    nodes: list[Node]
    best: list[int] = Field(description="Nodes of the translation given, from the first.")
    sources: str = Field(description="The space that is looked at.")
    cross: list[Array] = Field(
        [], description="Per layer, readings h m, float32: weights recorded in the search itself."
    )


class Guess(Part):
    """What the model would put at an item."""

    item: int
    tokens: list[str]
    probabilities: list[float] = Field(description="Of these tokens; the rest to one is the others'.")


class Guesses(Part):
    title: str
    space: str
    at: list[Guess]


class Classes(Part):
    """The answer of a classifier."""

    title: str
    names: list[str]
    probabilities: list[float]


class Step(Part):
    """A module that ran, in order: its shapes and cost."""

    name: str
    kind: str = Field(description="Its class.")
    depth: int = Field(description="0 for the whole model.")
    input: list[int]
    output: list[int]
    parameters: int
    letter: str = Field("", description="Its letter in the order string, if it is a sublayer.")
    relation: str | None = None
    layer: int | None = None


class Manifest(Part):
    """All of it."""

    format: Literal["allyouneed-trace"] = "allyouneed-trace"
    version: Literal[1] = 1
    title: str = ""
    input: str = Field("", description="What was given, as text; empty for an image.")
    output: str = Field("", description="What came out, as text.")
    model: ModelCard
    spaces: dict[str, Space] = {}
    relations: dict[str, Relation] = {}
    positions: list[Positions] = []
    halting: list[Halting] = []
    buckets: list[Buckets] = []
    permutations: list[Permutation] = []
    beam: Beam | None = None
    guesses: list[Guesses] = []
    classes: Classes | None = None
    flow: list[Step] = []
    notes: list[str] = Field([], description="What a reader must know: what was cut, pooled or left out.")
