"""Drawings of architectures, read back from the SVG: words, shapes, and lines that cross no box."""

import re
from itertools import combinations, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from PIL import Image

from contragrad.evolution.genome import Cat, Conv, Genome, Pool, parse, sources
from contragrad.evolution.shapes import Problem, halved, shapes
from contragrad.networks.architectures import HAND_ENGINEERED
from contragrad.pictures.draw import DASHED, PADDED, architecture
from strategies import CIFAR, MNIST, genomes, problems

SVG = "{http://www.w3.org/2000/svg}"
MIXED = parse("conv(16,3) strided(8,5) pool(avg,2) cat(1,3) sum(2,4) fc(64)")

Extent = tuple[float, float, float, float]


class Drawing:
    """An SVG read back."""

    def __init__(self, genome: Genome, problem: Problem, title: str = "") -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "drawing.svg"
            architecture(genome, problem, path, title=title)
            self.content = path.read_bytes()
        root = ElementTree.fromstring(self.content)
        self.height = float(root.attrib["height"].removesuffix("pt"))
        self.texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
        self.groups = {group.attrib["id"]: group for group in root.iter(f"{SVG}g") if "id" in group.attrib}

    def named(self, kind: str) -> set[str]:
        return {name for name in self.groups if name.startswith(f"{kind}-")}

    def extent(self, name: str) -> Extent:
        """Left, right, top and bottom of what has the id."""
        numbers = [
            float(number)
            for path in self.groups[name].iter(f"{SVG}path")
            for number in re.findall(r"-?\d+(?:\.\d+)?", path.attrib["d"])
        ]
        return min(numbers[::2]), max(numbers[::2]), min(numbers[1::2]), max(numbers[1::2])

    def dashed(self) -> set[str]:
        return {
            name
            for name in self.named("arc") | self.named("arrow")
            if "stroke-dasharray" in ElementTree.tostring(self.groups[name], encoding="unicode")
        }


def a_long_genome() -> Genome:
    """40 blocks with many skips, some of them long."""
    blocks = [Conv(16, 3)] * 20 + [Pool("max", 2)] + [Cat(place, place + 20) for place in range(1, 20)]
    return Genome(tuple(blocks), 128)


def test_words_and_shapes_by_hand() -> None:
    drawing = Drawing(MIXED, MNIST, "a $title$ & more")
    assert [text for text in drawing.texts if text] == [
        *("a $title$ & more", PADDED, DASHED),
        *("image", "1 x 28 x 28"),
        *("1", "conv 3x3, 16", "16 x 28 x 28"),
        *("2", "conv 5x5, 8, stride 2", "8 x 14 x 14"),
        *("3", "pool avg 2", "8 x 7 x 7"),
        *("4", "concatenation of 1 and 3", "24 x 7 x 7"),
        *("5", "sum of 2 and 4", "24 x 7 x 7"),
        *("fully connected, 64", "64"),
        *("fully connected, 10 classes", "10"),
    ]
    assert drawing.named("arrow") == {f"arrow-{place}-{place + 1}" for place in range(7)}
    assert drawing.named("arc") == {"arc-1-4", "arc-2-5"}
    assert drawing.dashed() == {"arc-1-4", "arc-2-5"}


def test_the_head_pools_where_the_map_is_large() -> None:
    drawing = Drawing(HAND_ENGINEERED["hand-engineered-a"], CIFAR)
    head = ["average pool to at most 8 x 8", "48 x 8 x 8", "fully connected, 128", "128"]
    assert drawing.texts[-6:-2] == head
    assert DASHED not in drawing.texts
    assert not drawing.dashed()


