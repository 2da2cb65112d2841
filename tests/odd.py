"""Inputs for fuzzing, from random numbers: valid files that are changed, and ones built to be odd."""

import gzip
import io
import json
import math
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import safetensors.torch
from PIL import Image
from torch import nn

from contragrad.data import npz, pictures
from contragrad.engine.memo import SqliteMemo
from contragrad.evaluate import Row
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Measured, outcome_to_json
from contragrad.export.network_file import KEY, VERSION
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation
from contragrad.run_folder import notes
from contragrad.settings import checks, config_file
from contragrad.settings.config import StudyConfig
from performers import record

GENOME = "conv(8,3) conv(4,1) sum(1,2) pool(max,2) strided(4,3) cat(4,5) fc(8)"
SMALL = "conv(2,1) fc(2)"
TINY = Problem(1, 4, 4, 2)

WORDS = (b"(", b")", b",", b"conv(", b"sum(1,2)", b" fc(3)")

Make = Callable[[Random], bytes]


ODD = (
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"9" * 5000,
    b"0x" + b"f" * 5000,
    b"1:59" * 50,
    b"null",
    b"true",
    b"[" * 3000,
    b"{" * 3000,
    b'{"a":' * 500,
    b"&a [*a, *a]",
    b"*a",
    b"!!python/object/apply:os.system [id]",
    b"!!binary aGk=",
    b"!!set {a}",
    b"2026-13-45",
    b"<<: *a",
    b"\\ud800",
    b"\\u0000",
    b"\0",
    b"\x1b[31m",
    b"\xff\xfe",
    "\u202e".encode(),
    b"../../../etc/passwd",
    b"/dev/zero",
    b"C:\\x",
    b"</script><script>",
    b"[red]",
    b"[/]",
    b"%s%n",
    b"${x}",
    b"{{7*7}}",
    b"'" * 9,
    b'"' * 9,
    b"\r\n",
    b"\t",
    b"a" * 30_000,
    b"\xf0\x9f\x98\x80",
    "\uff11\uff16".encode(),
    b"1_0",
    b"18446744073709551616",
    b"1e308",
    b"-0.0",
    b"5e-324",
)
"""Pieces that readers have been known to trip over."""


def changed(random: Random, content: bytes, pieces: tuple[bytes, ...] = ODD) -> bytes:
    """The bytes with some of them turned, cut out, doubled or replaced by odd pieces."""
    found = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        place = random.randrange(len(found) + 1)
        end = min(len(found), place + random.choice((0, 1, 1, 2, 4, 16, 200)))
        match random.randrange(6):
            case 0:
                for spot in range(place, end):
                    found[spot] ^= 1 << random.randrange(8)
            case 1:
                del found[place:end]
            case 2:
                found[place:place] = found[place:end]
            case 3:
                found[place:end] = random.choice(pieces)
            case 4:
                found[place:end] = random.randbytes(end - place)
            case 5:
                del found[place if random.random() < 0.3 else len(found) :]
    return bytes(found)


def changing(*seeds: bytes, pieces: tuple[bytes, ...] = ODD) -> Make:
    """Makes inputs of valid ones."""
    return lambda random: changed(random, random.choice(seeds), pieces)


def plain(random: Random, depth: int = 3) -> object:
    """A value of JSON."""
    leaves: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: random.random() < 0.5,
        lambda: random.choice((0, 1, -1, 2**31, 2**63, -(2**70), 10**30)),
        lambda: random.choice((0.0, 0.5, 1.0, -0.5, 1.5, 1e308, 5e-324)),
        lambda: random.choice(ODD).decode("utf-8", "replace")[:200],
        lambda: random.choice(("\ud800", "a", "", "conv(8,3) fc(8)", "2026-11-26T00:00:00+00:00")),
    )
    if depth and random.random() < 0.4:
        parts = [plain(random, depth - 1) for _ in range(random.randrange(4))]
        return parts if random.random() < 0.5 else {f"key {place}": part for place, part in enumerate(parts)}
    return random.choice(leaves)()


def twisted(random: Random, value: object) -> object:
    """A value of JSON with some of its parts replaced, left out or added."""
    if random.random() < 0.08:
        return plain(random)
    if isinstance(value, dict):
        found = {key: twisted(random, part) for key, part in value.items() if random.random() > 0.04}
        return found | ({str(plain(random, 0)): plain(random)} if random.random() < 0.05 else {})
    if isinstance(value, list):
        return [twisted(random, part) for part in value if random.random() > 0.04]
    return value


