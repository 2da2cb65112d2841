"""Artefacts come back bit for bit or count as missing; nobody ever reads half of one."""

import os
import resource
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from contragrad.artefacts import Artefacts, network_fingerprint
from contragrad.errors import UserError
from elsewhere import fill, in_another_process, small_disk

DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.complex64,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)
SHAPES = ((), (0,), (1,), (7,), (2, 0, 3), (2, 3, 4, 5))
SOME = {"weight": torch.arange(12.0).reshape(3, 4), "count": torch.tensor(3)}


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    return Artefacts(tmp_path / "artefacts")


def same(found: dict[str, Tensor] | None, saved: dict[str, Tensor]) -> bool:
    """Whether the tensors are the same in name, type, shape and every bit."""
    return (
        found is not None
        and found.keys() == saved.keys()
        and all(
            found[key].dtype == tensor.dtype
            and found[key].shape == tensor.shape
            and bits(found[key]) == bits(tensor)
            for key, tensor in saved.items()
        )
    )


def bits(tensor: Tensor) -> list[int]:
    found: list[int] = tensor.detach().reshape(-1).contiguous().view(torch.uint8).tolist()
    return found


def names(artefacts: Artefacts) -> set[str]:
    return {path.name for path in artefacts.folder.iterdir()}


# There and back.


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_back_bit_for_bit(artefacts: Artefacts, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    saved = {str(shape): (torch.randn(shape, generator=random) * 9).to(dtype) for shape in SHAPES}
    artefacts.save("kind", "name", saved)
    assert same(artefacts.find("kind", "name"), saved)
    assert same(artefacts.load("kind", "name"), saved)


def test_values_that_equal_nothing_come_back(artefacts: Artefacts) -> None:
    saved = {"odd": torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1e-45])}
    artefacts.save("kind", "name", saved)
    assert same(artefacts.find("kind", "name"), saved)


def test_no_tensors_are_an_artefact_too(artefacts: Artefacts) -> None:
    artefacts.save("kind", "name", {})
    assert artefacts.find("kind", "name") == {}


def test_views_and_tied_weights_come_back_each_whole(artefacts: Artefacts) -> None:
    weight = torch.arange(12.0).reshape(3, 4)
    saved = {
        "weight": weight,
        "tied": weight,
        "turned": weight.T,
        "part": weight[:, 1:3],
        "row": weight[1],
        "spread": torch.tensor(2.0).expand(2, 3),
        "learnt": torch.nn.Parameter(weight),
    }
    artefacts.save("kind", "name", saved)
    assert same(artefacts.find("kind", "name"), saved)
    linear = torch.nn.Linear(3, 3)
    linear.bias = torch.nn.Parameter(linear.weight[0])
    artefacts.save("network", "tied", linear.state_dict())
    assert same(artefacts.find("network", "tied"), linear.state_dict())


def test_kinds_and_names_are_kept_apart(artefacts: Artefacts) -> None:
    places = [("network", "a"), ("network", "b"), ("checkpoint", "a")]
    for number, place in enumerate(places):
        artefacts.save(*place, {"number": torch.tensor(number)})
    for number, place in enumerate(places):
        assert artefacts.load(*place)["number"] == number
    artefacts.remove("network", "a")
    assert [artefacts.find(*place) is None for place in places] == [True, False, False]
    artefacts.remove("network", "a")


def test_saving_again_replaces_and_leaves_the_tensors_that_were_loaded(artefacts: Artefacts) -> None:
    artefacts.save("kind", "name", {"tensor": torch.zeros(1000)})
    loaded = artefacts.load("kind", "name")["tensor"]
    artefacts.save("kind", "name", {"tensor": torch.ones(1000)})
    assert artefacts.load("kind", "name")["tensor"].eq(1).all()
    assert loaded.eq(0).all()
    assert names(artefacts) == {"kind-name.safetensors"}


# Missing and damaged.


def missing(artefacts: Artefacts) -> None:
    """The artefact is not there, and is computed once where it is wanted."""
    assert artefacts.find("kind", "name") is None
    with pytest.raises(UserError) as caught:
        artefacts.load("kind", "name")
    assert caught.value.where == str(artefacts.path("kind", "name"))
    assert caught.value.remedy
    calls = 0

    def compute() -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        return SOME

    for _ in range(3):
        assert same(artefacts.obtain("kind", "name", compute), SOME)
    assert calls == 1


def test_what_was_never_saved_is_missing(artefacts: Artefacts) -> None:
    missing(artefacts)


