"""The lines and boxes of one drawn cell.

Nodes stand one below the other in their order.  Above each node are the boxes of its incoming edges with their
operations; a source that is needed further down runs in a lane at the side, as no line may pass through a box.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import sqrt

import networkx

from lnas.core.genotype import Gene
from lnas.host.collapse import is_parameter_free
from lnas.report.text import line

# CSS pixels.  A band is the height in which lines bend: above the boxes, and from the boxes to their node.
_LINE, _CHARACTER, _PAD, _GAP, _RADIUS, _PILL = 16, 6.7, 9, 12, 14, 78
_LANE, _BAND_ABOVE, _BAND_BELOW, _STAGGER = 16, 30, 30, 9

STYLE = (
    ".cell text{font:12px system-ui,sans-serif;fill:var(--ink,#1c2330);text-anchor:middle;dominant-baseline:central}"
    ".cell .op{font:11px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;text-anchor:start}"
    ".cell .small{font-size:11px;fill:var(--muted,#5b6472)}"
    ".cell .index{font-size:9px}"
    ".cell .back{fill:none;stroke:var(--card,#fff);stroke-width:5.5}"
    ".cell .wire{fill:none;stroke:var(--wire,#7b8696);stroke-width:1.5}"
    ".cell .tip{fill:var(--wire,#7b8696)}"
    ".cell .node{fill:var(--card,#fff);stroke:var(--ink,#1c2330);stroke-width:1.5}"
    ".cell .dead{stroke-dasharray:3 3;stroke:var(--muted,#5b6472)}"
    ".cell .box{fill:var(--box,#f3f5f8);stroke:var(--rule,#c9d0da)}"
    ".cell .learns{fill:var(--learns,#2563c9)}.cell .free{fill:var(--free,#c2620a)}"
)
"""Of every cell on a page: the same rules, whichever comes last."""


@dataclass
class _Lane:
    x: float
    slot: int
    """0 is next to the boxes."""
    end: int
    """The last node that is fed from it; the output counts as one past the last node."""
    y: float
    """Down to where it is drawn."""


@dataclass
class Sketch:
    """A drawing that grows downwards; x = 0 is the middle of the boxes.

    Attributes:
        graph: nodes by number in topological order, the genes of an edge in `genes`.
        inputs: the first nodes, by number, and their names.
        outputs: the nodes that the output concatenates; where there are none, the last node is the output.
        y: how far down the drawing goes.
    """

    graph: networkx.DiGraph
    inputs: Mapping[int, str]
    outputs: tuple[int, ...]
    y: float = 4.0
    _wires: dict[str, list[str]] = field(default_factory=dict)
    _shapes: list[str] = field(default_factory=list)
    _lanes: dict[int, _Lane] = field(default_factory=dict)
    """By the source that runs in it."""
    _above: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Source -> (x, y) of the bottom of a node in the row just above, from which a line needs no lane."""
    _reach: float = 0.0
    """The farthest x of a lane."""

    def __post_init__(self) -> None:
        self.nodes = sorted(set(self.graph) - set(self.inputs))
        self.end = len(self.graph)
        widest = max(
            (sum(widths) + _GAP * (len(widths) - 1) for node in self.nodes if (widths := self._widths(node))), default=0.0
        )
        self.half = max(widest, 130 * (len(self.inputs) - 1) + _PILL) / 2
        last = set(self.outputs) or {self.end - 1}
        reaching = last.union(*(networkx.ancestors(self.graph, node) for node in last))
        reached = set(self.inputs).union(*(networkx.descendants(self.graph, node) for node in self.inputs))
        self.useful = reaching & reached

    @property
    def size(self) -> tuple[float, float]:
        """(width, height) of what was drawn."""
        return 2 * (max(self.half, self._reach) + 8), self.y + 4

    def elements(self) -> str:
        """The SVG elements: lines first, each with a wider one in the page's colour under it, which shows who passes over."""
        wires = (f'<path class="back" d="{d}"/><path class="wire" d="{d}"/>' for d in map(" ".join, self._wires.values()))
        return "".join([*wires, *self._shapes])

    def draw(self) -> None:
        """Everything, once."""
        self._draw_inputs()
        for node in self.nodes:
            self._draw_boxes(node)
            self._draw_node(node)
        if self.outputs:
            self._draw_output()

    def _draw_inputs(self) -> None:
        count = len(self.inputs)
        self.y += 13
        for node, name in self.inputs.items():
            x = (node - (count - 1) / 2) * 130
            self._pill(x, self.y, _PILL, name, dead=node not in self.useful)
            self._above[node] = (x, self.y + 13)
        below = self.nodes[0] if self.nodes else self.end
        for node in self.inputs:  # theirs are the inner lanes, as they live longest
            left = node < count / 2
            self._open_lane(node, left=left, below=below, start=self._above[node][0] + (-_PILL if left else _PILL) / 2)
        self.y += 13

    def _draw_boxes(self, node: int) -> None:
        widths = dict(zip(sorted(self.graph.pred[node]), self._widths(node), strict=True))
        sources = sorted(widths, key=self._x_of)  # in the order of their lines, which then do not cross
        top, x = self._top_of_row(sources), -(sum(widths.values()) + _GAP * (len(sources) - 1)) / 2
        ends, height = [], 0.0
        for source in sources:
            genes: list[Gene] = self.graph.edges[source, node]["genes"]
            middle, box_height = x + widths[source] / 2, len(genes) * _LINE + 8
            self._feed(source, middle, top)
            self._box(x, top, widths[source], box_height, genes)
            ends.append((middle, top + box_height))
            height = max(height, box_height)
            x += widths[source] + _GAP
        bottom = top + height
        self.y = bottom + _BAND_BELOW + 5 * max(len(ends) - 2, 0) + _RADIUS
        for index, (middle, end) in enumerate(ends):
            across = (index - (len(ends) - 1) / 2) * min(8.0, 1.5 * _RADIUS / len(ends))
            above = 13 if self._is_output(node) else sqrt(_RADIUS**2 - across**2)
            self._path(f"into {node}", f"M{middle:.1f},{end:.1f} V{bottom:.1f}")  # past the taller boxes beside it
            self._wire(f"into {node}", middle, bottom, across, self.y - above, tip=True)
        self._lanes = {source: lane for source, lane in self._lanes.items() if lane.end > node}

    def _draw_node(self, node: int) -> None:
        dead = node not in self.useful
        if self._is_output(node):
            self._pill(0, self.y, _PILL, "output", dead=dead)
        else:
            self._shapes.append(f'<circle class="node{" dead" * dead}" cx="0" cy="{self.y:.1f}" r="{_RADIUS}"/>')
            self._text(0, self.y, escape(str(node)))
        if not self.graph.pred[node]:
            self._text(0, self.y - _RADIUS - 9, "no input", kind="small")
        self._above = {node: (0, self.y + _RADIUS)}
        left = 2 * sum(lane.x < 0 for lane in self._lanes.values()) <= len(self._lanes)
        self._open_lane(node, left=left, below=node + 1, start=-_RADIUS if left else _RADIUS)
        self.y += _RADIUS

    def _draw_output(self) -> None:
        sources = sorted(set(self.outputs), key=self._x_of)
        text = "output" if len(sources) == 1 else "concatenation"
        if len(self.inputs) == 2 and len(sources) > 1:
            text += " → c_k"
        width = max(_PILL, 8 * len(text) + 24, 14 * len(sources))
        top = self._top_of_row(sources) + 4
        for index, source in enumerate(sources):
            self._feed(source, (index - (len(sources) - 1) / 2) * min(30.0, (width - 26) / len(sources)), top, tip=True)
        self._pill(0, top + 13, width, text, dead=False)
        self.y = top + 26

    def _is_output(self, node: int) -> bool:
        return not self.outputs and node == self.end - 1

    def _x_of(self, source: int) -> tuple[float, int]:
        """Where the line of `source` comes from."""
        return (self._above[source][0] if source in self._above else self._lanes[source].x), source

    def _top_of_row(self, sources: Sequence[int]) -> float:
        """Below a band in which each lane has its own height to turn at, the inner ones first: they go the farthest in."""
        slots = [self._lanes[source].slot for source in sources if source not in self._above]
        return self.y + _BAND_ABOVE + _STAGGER * max(slots, default=0)

    def _open_lane(self, source: int, *, left: bool, below: int, start: float) -> None:
        """A lane for `source`, from (start, y) on, if anything after the row of node `below` needs it."""
        end = max([*self.graph.succ[source], *([self.end] if source in self.outputs else [])], default=below)
        if end <= below:
            return
        side = -1 if left else 1
        taken = {lane.slot for lane in self._lanes.values() if lane.x * side > 0}
        slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        x = side * (self.half + _LANE * (slot + 1))
        self._reach = max(self._reach, abs(x))
        self._path(
            f"from {source}", f"M{start:.1f},{self.y:.1f} H{x - 8 * side:.1f} Q{x:.1f},{self.y:.1f} {x:.1f},{self.y + 8:.1f}"
        )
        self._lanes[source] = _Lane(x, slot, end, self.y + 8)

    def _feed(self, source: int, x: float, top: float, *, tip: bool = False) -> None:
        """From the node just above, or from the lane of `source`, to (x, top)."""
        net = f"from {source}"
        if source in self._above:
            self._wire(net, *self._above[source], x, top, tip=tip)
            return
        lane = self._lanes[source]
        turn = self.y + _STAGGER * lane.slot
        self._path(net, f"M{lane.x:.1f},{lane.y:.1f} V{turn:.1f}")
        self._wire(net, lane.x, turn, x, top, tip=tip)
        lane.y = turn

    def _wire(self, net: str, x: float, y: float, to_x: float, to_y: float, *, tip: bool) -> None:
        end = to_y - 6 if tip else to_y
        middle = (y + end) / 2
        self._path(net, f"M{x:.1f},{y:.1f} C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{end:.1f}")
        if tip:
            self._shapes.append(f'<path class="tip" d="M{to_x:.1f},{to_y:.1f} l-4,-7 h8 z"/>')

    def _path(self, net: str, d: str) -> None:
        """Lines of one net (all from a source, or all into a node) join where they touch."""
        self._wires.setdefault(net, []).append(d)

    def _widths(self, node: int) -> list[float]:
        return [
            max(len(_caption(gene)) for gene in self.graph.edges[source, node]["genes"]) * _CHARACTER + 2 * _PAD + 12
            for source in sorted(self.graph.pred[node])
        ]

    def _box(self, x: float, y: float, width: float, height: float, genes: Sequence[Gene]) -> None:
        self._shapes.append(f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="5"/>')
        for index, gene in enumerate(genes):
            middle = y + 4 + (index + 0.5) * _LINE
            kind = "free" if is_parameter_free(gene.operation) else "learns"
            self._shapes.append(f'<rect class="{kind}" x="{x + _PAD:.1f}" y="{middle - 3.5:.1f}" width="7" height="7" rx="1.5"/>')
            self._text(x + _PAD + 12, middle, escape(_caption(gene)), kind="op")

    def _pill(self, x: float, y: float, width: float, text: str, *, dead: bool) -> None:
        place = f'x="{x - width / 2:.1f}" y="{y - 13:.1f}" width="{width:.1f}" height="26" rx="13"'
        self._shapes.append(f'<rect class="node{" dead" * dead}" {place}/>')
        self._text(x, y, "".join(_lowered(text)))

    def _text(self, x: float, y: float, content: str, *, kind: str = "") -> None:
        attributes = f' class="{kind}"' if kind else ""
        self._shapes.append(f'<text{attributes} x="{x:.1f}" y="{y:.1f}">{content}</text>')


def _caption(gene: Gene) -> str:
    name = line(gene.operation, most=28)
    return name if gene.weight == 1 else f"{name} ×{gene.weight:.3g}"


def _lowered(text: str) -> Iterator[str]:
    """SVG of a text in which the index of `c_k` or `c_{k-1}` stands lower."""
    head, underscore, index = text.partition("_")
    yield escape(head)
    if underscore:
        yield f'<tspan class="index" dy="4">{escape(index.strip("{}").replace("-", "−"))}</tspan>'
