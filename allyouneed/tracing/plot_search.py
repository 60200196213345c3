"""A picture of how a translation was searched: the tree of a beam."""

from allyouneed.errors import UserError
from allyouneed.tracing.labels import cut, label
from allyouneed.tracing.manifest import Beam, Node
from allyouneed.tracing.sheet import Sheet
from allyouneed.tracing.svg import element, figure, text, title
from allyouneed.tracing.trace import Trace
from allyouneed.tracing.view import Wanted

BLUE, GREY = "#0072b2", "#8a8f98"
WIDE, HIGH, BOX, TALL = 98.0, 40.0, 76.0, 30.0
PER_LINE = 7
"""Steps that are drawn beside each other, after the first."""

LONGEST = 10
PRUNED = 3
"""Of those given up, so many of a step are drawn, the best: the others say nothing that these do not."""


def beam(trace: Trace, wanted: Wanted) -> Sheet:
    """From left to right the steps, in each the best on top; thick is what was given as the translation."""
    searched = trace.manifest.beam
    if searched is None or not searched.nodes:
        raise UserError("the trace holds no beam search; record a translation with a beam, as `run.look(...)` does")
    columns = _columns(searched)
    starts = range(0, max(len(columns) - 1, 1), PER_LINE)
    parts = [_line(searched, columns[start : start + PER_LINE + 1], start) for start in starts]
    left = len(searched.nodes) - sum(map(len, columns))
    below = f"Length penalty {searched.penalty}, alpha {searched.alpha:g}. In a box: the token, and the score so far."
    note = "Thick: the translation given. Double: ended. Dashed: given up."
    note += f" {left} more that were given up are not drawn." if left else ""
    return Sheet(f"Beam search, width {searched.width}", below, parts, note)


def _line(searched: Beam, columns: list[list[int]], start: int) -> str:
    """Some steps of the tree. A line begins with the step that ended the one before, so that no edge is cut."""
    places = {i: (x * WIDE, 22 + rank * HIGH) for x, ranked in enumerate(columns) for rank, i in enumerate(ranked)}
    best = set(searched.best)
    edges = [_edge(searched.nodes[i].parent, i, places, best) for i in places if searched.nodes[i].parent in places]
    boxes = [_box(searched.nodes[i], place, i in best) for i, place in places.items()]
    steps = [text(f"step {start + i + 1}", x=i * WIDE, y=11, font_size=10, class_="axis") for i in range(len(columns))]
    width, height = (len(columns) - 1) * WIDE + BOX + 4, 22 + HIGH * max(map(len, columns))
    drawn = element("g", *steps, *edges, *boxes, transform="translate(2 0)", fill="currentColor")
    return figure(width, height, f"tree of the beam search from step {start + 1}", drawn)


def _columns(searched: Beam) -> list[list[int]]:
    """Nodes of each step, the best first; of those given up only some, and every parent of one drawn."""
    nodes = searched.nodes
    columns: list[list[int]] = [[] for _ in range(max(node.step for node in nodes) + 1)]
    for index in sorted(range(len(nodes)), key=lambda i: -nodes[i].score):
        columns[nodes[index].step].append(index)
    parents = {node.parent for node in nodes} | set(searched.best)
    out = []
    for column in columns:
        lost = [i for i in column if nodes[i].state == "pruned" and i not in parents][PRUNED:]
        out.append([i for i in column if i not in lost])
    return out


def _edge(start: int, end: int, places: dict[int, tuple[float, float]], best: set[int]) -> str:
    (x1, y1), (x2, y2) = places[start], places[end]
    x1, y1, y2 = x1 + BOX, y1 + TALL / 2, y2 + TALL / 2
    middle, chosen = (x1 + x2) / 2, start in best and end in best
    path = f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return element("path", d=path, fill="none", stroke=BLUE if chosen else GREY, stroke_width=2.6 if chosen else 0.9,
                   class_="edge best" if chosen else "edge")  # fmt: skip


def _box(node: Node, place: tuple[float, float], chosen: bool) -> str:
    x, y = place
    lost = node.state == "pruned"
    says = title(
        f"{node.text}: log probability {node.log_probability:.3f}, sum {node.total:.3f}, score {node.score:.3f}"
    )
    look = dict(fill="#ffffff", stroke=BLUE if chosen else GREY, stroke_width=2.2 if chosen else 1,
                stroke_dasharray="3 3" if lost else None)  # fmt: skip
    parts = [element("rect", says, x=x, y=y, width=BOX, height=TALL, rx=3, class_=f"node {node.state}", **look)]
    if node.state == "finished":
        parts.append(element("rect", x=x + 3, y=y + 3, width=BOX - 6, height=TALL - 6, rx=1.5, fill="none",
                             stroke=look["stroke"], stroke_width=0.8))  # fmt: skip
    weight = 600 if chosen else None
    faint = "0.75" if lost else None
    parts.append(label(cut(node.text, LONGEST), x=x + BOX / 2, y=y + 13, text_anchor="middle", font_size=11,
                       font_weight=weight, fill_opacity=faint))  # fmt: skip
    parts.append(
        text(f"{node.score:.2f}", x=x + BOX / 2, y=y + 24.5, text_anchor="middle", font_size=9, fill_opacity=faint)
    )
    return element("g", *parts, fill="currentColor")