@hypothesis_settings(max_examples=25)
@given(genomes(), problems())
def test_every_block_and_every_input_is_drawn(genome: Genome, problem: Problem) -> None:
    drawing = Drawing(genome, problem)
    places = range(1, len(genome.blocks) + 1)
    assert drawing.named("block") == {f"block-{place}" for place in places}
    shape = shapes(genome, problem)
    number = -1
    for place, block in enumerate(genome.blocks, start=1):
        number = drawing.texts.index(str(place), number + 1)
        size = (halved(edge, shape[place].halvings) for edge in (problem.height, problem.width))
        assert drawing.texts[number + 2] == " x ".join(map(str, (shape[place].channels, *size)))
        for figure in re.findall(r"\d+", str(block)):
            assert re.search(rf"\b{figure}(x{figure})?\b", drawing.texts[number + 1])
    reads = {(source, place) for place in places for source in sources(genome, place)}
    arcs = {f"arc-{source}-{place}" for source, place in reads if place - source > 1}
    arrows = {f"arrow-{source}-{place}" for source, place in reads if place - source == 1}
    assert drawing.named("arc") == arcs
    head = {name for name in drawing.named("arrow") if int(name.split("-")[1]) >= len(genome.blocks)}
    assert drawing.named("arrow") - head == arrows
    assert len(head) in (2, 3)


def require_apart(drawing: Drawing) -> None:
    """Boxes follow one another; arcs run from box to box, left of all boxes, none on top of another."""
    boxes = {name: drawing.extent(name) for name in drawing.named("block")}
    arcs = {name: drawing.extent(name) for name in drawing.named("arc")}
    edge = min(left for left, *_ in boxes.values())
    for name, (left, right, top, bottom) in arcs.items():
        source, place = (boxes[f"block-{number}"] for number in name.split("-")[1:])
        assert 0 < left < edge - 10
        assert right == pytest.approx(edge, abs=2)
        assert source[2] < top < source[3]
        assert place[2] < bottom < place[3]
    for one, other in combinations(arcs.values(), 2):
        if one[0] == other[0]:
            assert one[3] < other[2] or other[3] < one[2]
    in_order = [boxes[f"block-{place}"] for place in range(1, len(boxes) + 1)]
    assert all(above[3] < below[2] for above, below in pairwise(in_order))
    assert in_order[-1][3] < drawing.height


@hypothesis_settings(max_examples=25)
@given(genomes())
def test_arcs_cross_no_box_and_lie_on_no_other(genome: Genome) -> None:
    require_apart(Drawing(genome, CIFAR))


def test_a_long_genome_is_drawn_apart_too() -> None:
    drawing = Drawing(a_long_genome(), CIFAR)
    require_apart(drawing)
    assert len(drawing.named("arc")) == 19
    assert drawing.height > 40 * 40


def test_two_arcs_to_a_block_arrive_apart() -> None:
    drawing = Drawing(
        parse("conv(4,1) conv(4,1) conv(4,1) conv(4,1) sum(1,3) cat(2,4) sum(5,6) fc(4)"), MNIST
    )
    assert not drawing.named("arrow") & {"arrow-4-5", "arrow-5-6"}
    ends = [drawing.extent(name)[3] for name in ("arc-1-5", "arc-3-5")]
    assert abs(ends[0] - ends[1]) > 5


@hypothesis_settings(max_examples=8)
@given(genomes())
def test_the_same_genome_gives_the_same_bytes(genome: Genome) -> None:
    assert Drawing(genome, CIFAR, "title").content == Drawing(genome, CIFAR, "title").content


@pytest.mark.parametrize(
    "title", ["", "a title that is longer than the boxes are wide, and then some words more"]
)
@pytest.mark.parametrize("genome", [MIXED, a_long_genome()], ids=["mixed", "long"])
def test_nothing_is_cut_off_at_the_edge(genome: Genome, title: str, tmp_path: Path) -> None:
    architecture(genome, Problem(3, 4000, 4000, 1000), tmp_path / "drawing.png", title=title)
    with Image.open(tmp_path / "drawing.png") as image:
        inked = np.asarray(image)[..., 3] > 0
    assert inked.any()
    edge = np.ones_like(inked)
    edge[12:-12, 12:-12] = False
    assert not (inked & edge).any()


def test_an_invalid_genome_is_refused(tmp_path: Path) -> None:
    dead = Genome((Conv(4, 3), Conv(4, 3), Conv(4, 3), Cat(1, 2)), 8)
    with pytest.raises(ValueError, match="block 3, conv"):
        architecture(dead, CIFAR, tmp_path / "drawing.svg")
    assert not list(tmp_path.iterdir())
