"""A genome as a text that people read: what each block reads, gives and costs."""

import io

from rich import box
from rich.console import Console
from rich.table import Table

from contragrad.evolution.genome import Genome, sources
from contragrad.evolution.shapes import Cost, Problem, Shape, costs, head_shape, shapes

WIDTH = 100


def text(genome: Genome, problem: Problem) -> str:
    """A row for each block, and the genome's own text, which contragrad reads, above them."""
    shape, spent = shapes(genome, problem), costs(genome, problem)
    table = Table(box=box.SIMPLE)
    for column in ("", "block", "reads", "gives", "parameters", "FLOPs"):
        table.add_column(column, justify="right" if column in ("", "parameters", "FLOPs") else "left")
    for place, block in enumerate(genome.blocks, start=1):
        read = ", ".join("images" if source == 0 else str(source) for source in sources(genome, place))
        given = f"({sizes(shape[place], problem)})"
        table.add_row(str(place), str(block), read, given, *_cost(spent[place - 1]))
    flat = sizes(head_shape(shape[-1], problem), problem)
    head = f"fc({genome.hidden}), fc({problem.classes})"
    table.add_row("", head, f"{len(genome.blocks)} as ({flat})", str(problem.classes), *_cost(spent[-1]))
    whole = Cost(sum(part.parameters for part in spent), sum(part.flops for part in spent))
    table.add_section()
    table.add_row("", "all", "", "", *_cost(whole))
    console = Console(width=WIDTH, file=io.StringIO())
    with console.capture() as captured:
        console.print(str(genome), markup=False, highlight=False)
        console.print(f"images ({sizes(shape[0], problem)}), {problem.classes} classes", highlight=False)
        console.print(table)
        console.print(NOTE, highlight=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


NOTE = """\
conv and strided: convolution, batch normalisation, ReLU. A block that reads two maps halves the
larger one by averaging until both have one size; a sum pads missing channels with zeros.
FLOPs are those of one image, a multiply-add counted as two."""


def sizes(shape: Shape, problem: Problem) -> str:
    """Channels, height and width of a map, as they stand between brackets."""
    return ", ".join(map(str, shape.size(problem)))


def _cost(cost: Cost) -> tuple[str, str]:
    return f"{cost.parameters:,}", f"{cost.flops:,}"
