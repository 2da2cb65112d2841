"""What is fuzzed: each way in for a file from outside, with valid inputs that others are made of.

Shared by tests/test_untrusted_fuzz.py, which looks at a few hundred inputs, and scripts/fuzz.py, which looks
at as many as one likes. An input is bytes; whatever is raised but a target's named errors is a crash.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from contragrad import evaluate, outside
from contragrad.audit import card
from contragrad.data import idx, npz, pictures
from contragrad.engine import rows
from contragrad.engine.memo import DictMemo, SqliteMemo
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.trial import outcome_from_json, outcome_to_json
from contragrad.export import network_file
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation
from contragrad.reference import load_weights
from contragrad.run_folder import notes
from contragrad.settings import config_file
from contragrad.settings.config import StudyConfig
from odd import (
    GENOME,
    NOTES,
    ODD,
    OUTCOMES,
    ROW,
    SMALL,
    TABLE_ROW,
    TINY,
    WORDS,
    Make,
    card_content,
    changing,
    database_file,
    idx_file,
    json_of,
    notes_of,
    npy_header,
    npz_file,
    onnx_file,
    picture,
    row_of,
    safetensors_file,
    study_file,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A way in.

    Args:
        make: an input from random numbers: a valid one changed, or one that is built to be odd.
        read: reads an input; the folder is empty, and its own.
        named: what it may raise.
        inputs: of a hundred thousand and more, how many are its.
    """

    make: Make
    read: Callable[[bytes, Path], object]
    named: tuple[type[Exception], ...] = (UserError,)
    inputs: int = 5000