def json_of(value: object) -> Make:
    """Makes JSON like that of the value: its parts twisted, or its text changed."""

    def make(random: Random) -> bytes:
        text = json.dumps(twisted(random, value)).encode()
        return changed(random, text) if random.random() < 0.4 else text

    return make


def study_file(random: Random) -> bytes:
    """A study file: every setting may have any value."""
    settings = {
        key: value if random.random() < 0.95 else plain(random)
        for key, value in config_file.dotted(StudyConfig()).items()
        if random.random() < (0.01 if key in checks.trusting() else 0.3)  # those are refused
    }
    nested: dict[str, object] = {}
    for key, value in settings.items():
        *sections, last = key.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})  # type: ignore[assignment]
        place[last] = value
    text = json.dumps(nested).encode()  # which is YAML
    return changed(random, text) if random.random() < 0.5 else text


@cache
def images() -> bytes:
    """A valid npz file."""
    stream = io.BytesIO()
    labels = np.array([0, 1], np.int64)
    pixels = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    np.savez(stream, x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    return stream.getvalue()


IMAGES = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 4), }"
LABELS = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }"
RECORDS = "{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': True, 'shape': (1,), }"
SHAPES = (
    "()",
    "(0,)",
    "(2,)",
    "(-2, -16)",
    "(2**9,)",
    "(99999999999, 4, 4)",
    "(True,)",
    "(2, 4, 4)",
    "(1e3,)",
    "2",
)
TYPES = ("|u1", "<f2", ">f8", "<c16", "|O", "<U0", "|V0", "|S5", "<M8[s]", "<i8", "|b1", "<f16", "junk")


def npy_header(random: Random) -> bytes:
    """An npz file whose arrays have headers of their own."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", random.choice((0, 8, 8, 8, 12, 14))) as archive:
        for name in npz.NAMES:
            header, body = (IMAGES, bytes(32)) if name[0] == "x" else (LABELS, bytes(8) + b"\1" + bytes(7))
            odd = random.random()
            if odd < 0.15:
                kind, order = random.choice(TYPES), random.choice((True, 0, "x"))
                shape = random.choice(SHAPES)
                header = f"{{'descr': {kind!r}, 'fortran_order': {order!r}, 'shape': {shape}, }}"
            elif odd < 0.2:
                header = RECORDS
            elif odd < 0.25:
                body = bytes(random.choice((0, 16, 32, 256)))
            content = header.encode()
            if random.random() < 0.1:
                content = changed(random, content)
            version = random.choice(((1, 0), (1, 0), (1, 0), (2, 0), (3, 0))) if odd < 0.3 else (1, 0)
            size = struct.pack("<H" if version == (1, 0) else "<I", len(content) & 0xFFFF)
            archive.writestr(f"{name}.npy", b"\x93NUMPY" + bytes(version) + size + content + body)
        if random.random() < 0.3:
            archive.writestr(npz.ORIGIN, json_of({"classes": ["a", "b"], "kind": "npz"})(random))
    return stream.getvalue()


def idx_file(random: Random) -> bytes:
    """An idx file, packed or not."""
    odd = random.random() < 0.3
    sizes = [
        random.choice((0, 2, 4, 2**31, 2**32 - 1) if odd else (1, 2, 4))
        for _ in range(random.randrange(1, 4))
    ]
    content = b"\0\0\x08" + bytes([len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)
    content += random.randbytes(random.choice((0, 1, 16)) if odd else math.prod(sizes))
    if random.random() < 0.5:
        content = changed(random, content)
    if random.random() < 0.3:
        content = gzip.compress(content)
        content = changed(random, content) if random.random() < 0.5 else content
    return content


ROW = {
    "task": GENOME,
    "outcome": json.dumps(outcome_to_json(Measured(0.5, 0.25, (0.1, 0.2)))),
    "seconds": 1.5,
    "provenance": json.dumps({"host": "h", "finished": "2026-11-26T00:00:00+00:00"}),
}
OUTCOMES: tuple[dict[str, object], ...] = (
    {"clean_accuracy": 0.5, "adversarial_accuracy": 0.25, "curve": [0.1, 0.2]},
    {"stopped": 3, "reached": 0.5},
    {"infeasible": "diverged"},
    {"given_up": "ended its workers"},
)
NOTES = {
    notes.DATA: "the data",
    notes.PROBLEM: json.dumps(asdict(TINY)),
    notes.SETTINGS: json.dumps({"seed": 0, "search.generations": 1}),
    notes.SEEN: json.dumps([{"reference": "a"}]),
}


def row_of(random: Random) -> bytes:
    """A memo's row, each column a text, a number or nothing; within its texts, JSON that is twisted."""
    found: dict[str, object] = dict(ROW)
    for key in ("outcome", "provenance"):
        found[key] = json_of(json.loads(str(ROW[key])))(random).decode("utf-8", "replace")
    return json.dumps(twisted(random, found)).encode()


