"""Makes a folder of drawn shapes, as torchvision's ImageFolder has it: five classes, 64 x 64 pixels, colour.

    python scripts/make_shapes.py shapes                      # 200 + 50 pictures of each class
    python scripts/make_shapes.py shapes --train 40 --test 10 --seed 1

Each picture has one large shape at a random place, size, turn and shade on a cluttered ground: a shaded and
noisy field with strokes and dots of the same colours. So neither a colour, a place nor a count of pixels
tells the class. A picture depends on the seed and its own name alone.
"""

import argparse
import math
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

EDGE = 64
SCALE = 4
"""Shapes are drawn so many times larger and scaled down, which smooths their outlines."""

Point = tuple[float, float]
Colour = tuple[int, ...]


def polygon(corners: int, inner: float) -> list[Point]:
    """Corners on the unit circle, with others between them at the inner radius; 0 leaves those out."""
    found = []
    for corner in range(corners):
        for step, radius in ((0.0, 1.0), (0.5, inner)):
            if radius:
                angle = 2 * math.pi * (corner + step) / corners
                found.append((radius * math.cos(angle), radius * math.sin(angle)))
    return found


SHAPES: dict[str, tuple[list[Point], list[Point]]] = {
    # The outline, and a hole in it.
    "circle": (polygon(48, 0), []),
    "cross": (
        [
            (1, 0.3),
            (0.3, 0.3),
            (0.3, 1),
            (-0.3, 1),
            (-0.3, 0.3),
            (-1, 0.3),
            (-1, -0.3),
            (-0.3, -0.3),
            (-0.3, -1),
            (0.3, -1),
            (0.3, -0.3),
            (1, -0.3),
        ],
        [],
    ),
    "ring": (polygon(48, 0), [(0.55 * x, 0.55 * y) for x, y in polygon(48, 0)]),
    "star": (polygon(5, 0.42), []),
    "triangle": (polygon(3, 0), []),
}


def draw(name: str, random: Random) -> Image.Image:
    """A picture of the shape."""
    ground, front = colours(random)
    picture = field(ground, random)
    clutter(picture, front, random)
    place, mask = random.randint(17, EDGE - 17), Image.new("L", (EDGE * SCALE,) * 2)
    other, radius = random.randint(17, EDGE - 17), random.uniform(11, 18)
    turn, squeeze = random.uniform(0, 2 * math.pi), random.uniform(0.75, 1)
    for outline, shade in zip(SHAPES[name], (255, 0), strict=True):
        points = [turned(point, turn, squeeze) for point in outline]
        corners = [(SCALE * (place + radius * x), SCALE * (other + radius * y)) for x, y in points]
        if corners:
            ImageDraw.Draw(mask).polygon(corners, fill=shade)
    mask = mask.resize((EDGE, EDGE), Image.Resampling.BOX)
    picture.paste(field(front, random), mask=mask)
    return picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.8)))


def colours(random: Random) -> tuple[Colour, Colour]:
    """Two that can be told apart."""
    while True:
        one, other = (tuple(random.randint(20, 235) for _ in range(3)) for _ in range(2))
        if sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 150:
            return one, other


def turned(point: Point, angle: float, squeeze: float) -> Point:
    """The point, turned about the middle after one axis was squeezed."""
    x, y = point[0], squeeze * point[1]
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def field(colour: Colour, random: Random) -> Image.Image:
    """A field of the colour, brighter to one side, with noise."""
    noise = np.random.default_rng(random.getrandbits(64)).normal(0, 12, (EDGE, EDGE, 3))
    angle = random.uniform(0, 2 * math.pi)
    rows, columns = np.mgrid[-0.5 : 0.5 : EDGE * 1j, -0.5 : 0.5 : EDGE * 1j]
    light = random.uniform(0, 60) * (math.cos(angle) * rows + math.sin(angle) * columns)
    shades = np.array(colour) + light[..., None] + noise
    return Image.fromarray(shades.clip(0, 255).round().astype(np.uint8))


def clutter(picture: Image.Image, colour: Colour, random: Random) -> None:
    """Strokes and dots, as likely with every shape."""
    pen = ImageDraw.Draw(picture)
    for _ in range(random.randint(2, 6)):
        x, y, u, v = (random.randint(0, EDGE) for _ in range(4))
        pen.line((x, y, u, v), fill=colour, width=random.randint(1, 2))
    for _ in range(random.randint(2, 6)):
        x, y, radius = random.randint(0, EDGE), random.randint(0, EDGE), random.randint(1, 3)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=200, help="training pictures of each class")
    parser.add_argument("--test", type=int, default=50, help="test pictures of each class")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for part, count in (("train", options.train), ("test", options.test)):
        for name in SHAPES:
            folder = options.folder / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                random = Random(f"{options.seed}/{part}/{name}/{number}")
                draw(name, random).save(folder / f"{number:04}.png")


if __name__ == "__main__":
    main()
