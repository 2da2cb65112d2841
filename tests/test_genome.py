"""A genome's text and hash, and which genomes are networks."""

import time
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contragrad.evolution.genome import (
    LONGEST_TEXT,
    Cat,
    Conv,
    Genome,
    Pool,
    Strided,
    Sum,
    fault,
    parse,
    sources,
)
from strategies import free_genomes, genomes, raw_genomes


@given(genomes())
def test_text_round_trip(genome: Genome) -> None:
    assert parse(str(genome)) == genome


@given(genomes(), st.randoms(use_true_random=False))
def test_canonical_text_of_text_written_freely(genome: Genome, random: Random) -> None:
    def space(least: int) -> str:
        return "".join(random.choices(" \t\n", k=random.randint(least, 3)))

    text = str(genome)
    for mark in "(),":
        text = text.replace(mark, space(0) + mark + space(0))
    free = space(0) + text.replace(" ", space(1)) + space(0)
    assert str(parse(free)) == str(genome)


@given(genomes(), genomes())
@example(parse("conv(4,1) fc(4)"), parse("strided(4,1) fc(4)"))
@example(parse("conv(4,1) conv(4,1) sum(1,2) fc(4)"), parse("conv(4,1) conv(4,1) cat(1,2) fc(4)"))
@example(parse("conv(11,1) fc(4)"), parse("conv(1,11) fc(4)"))
def test_equal_text_iff_equal_genome_iff_equal_hash(one: Genome, other: Genome) -> None:
    assert (str(one) == str(other)) == (one == other) == (one.hash == other.hash)
    assert parse(str(one)).hash == one.hash


def test_golden_hashes(golden: Callable[[str, object], None]) -> None:
    texts = (
        "conv(16,3) fc(128)",
        "strided(16,3) fc(128)",
        "conv(32,5) pool(max,2) conv(64,1) sum(1,3) pool(avg,3) cat(2,5) fc(64)",
    )
    golden("genomes", {text: parse(text).hash for text in texts})


WRONG = {
    "": "ends with its head",
    "   \n": "ends with its head",
    "conv(16,3)": "ends with its head",
    "fc(8) conv(16,3)": "ends with its head",
    "conv(16,3) fc()": "ends with its head",
    "conv(16,3) fc(-8)": "ends with its head",
    "conv(16,3) fc(8) fc(8)": "'fc(8)' is no block",
    "conv(16,3) fc(0)": "a head of 0 units",
    "fc(8)": "there is no convolutional block",
    "pool(max,2) fc(8)": "there is no convolutional block",
    "conv(16,3) cnov(16,3) konv(1,1) fc(8)": "'cnov(16,3)' is no block",
    "CONV(16,3) fc(8)": "'CONV(16,3)' is no block",
    "conv(16) fc(8)": "'conv(16)' is no block",
    "conv(16,3,1) fc(8)": "'conv(16,3,1)' is no block",
    "conv(-16,3) fc(8)": "'conv(-16,3)' is no block",
    "conv(1.5,3) fc(8)": "'conv(1.5,3)' is no block",
    "conv(1 6,3) fc(8)": "'conv(1' is no block",
    "conv(16,3)) fc(8)": "')' is no block",
    "conv(1234567,3) fc(8)": "'conv(1234567,3)' is no block",
    "conv(16,3) " + "x" * 500 + " fc(8)": "'" + "x" * 40 + "' is no block",
    "conv(16,4) fc(8)": "block 1, conv(16,4): channels must be positive and the kernel odd",
    "conv(16,3) strided(16,2) fc(8)": "block 2, strided(16,2): channels must be positive",
    "conv(16,3) conv(16,0) fc(8)": "block 2, conv(16,0)",
    "conv(0,3) fc(8)": "block 1, conv(0,3)",
    "conv(16,3) pool(max,4) fc(8)": "block 2, pool(max,4): pools are max or avg with kernel 2 or 3",
    "conv(16,3) pool(min,2) fc(8)": "'pool(min,2)' is no block",
    "sum(1,2) conv(8,3) conv(8,3) fc(8)": "block 1, sum(1,2): reads no two distinct prior blocks",
    "conv(8,3) sum(0,1) fc(8)": "block 2, sum(0,1)",
    "conv(8,3) conv(8,3) sum(2,1) fc(8)": "block 3, sum(2,1)",
    "conv(8,3) conv(8,3) cat(2,2) fc(8)": "block 3, cat(2,2)",
    "conv(8,3) conv(8,3) cat(2,3) fc(8)": "block 3, cat(2,3)",
    "conv(8,3) conv(8,3) cat(1,4) conv(8,3) fc(8)": "block 3, cat(1,4)",
    "conv(8,3) conv(8,3) conv(8,3) sum(1,2) fc(8)": "block 3, conv(8,3): does not reach the head",
    "conv(8,3) fc(8)" + " " * LONGEST_TEXT: f"a genome of {LONGEST_TEXT + 15} characters",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_wrong_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 the message is looked at below
        parse(text)
    assert WRONG[text] in str(error.value)
    assert len(str(error.value)) < 250


@given(st.text("convsumpl(),1 23fca-.\n\0²१é", max_size=60))
def test_any_text_is_a_genome_or_a_value_error(text: str) -> None:
    try:
        genome = parse(text)
    except ValueError:
        return
    assert fault(genome) is None


@pytest.mark.parametrize("text", [" " * LONGEST_TEXT, "(" * LONGEST_TEXT, "conv( " * (LONGEST_TEXT // 6)])
def test_long_text_is_refused_soon(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ValueError, match="head"):
        parse(text)
    assert time.perf_counter() - started < 0.5


def is_network(genome: Genome) -> bool:
    """Validity from scratch: numbers, sources, and every block found from the head."""
    reads: dict[int, tuple[int, ...]] = {}
    convolutions = 0
    for place, block in enumerate(genome.blocks, start=1):
        if isinstance(block, Conv | Strided):
            convolutions += 1
            if block.channels <= 0 or block.kernel not in range(1, 1000, 2):
                return False
        if isinstance(block, Pool) and (block.kind, block.kernel) not in (
            ("max", 2),
            ("max", 3),
            ("avg", 2),
            ("avg", 3),
        ):
            return False
        reads[place] = (place - 1,)
        if isinstance(block, Sum | Cat):
            reads[place] = (block.first, block.second)
            if not (0 < block.first < place and 0 < block.second < place and block.first < block.second):
                return False
    reached: set[int] = set()
    border = [len(genome.blocks)]
    while border:
        place = border.pop()
        if place > 0 and place not in reached:
            reached.add(place)
            border.extend(reads[place])
    return convolutions > 0 and genome.hidden > 0 and len(reached) == len(genome.blocks)


@given(raw_genomes() | raw_genomes(wild=False))
@example(Genome((), 4))
@example(Genome((Conv(4, 1), Conv(4, 1), Conv(4, 1), Sum(1, 2), Cat(3, 4)), 4))
@example(Genome((Conv(4, 1), Conv(4, 1), Conv(4, 1), Sum(1, 2), Cat(2, 4)), 4))
def test_fault_agrees_with_a_search_backwards_from_the_head(genome: Genome) -> None:
    assert (fault(genome) is None) == is_network(genome)


@given(free_genomes())
def test_sources_lie_before_the_block(genome: Genome) -> None:
    for place in range(1, len(genome.blocks) + 1):
        read = sources(genome, place)
        assert all(0 <= source < place for source in read)
        assert len(read) == (2 if isinstance(genome.blocks[place - 1], Sum | Cat) else 1)