def notes_of(random: Random) -> bytes:
    """A memo's notes."""
    found: dict[str, object] = dict(NOTES)
    for key in (notes.PROBLEM, notes.SETTINGS, notes.SEEN):
        found[key] = json_of(json.loads(NOTES[key]))(random).decode("utf-8", "replace")
    return json.dumps(twisted(random, found)).encode()


@cache
def network() -> nn.Module:
    """A network of a few weights."""
    return construct(SMALL, TINY, Normalisation((0.0,), (1.0,)), 0)


@cache
def network_content() -> bytes:
    """It as a file of ours."""
    description = {"version": VERSION, "name": "n", "architecture": SMALL, "problem": asdict(TINY)}
    return safetensors.torch.save(dict(network().state_dict()), {KEY: json.dumps(description)})


def safetensors_file(random: Random) -> bytes:
    """A safetensors file: its header twisted, its length a lie, or its bytes changed."""
    content = network_content()
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    match random.randrange(3):
        case 0:
            return changed(random, content)
        case 1:
            described = json_of(json.loads(header["__metadata__"][KEY]))(random)
            header["__metadata__"][KEY] = described.decode("utf-8", "replace")
        case 2:
            header = twisted(random, header)
    text = json.dumps(header).encode()
    size = len(text) if random.random() < 0.9 else random.choice((0, 10**8, 2**63, len(text) - 1))
    return size.to_bytes(8, "little") + text + body


@cache
def pictures_of() -> tuple[bytes, ...]:
    """Valid pictures in every format that is read."""
    found = []
    for kind in pictures.FORMATS:
        stream = io.BytesIO()
        Image.new("RGB", (6, 5), (9, 99, 199)).save(stream, kind)
        found.append(stream.getvalue())
    return tuple(found)


@cache
def card_content() -> dict[str, object]:
    """An audit's card."""
    share = {"share": 0.5, "interval": [0.4, 0.6]}
    attacker = {"attacker": "white", "threat": "has it", "standing": "defeated", "fooled": share}
    return {
        "title": "t", "target": {"name": "n", "fingerprint": "f"}, "epsilon": "8/255", "verdict": "v",
        "withstood": None, "defeated_by": "white", "rule": "r", "attackers": [attacker, attacker],
        "checks": [{"number": 1, "question": "q", "verdict": "PASS", "figure": "f"}], "left_out": {"a": "b"},
    }  # fmt: skip


TABLE_ROW = asdict(
    Row(
        name="reference",
        clean_accuracy=0.5,
        adversarial_accuracy=0.4,
        clean_interval=(0.4, 0.6),
        adversarial_interval=(0.3, 0.5),
        parameters=10,
        images=100,
        architecture=SMALL,
        weights="artefacts/network-a.safetensors",
    )
)


@cache
def database() -> bytes:
    """A memo's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        with SqliteMemo(path) as memo:
            for number in range(30):
                memo.put(record(number))
            memo.set_meta("note", "kept")
        return path.read_bytes()


@cache
def onnx_content() -> bytes:
    """A small network in ONNX, made without torch's exporter."""
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "w")
    joint = numpy_helper.from_array(np.ones((32, 2), np.float32), "j")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "j"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 2])
    graph = helper.make_graph(nodes, "g", [x], [y], [weight, joint])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def onnx_file(random: Random) -> bytes:
    return changed(random, onnx_content())


def npz_file(random: Random) -> bytes:
    return changed(random, images())


def picture(random: Random) -> bytes:
    return changed(random, random.choice(pictures_of()))


def database_file(random: Random) -> bytes:
    content = bytearray(database())
    for _ in range(random.choice((1, 3, 30))):
        content[random.randrange(len(content))] = random.randrange(256)
    return bytes(content[: random.choice((len(content), len(content), random.randrange(len(content))))])
