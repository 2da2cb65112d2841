"""Fuzzes every way in for files from outside, and prints what came of it as JSON.

    python scripts/fuzz.py                       # as many inputs as records/2026-11-26_fuzz has
    python scripts/fuzz.py --share 0.01          # a hundredth of them
    python scripts/fuzz.py --only idx --seed 7   # one target, other inputs
    python scripts/fuzz.py --atheris             # guided by coverage; pip install atheris

Each target has a process of its own with limited memory, so that a crash in C, or a bomb, is seen.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random

TESTS = Path(__file__).parent.parent / "tests"
MEMORY = 16 * 2**30
"""Bytes of address space, of which torch alone maps some; what asks for more fails."""

GUIDED = ("genome text", "YAML", "npz header", "memo row")
"""Targets whose readers are in Python, where atheris sees branches."""

LOOKED_INTO = [
    "contragrad.data.npz",
    "contragrad.engine.rows",
    "contragrad.evolution.genome",
    "contragrad.outside",
    "numpy.lib",
    "yaml",
]
"""Modules whose branches it sees."""

SHOWN = 5
"""Crashes of a target that are told in full."""


class Tally:
    """What came of a target's inputs."""

    def __init__(self, name: str, seed: int) -> None:
        from fuzzing import TARGETS

        self.name, self.seed, self.target = name, seed, TARGETS[name]
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.counts: Counter[str] = Counter()
        self.crashes: list[dict[str, str]] = []
        self.slowest, self.slowest_input = 0.0, b""
        self.begun = time.process_time()

    def look(self, content: bytes) -> None:
        """Reads an input; what is raised but the named errors is a crash."""
        begun = time.process_time()
        (self.folder / "last").write_bytes(content)
        try:
            self.target.read(content, self.folder)
            self.counts["accepted"] += 1
        except self.target.named:
            self.counts["named errors"] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.counts["crashes"] += 1
            lines = traceback.format_exception(error)
            self.crashes.append({"error": "".join(lines[-3:]), "input": repr(content[:300])})
        if (taken := time.process_time() - begun) > self.slowest:
            self.slowest, self.slowest_input = taken, content

    def told(self) -> dict[str, object]:
        """The figures, as JSON has them."""
        return {
            "target": self.name,
            "seed": self.seed,
            "inputs": self.counts.total(),
            **{what: self.counts[what] for what in ("accepted", "named errors", "crashes")},
            "slowest_seconds": round(self.slowest, 3),
            "slowest_input": repr(self.slowest_input[:60]),
            "cpu_seconds": round(time.process_time() - self.begun, 1),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "crashed_on": self.crashes[:SHOWN],
        }


def one(name: str, inputs: int, seed: int, seconds: float) -> dict[str, object]:
    """Fuzzes a target in this process, until there were so many inputs or the time is over."""
    tally, random, end = Tally(name, seed), Random(f"{seed} {name}"), time.monotonic() + seconds
    while tally.counts.total() < inputs and time.monotonic() < end:
        tally.look(tally.target.make(random))
    return tally.told()


def guided(name: str, inputs: int, seed: int, seconds: float) -> None:
    """The same by atheris, which ends the process itself."""
    import atheris

    with atheris.instrument_imports(include=LOOKED_INTO):
        tally = Tally(name, seed)
    random, end = Random(seed), time.monotonic() + seconds
    corpus = tally.folder / "corpus"
    corpus.mkdir()
    for number in range(50):
        (corpus / str(number)).write_bytes(tally.target.make(random))

    def look(content: bytes) -> None:
        tally.look(content)
        if tally.counts.total() >= inputs or time.monotonic() > end:
            print(json.dumps(tally.told() | {"driver": "atheris"}), flush=True)
            os._exit(0)

    atheris.Setup([sys.argv[0], f"-seed={seed + 1}", "-max_len=4096", "-verbosity=0", str(corpus)], look)
    atheris.Fuzz()


def apart(name: str, inputs: int, seed: int, seconds: float) -> dict[str, object]:
    """Fuzzes a target in a copy of this process, which has imported everything."""
    with tempfile.NamedTemporaryFile(suffix=".json") as answer:
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            warnings.simplefilter("ignore")
            Path(answer.name).write_text(json.dumps(one(name, inputs, seed, seconds)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            return {"target": name, "crashes": 1, "ended_with": os.waitstatus_to_exitcode(status)}
        found: dict[str, object] = json.loads(Path(answer.name).read_text())
        return found


def by_atheris(name: str, inputs: int, seed: int, seconds: float) -> dict[str, object]:
    """The same in a process that imports what atheris looks into."""
    words = [sys.executable, __file__, "--atheris", "--here", name, "--inputs", str(inputs)]
    words += ["--seed", str(seed), "--seconds", str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"target": name, "crashes": 1, "ended_with": done.returncode, "said": done.stderr[-2000:]}
    found: dict[str, object] = json.loads(lines[-1])
    return found


def main() -> int:
    """Fuzzes as the options say; 1 if there was a crash."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs that a target has")
    parser.add_argument("--inputs", type=int, help="of each target, in its stead")
    parser.add_argument("--seconds", type=float, default=3600, help="that a target may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="one target; may be given again")
    parser.add_argument("--atheris", action="store_true", help="guide the inputs by coverage")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    if options.here:
        warnings.simplefilter("ignore")
        guided(options.here, options.inputs, options.seed, options.seconds)
    from fuzzing import TARGETS

    names = options.only or (GUIDED if options.atheris else tuple(TARGETS))
    told = []
    for name in names:
        inputs = options.inputs or max(1, round(TARGETS[name].inputs * options.share))
        drive = by_atheris if options.atheris else apart
        told.append(drive(name, inputs, options.seed, options.seconds))
        print(json.dumps(told[-1]), file=sys.stderr, flush=True)
    print(json.dumps(told, indent=1))
    return int(any(each["crashes"] for each in told))


if __name__ == "__main__":
    sys.exit(main())