def damage(content: Callable[[bytes], bytes], artefacts: Artefacts) -> None:
    artefacts.save("kind", "name", SOME)
    path = artefacts.path("kind", "name")
    path.write_bytes(content(path.read_bytes()))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half the header": lambda content: content[:20],
    "without the last byte": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "zeros": lambda content: bytes(len(content)),
    "a huge header": lambda content: b"\xff" * 8 + content[8:],
    "text": lambda content: b"an error page" * 100,
    "the same tensors without their digest": lambda content: content.replace(b'"sha256"', b'"sha255"'),
    "other names": lambda content: content.replace(b'"weight"', b'"height"'),
    "another type of the same size": lambda content: content.replace(b'"F32"', b'"I32"'),
    "another shape of the same size": lambda content: content.replace(b"[3,4]", b"[4,3]"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_counts_as_missing(artefacts: Artefacts, kind: str) -> None:
    damage(DAMAGES[kind], artefacts)
    missing(artefacts)


@given(st.dictionaries(st.text(max_size=20), st.integers(0, 3), max_size=3))
def test_the_same_tensors_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, int]
) -> None:
    artefacts = Artefacts(tmp_path_factory.getbasetemp() / "bytes")
    saved = {key: torch.ones(size) for key, size in sizes.items() if key != "__metadata__"}
    contents = set()
    for _ in range(4):
        artefacts.save("kind", "name", saved)
        contents.add(artefacts.path("kind", "name").read_bytes())
        assert same(artefacts.find("kind", "name"), saved)
    assert len(contents) == 1


def test_another_artefacts_file_counts_as_missing(artefacts: Artefacts) -> None:
    artefacts.save("kind", "other", {"weight": torch.ones(3, 4), "count": torch.tensor(3)})
    artefacts.path("kind", "other").rename(artefacts.path("kind", "name"))
    missing(artefacts)


def test_an_older_file_is_used_unless_it_says_that_it_is_anothers(artefacts: Artefacts) -> None:
    artefacts.save("kind", "name", SOME)
    path = artefacts.path("kind", "name")
    with safe_open(path, framework="pt") as file:
        digest, called = file.metadata()["sha256"].split(" ")
    assert called == "kind-name"
    older: tuple[dict[str, str], ...] = ({}, {"artefact": "kind-name"})
    for notes in older:
        save_file(SOME, path, metadata={"sha256": digest, **notes})
        assert same(artefacts.find("kind", "name"), SOME)
    save_file(SOME, path, metadata={"sha256": digest, "artefact": "kind-other"})
    missing(artefacts)


