"""What a study's driver holds at its height: the process itself, and what its images add.

    python benchmarks/driver_memory.py --json      # Linux

A study of random images of 3 x 64 x 64 is made ready (data, division, a small reference of given weights,
directions, adversarial examples) in a process of its own, once with 40 images and once with each number
asked for. `held` is the larger one's peak of resident memory less the smaller one's, for each byte of its
images; `expected` is what `data.memory.of_a_study` reckons with, by which studies are refused.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from timing import options, publish
from torch import nn

from contragrad.data import memory
from contragrad.jobs import entry, run
from contragrad.settings import config_file
from contragrad.watch.events import nobody

SHAPE = (64, 64, 3)
CLASSES = 5
FEW = 40
SETTINGS = (
    "--reference.factory=driver_memory:reference",
    "--attack.steps=1",
    "--search.limits.flops=100000000",
)


def reference() -> nn.Module:
    """A network that costs next to nothing."""
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(3 * 8 * 8, CLASSES))


def make_ready(folder: Path, images: int) -> int:
    """Bytes that this process held at its height when the study was ready."""
    draw = np.random.default_rng(0)
    test = max(CLASSES, images // 41)
    parts = {
        name: (draw.integers(0, 256, (count, *SHAPE), np.uint8), np.arange(count) % CLASSES)
        for name, count in (("train", images - test), ("test", test))
    }
    arrays: dict[str, Any] = {
        f"{axis}_{name}": part[place] for name, part in parts.items() for place, axis in enumerate("xy")
    }
    np.savez(folder / "data.npz", **arrays)
    save_file(reference().state_dict(), folder / "reference.safetensors")
    del draw, parts, arrays
    done = subprocess.run(
        [sys.executable, __file__, "--ready", str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(done.stdout)


def ready(folder: Path) -> None:
    """Makes the study ready, and prints this process's peak."""
    torch.set_num_threads(1)
    files = (f"--data.path={folder}/data.npz", f"--reference.weights={folder}/reference.safetensors")
    config = config_file.read(None, ("--data.source=npz", *files, *SETTINGS))
    dataset, workspace = entry.entered(config, folder / "run", nobody)
    with run.opened(workspace, dataset, nobody) as (_, splits):
        run.make_shared(workspace, splits, nobody)
        # Not getrusage: its peak is also that of the process that started this one.
        status = Path("/proc/self/status").read_text()
        print(1024 * int(status.partition("VmHWM:")[2].split()[0]))


def main() -> None:
    parser = options(__doc__, repeats=1)
    parser.add_argument("--images", type=int, nargs="+", default=[5_125, 20_500])
    parser.add_argument("--ready", type=Path, help="used by the benchmark itself")
    chosen = parser.parse_args()
    if chosen.ready is not None:
        ready(chosen.ready)
        return

    def peak(images: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            return make_ready(Path(folder), images)

    process = peak(FEW)
    rows = []
    for images in chosen.images:
        size = images * int(np.prod(SHAPE))
        added = peak(images) - process
        rows.append(
            {
                "images": images,
                "bytes": size,
                "added": added,
                "held": added / size,
                "expected": memory.of_a_study(images),
            }
        )
    publish("driver_memory", rows, {"process": process}, as_json=chosen.json)


if __name__ == "__main__":
    main()