def text_of(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def read_genome(content: bytes, _: Path) -> object:
    genome = parse(text_of(content))
    assert parse(str(genome)) == genome
    return genome


def file(folder: Path, content: bytes, name: str = "input") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_study(content: bytes, folder: Path) -> object:
    config = config_file.read(file(folder, content))
    path = folder / "again.yaml"
    config_file.write(config, path)
    assert config_file.read(path) == config
    return config


def read_yaml(content: bytes, _: Path) -> object:
    return outside.from_yaml(text_of(content))


def read_json(content: bytes, _: Path) -> object:
    found = outside.from_json(text_of(content))
    json.dumps(found, ensure_ascii=False, allow_nan=False)
    return found


def read_outcome(content: bytes, _: Path) -> object:
    stored = outside.from_json(text_of(content))
    if not isinstance(stored, dict):
        raise ValueError("no outcome")
    outcome = outcome_from_json(stored)
    assert outcome_from_json(outcome_to_json(outcome)) == outcome
    return outcome


def parts(content: bytes, key: str, usual: Mapping[str, object]) -> dict[str, object]:
    """The parts of a row that an input is; what is none is the part of that key, beside the usual ones."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {**usual, key: text_of(content)}
    return found if isinstance(found, dict) else {**usual, key: found}


def read_values(content: bytes, _: Path) -> object:
    found = parts(content, "outcome", ROW)
    return rows.values(*(found.get(key) for key in ("task", "outcome", "seconds", "provenance")))


def read_row(content: bytes, folder: Path) -> object:
    """The same through a database whose columns may hold anything."""
    found = parts(content, "outcome", ROW)
    path = folder / "study.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table evaluation (key, task, outcome, seconds, provenance)")
        database.execute("create table meta (key, content)")
        database.execute("pragma user_version = 1")
        columns = [found.get(key) for key in ROW]
        kept = [json.dumps(each) if isinstance(each, dict | list) else each for each in columns]
        kept = [
            text.encode("utf-8", "surrogatepass") if isinstance(text, str) and not sound(text) else text
            for text in kept
        ]
        kept = [float(each) if isinstance(each, int) else each for each in kept]
        database.execute("insert into evaluation values ('a', ?, ?, ?, ?)", kept)
        database.commit()
    with SqliteMemo(path, read_only=True) as memo:
        return memo.get("a"), memo.records()


def sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_notes(content: bytes, folder: Path) -> object:
    memo = DictMemo()
    for key, value in parts(content, notes.PROBLEM, NOTES).items():
        memo.set_meta(key, value if isinstance(value, str) else json.dumps(value))
    return notes.noted_workspace(memo, folder, StudyConfig()), notes.looks_of(memo)


def read_database(content: bytes, folder: Path) -> object:
    with SqliteMemo(file(folder, content, "study.db"), read_only=True) as memo:
        return memo.records(), memo.get("key 7"), memo.get_meta("note")


def read_network(content: bytes, folder: Path) -> object:
    description, tensors = network_file.read(file(folder, content, "n.safetensors"))
    return network_file.assembled(description, tensors, "n")


def read_weights(content: bytes, folder: Path) -> object:
    filled = construct(SMALL, TINY, Normalisation((0.0,), (1.0,)), 0)
    load_weights(filled, file(folder, content, "w.safetensors"))
    return filled


def read_onnx(content: bytes, folder: Path) -> object:
    from contragrad.onnx.graph import read
    from contragrad.onnx.sizes import stated_problem

    path = file(folder, content, "n.onnx")
    return read(path, stated_problem(path))


def read_idx(content: bytes, folder: Path) -> object:
    name = "i.gz" if content[:2] == b"\x1f\x8b" else "i"
    return idx._array(file(folder, content, name))


def read_card(content: bytes, folder: Path) -> object:
    found = card.read(file(folder, content))
    if isinstance(found, card.Unreadable):
        raise ValueError(found.why)
    return found


def run_onnx(content: bytes, folder: Path) -> object:
    """The same by onnxruntime and onnx2torch as well."""
    from contragrad.onnx.model import load_onnx

    return load_onnx(file(folder, content, "n.onnx"))


TARGETS: dict[str, Target] = {
    "genome text": Target(
        make=changing(GENOME.encode(), SMALL.encode(), pieces=(*ODD, *WORDS)),
        read=read_genome,
        named=(ValueError,),
        inputs=30_000,
    ),
    "study file": Target(make=study_file, read=read_study, inputs=1500),
    "YAML": Target(
        make=changing(b"seed: 1\nsearch: {channels: [8, 16], kernels: [1]}\ndata:\n  path: &a x\n"),
        read=read_yaml,
        named=(ValueError,),
        inputs=10_000,
    ),
    "JSON": Target(make=json_of([TABLE_ROW, 1, "a"]), read=read_json, named=(ValueError,), inputs=10_000),
    "npz": Target(make=npz_file, read=lambda content, folder: npz.read(file(folder, content)), inputs=8000),
    "npz header": Target(
        make=npy_header, read=lambda content, folder: npz.read(file(folder, content)), inputs=8000
    ),
    "idx": Target(make=idx_file, read=read_idx, inputs=8000),
    "picture": Target(
        make=picture, read=lambda content, folder: pictures.read(file(folder, content), False), inputs=5000
    ),
    "memo row": Target(make=row_of, read=read_values, named=(ValueError,), inputs=15_000),
    "memo row in SQLite": Target(make=row_of, read=read_row, inputs=3000),
    "memo notes": Target(make=notes_of, read=read_notes, inputs=8000),
    "outcome": Target(
        make=lambda random: json_of(random.choice(OUTCOMES))(random),
        read=read_outcome,
        named=(ValueError,),
        inputs=10_000,
    ),
    "database": Target(make=database_file, read=read_database, inputs=3000),
    "table": Target(
        make=json_of([TABLE_ROW, TABLE_ROW]),
        read=lambda content, folder: evaluate.read(file(folder, content)),
        inputs=8000,
    ),
    "card": Target(make=json_of(card_content()), read=read_card, named=(ValueError,), inputs=8000),
    "network file": Target(make=safetensors_file, read=read_network, inputs=5000),
    "weights": Target(make=safetensors_file, read=read_weights, inputs=3000),
    "ONNX": Target(make=onnx_file, read=read_onnx, inputs=5000),
    "ONNX, run": Target(make=onnx_file, read=run_onnx, inputs=1000),
}