@given(st.data())
def test_a_file_that_was_cut_or_has_one_bit_flipped_counts_as_missing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    artefacts = Artefacts(tmp_path_factory.getbasetemp() / "damaged")
    artefacts.save("kind", "name", SOME)
    content = bytearray(artefacts.path("kind", "name").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    artefacts.path("kind", "name").write_bytes(content)
    found = artefacts.find("kind", "name")
    # Bits of the header may be flipped without a change of meaning; then nothing may have changed.
    assert found is None or same(found, SOME)


def test_every_flipped_bit_of_the_tensors_is_found(artefacts: Artefacts) -> None:
    artefacts.save("kind", "name", SOME)
    path = artefacts.path("kind", "name")
    whole = path.read_bytes()
    data = sum(tensor.nbytes for tensor in SOME.values())
    for place in range(len(whole) - data, len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        assert artefacts.find("kind", "name") is None


def test_an_unreadable_file_counts_as_missing(artefacts: Artefacts) -> None:
    artefacts.save("kind", "name", SOME)
    path = artefacts.path("kind", "name")
    if os.geteuid() == 0:
        # Root reads everything but what leads nowhere.
        path.unlink()
        path.symlink_to(path)
    else:
        path.chmod(0)
    missing(artefacts)
    assert stat.S_ISREG(path.lstat().st_mode)


# Whole or not at all.


def test_saving_that_fails_in_the_middle_leaves_what_was_there(artefacts: Artefacts) -> None:
    artefacts.save("kind", "name", SOME)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        for name in ("name", "other"):
            with pytest.raises(UserError, match="too large"):
                artefacts.save("kind", name, {"tensor": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(artefacts) == {"kind-name.safetensors"}
    assert same(artefacts.find("kind", "name"), SOME)


def test_saving_that_fails_at_the_end_leaves_nothing_beside(artefacts: Artefacts) -> None:
    artefacts.path("kind", "name").mkdir(parents=True)
    with pytest.raises(UserError, match="Is a directory"):
        artefacts.save("kind", "name", SOME)
    assert names(artefacts) == {"kind-name.safetensors"}


def test_a_computation_that_fails_stores_nothing(artefacts: Artefacts) -> None:
    def fail() -> dict[str, Tensor]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        artefacts.obtain("kind", "name", fail)
    assert not artefacts.folder.exists()


def test_an_artefact_that_is_replaced_while_it_is_read_is_read_again(
    artefacts: Artefacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefacts.save("kind", "name", {"tensor": torch.zeros(3)})
    newer = {"tensor": torch.ones(3)}

    def between_two_openings(path: Path, framework: str) -> safe_open:
        monkeypatch.undo()
        artefacts.save("kind", "name", newer)
        raise SafetensorError("the header is of the older file, the tensors are of the newer")

    monkeypatch.setattr("contragrad.artefacts.safe_open", between_two_openings)
    assert same(artefacts.find("kind", "name"), newer)


def test_kill_9_in_the_middle_of_saving_leaves_a_whole_artefact(artefacts: Artefacts) -> None:
    moments = Random(0)
    seen = [-1]
    with in_another_process("save_artefacts", artefacts.folder) as process:
        try:
            assert process.stdout is not None
            for _ in range(moments.randint(2, 5)):
                process.stdout.readline()
            # While it is saving, too, a whole artefact is found, and never an older one than before.
            for _ in range(10):
                found = artefacts.load("network", "same")["tensor"]
                assert found.eq(found[0]).all()
                seen.append(int(found[0]))
        finally:
            process.kill()
    assert seen == sorted(seen)
    found = artefacts.load("network", "same")["tensor"]
    assert found.eq(found[0]).all()
    assert found[0] >= seen[-1]
    artefacts.sweep()
    assert names(artefacts) == {"network-same.safetensors"}


@pytest.mark.parametrize("moment", ["writing", "renaming"])
def test_sweep_removes_what_was_left_half_written_and_nothing_else(artefacts: Artefacts, moment: str) -> None:
    artefacts.sweep()
    process = in_another_process("die_while_saving", artefacts.folder, moment)
    process.communicate()
    assert process.returncode in (-signal.SIGKILL, -signal.SIGXFSZ)
    artefacts.save("kind", "other", SOME)
    (artefacts.folder / "notes.tmp").write_text("a user's")
    left = names(artefacts) - {"kind-other.safetensors", "notes.tmp"}
    assert left
    assert artefacts.find("kind", "name") is None
    artefacts.sweep()
    assert names(artefacts) == {"kind-other.safetensors", "notes.tmp"}
    assert same(artefacts.find("kind", "other"), SOME)


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path, kilobytes=256) as disk:
        artefacts = Artefacts(disk / "artefacts")
        artefacts.save("kind", "name", SOME)
        for name in ("name", "other"):
            with pytest.raises(UserError, match="disk is full") as caught:
                artefacts.save("kind", name, {"tensor": torch.zeros(100_000)})
            assert caught.value.where == str(artefacts.folder)
        assert names(artefacts) == {"kind-name.safetensors"}
        assert same(artefacts.find("kind", "name"), SOME)


def test_a_disk_without_room_for_a_folder_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path, kilobytes=16) as disk:
        ballast = fill(disk)
        artefacts = Artefacts(disk / "artefacts")
        with pytest.raises(UserError, match="disk is full"):
            artefacts.save("kind", "name", SOME)
        ballast.unlink()
        artefacts.save("kind", "name", SOME)


def test_a_networks_fingerprint_is_that_of_every_bit_of_its_weights_and_buffers() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    name = network_fingerprint(network)
    assert network_fingerprint(network.eval().to(memory_format=torch.channels_last)) == name
    others = set()
    for key, tensor in network.state_dict().items():
        first = tensor.view(-1)[0].clone()
        # The next number up: a single bit at the end.
        upwards = torch.full_like(first, 2) if first.is_floating_point() else first
        tensor.view(-1)[0] = torch.nextafter(first, upwards) if first.is_floating_point() else first + 1
        others.add(network_fingerprint(network))
        tensor.view(-1)[0] = first
        assert network_fingerprint(network) == name, key
    assert len(others) == len(network.state_dict())
    assert name not in others
    assert network_fingerprint(nn.Sequential(*network, nn.Flatten())) == name, "it has the same weights"
    assert network_fingerprint(nn.Sequential(nn.Flatten(), *network)) != name, "under other names"
    assert network_fingerprint(network.double()) != name
