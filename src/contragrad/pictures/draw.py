"""Drawings of architectures: a genome's blocks from top to bottom, what each reads and what it gives.

The page is laid out in points and grows with the genome. It has no background, so that it stands on a
light page or a dark one.

Source: figure 4, appendix A.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contragrad.evolution.genome import Block, Cat, Conv, Genome, Pool, Strided, Sum, fault, sources
from contragrad.evolution.shapes import HEAD_EDGE, Problem, Shape, head_shape, shapes
from contragrad.pictures.picture_file import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path as Line

# Okabe and Ito's colours, which colour-blind people tell apart, each with a text colour that is read on it.
COLOURS: dict[type[Block], tuple[str, str]] = {
    Conv: ("#56B4E9", "black"),
    Strided: ("#0072B2", "white"),
    Pool: ("#E69F00", "black"),
    Sum: ("#009E73", "black"),
    Cat: ("#CC79A7", "black"),
}
END = ("#BBBBBB", "black")
"""Of the image and the head."""

INK = "#767676"
"""A grey that is read on white and on black."""

TEXT, TITLE = 9.0, 11.0
LINE = 2 * TEXT
"""From one line of text to the next."""

HEIGHT, PITCH, LANE, SPACE = 26.0, 44.0, 9.0, 8.0
"""A box's height, from one box to the next, from one arc to the next, and the space around text."""

LEAVES, ARRIVES = 8.0, (-8.0, 0.0)
"""Where arcs touch a box, below its middle: all that leave at one place, each that arrives at its own."""

DASHED = "dashed: halved to the other's size"
PADDED = "sum: channels that one lacks are zeros"


@dataclass(frozen=True, slots=True)
class _Box:
    name: str
    number: str
    words: str
    shape: str
    colours: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Edge:
    """That `place` reads `source`, both counted as boxes are, from the image, 0."""

    source: int
    place: int
    halves: bool


def architecture(genome: Genome, problem: Problem, path: Path, title: str = "") -> None:
    """Writes a drawing of the genome's network; the same arguments give the same bytes.

    A box stands for each block and each layer of the head, with the shape of what it gives, channels x
    height x width, on its right. An arrow leads from a block to the next if that reads it; what a skip
    block reads from further above comes by an arc on the left. They are dashed where the map is halved
    on its way, because the skip block's other map is smaller. In an SVG, text is text and what is drawn
    has an id: `block-3`, `arrow-2-3`, `arc-1-3`.

    Args:
        genome: a valid one, of any number of blocks.
        problem: what the network is for.
        path: ends in `.svg` or `.png`.
        title: a line above the drawing.

    Raises:
        ValueError: if the genome is no valid network.
        UserError: if matplotlib is missing or the file cannot be written.
    """
    if why := fault(genome):
        raise ValueError(why)
    boxes = tuple(_boxes(genome, problem))
    edges = tuple(_edges(genome, problem, len(boxes)))
    arcs = _lanes([edge for edge in edges if edge.place - edge.source > 1])
    notes = tuple(_notes(genome, problem, edges))
    with picture(path) as figure:
        number = max(_width(box.number, weight="bold") for box in boxes)
        width = number + max(_width(box.words) for box in boxes) + 3 * SPACE
        left = LANE * len(set(arcs.values())) + 4 * SPACE
        right = left + width + max(_width(box.shape) for box in boxes) + 3 * SPACE
        right = max(
            right,
            left + max(map(_width, notes), default=0.0) + 2 * SPACE,
            _width(title, TITLE, "bold") + 4 * SPACE,
        )
        top = 2 * SPACE + (2 * TITLE if title else 0)
        middles = [top + HEIGHT / 2 + PITCH * place for place in range(len(boxes))]
        bottom = middles[-1] + HEIGHT / 2 + 2 * SPACE + LINE * len(notes)
        figure.set_size_inches(right / 72, bottom / 72)
        figure.patch.set_visible(False)
        page = figure.add_axes((0, 0, 1, 1), xlim=(0, right), ylim=(bottom, 0))
        page.set_axis_off()
        page.text(
            2 * SPACE, 2 * SPACE, title, size=TITLE, weight="bold", color=INK, va="top", parse_math=False
        )
        for place, note in enumerate(reversed(notes)):
            page.text(left, bottom - 2 * SPACE - LINE * place, note, size=TEXT, color=INK, va="bottom")
        for box, middle in zip(boxes, middles, strict=True):
            _draw_box(page, box, left, middle, width, number)
        for edge in edges:
            start, end = middles[edge.source], middles[edge.place]
            if edge in arcs:
                nearer = any(arc.place == edge.place and arc.source > edge.source for arc in arcs)
                outside = left - 2 * SPACE - LANE * arcs[edge]
                line = _around(left, outside, start + LEAVES, end + ARRIVES[nearer])
                _draw_line(page, edge, line, "arc", boxes[edge.place].colours[0])
            else:
                middle = left + width / 2
                line = _straight(middle, start + HEIGHT / 2, end - HEIGHT / 2)
                _draw_line(page, edge, line, "arrow", INK)


def _notes(genome: Genome, problem: Problem, edges: Sequence[_Edge]) -> Iterator[str]:
    """What the drawing alone does not say."""
    if any(edge.halves for edge in edges):
        yield DASHED
    shape = shapes(genome, problem)
    sums = (block for block in genome.blocks if isinstance(block, Sum))
    if any(shape[block.first].channels != shape[block.second].channels for block in sums):
        yield PADDED


def _boxes(genome: Genome, problem: Problem) -> Iterator[_Box]:
    shape = shapes(genome, problem)
    yield _Box("image", "", "image", _size(shape[0], problem), END)
    for place, block in enumerate(genome.blocks, start=1):
        size = _size(shape[place], problem)
        yield _Box(f"block-{place}", str(place), _words(block), size, COLOURS[type(block)])
    if (pooled := head_shape(shape[-1], problem)) != shape[-1]:
        words = f"average pool to at most {HEAD_EDGE} x {HEAD_EDGE}"
        yield _Box("pool", "", words, _size(pooled, problem), END)
    yield _Box("hidden", "", f"fully connected, {genome.hidden}", f"{genome.hidden}", END)
    yield _Box("classes", "", f"fully connected, {problem.classes} classes", f"{problem.classes}", END)


def _words(block: Block) -> str:
    match block:
        case Conv(channels, kernel):
            return f"conv {kernel}x{kernel}, {channels}"
        case Strided(channels, kernel):
            return f"conv {kernel}x{kernel}, {channels}, stride 2"
        case Pool(kind, kernel):
            return f"pool {kind} {kernel}"
        case Sum(first, second):
            return f"sum of {first} and {second}"
        case Cat(first, second):
            return f"concatenation of {first} and {second}"


def _size(shape: Shape, problem: Problem) -> str:
    return " x ".join(map(str, shape.size(problem)))


def _edges(genome: Genome, problem: Problem, boxes: int) -> Iterator[_Edge]:
    shape = shapes(genome, problem)
    for place in range(1, len(shape)):
        read = sources(genome, place)
        smallest = max(shape[source].halvings for source in read)
        for source in read:
            yield _Edge(source, place, shape[source].halvings < smallest)
    for place in range(len(shape), boxes):
        yield _Edge(place - 1, place, halves=False)


def _lanes(arcs: list[_Edge]) -> dict[_Edge, int]:
    """The arcs with how far out each runs, from 0: shorter ones further in, none on top of another."""
    lanes: dict[_Edge, int] = {}
    for arc in sorted(arcs, key=lambda arc: (arc.place - arc.source, arc.place)):
        beside = {
            lane for other, lane in lanes.items() if other.source < arc.place and arc.source < other.place
        }
        lanes[arc] = next(lane for lane in range(len(arcs)) if lane not in beside)
    return lanes


def _width(text: str, size: float = TEXT, weight: str = "normal") -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(size=size, weight=weight)
    width: float = TextToPath().get_text_width_height_descent(text, font, ismath=False)[0]
    return width


def _straight(x: float, start: float, end: float) -> "Line":
    from matplotlib.path import Path as Line

    return Line([(x, start), (x, end)])


def _around(left: float, outside: float, start: float, end: float) -> "Line":
    """From the left edge of a box out, down and back in, with round corners."""
    from matplotlib.path import Path as Line

    beside, below, above = outside + LANE, start + LANE, end - LANE
    out = [(left, start), (beside, start), (outside, start), (outside, below)]
    back = [(outside, above), (outside, end), (beside, end), (left, end)]
    turn = [Line.CURVE3, Line.CURVE3]
    return Line(out + back, [Line.MOVETO, Line.LINETO, *turn, Line.LINETO, *turn, Line.LINETO])


def _draw_box(page: "Axes", box: _Box, left: float, middle: float, width: float, number: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    colour, ink = box.colours
    corner = (left, middle - HEIGHT / 2)
    rounded = "round,pad=0,rounding_size=6"
    page.add_patch(FancyBboxPatch(corner, width, HEIGHT, rounded, fc=colour, ec="none", gid=box.name))
    inside = left + SPACE + number
    page.text(
        inside, middle, box.number, size=TEXT, weight="bold", color=ink, va="center_baseline", ha="right"
    )
    page.text(inside + SPACE, middle, box.words, size=TEXT, color=ink, va="center_baseline")
    page.text(left + width + SPACE, middle, box.shape, size=TEXT, color=INK, va="center_baseline")


def _draw_line(page: "Axes", edge: _Edge, line: "Line", kind: str, colour: str) -> None:
    from matplotlib.patches import FancyArrowPatch

    page.add_patch(
        FancyArrowPatch(
            path=line,
            arrowstyle="-|>",
            mutation_scale=9,
            color=colour,
            linewidth=1.2,
            linestyle=(0, (3, 2)) if edge.halves else "solid",
            gid=f"{kind}-{edge.source}-{edge.place}",
        )
    )
