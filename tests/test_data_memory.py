"""What the system says of memory is read rightly, and what there is no room for is refused unread."""

import json
import resource
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contragrad.data import memory
from contragrad.data.sources import load
from contragrad.errors import UserError
from contragrad.networks.objectives import joined
from contragrad.settings.config import DataSettings, TrainingSettings


def machine(root: Path, free: int, groups: str = "", files: dict[str, str] | None = None) -> Path:
    """A folder that looks like a Linux machine's root with so many kilobytes free."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable: {free} kB\n")
    (root / "proc/self/cgroup").write_text(groups)
    for name, content in (files or {}).items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_a_machine_has_what_it_says_is_available(tmp_path: Path) -> None:
    assert memory.available(machine(tmp_path, 700)) == 700 * 1024


def test_a_system_that_does_not_say_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.available(tmp_path) is None
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.require(10**18, "everything", where="here")


@pytest.mark.parametrize("group", ["/a/b", "/"])
def test_the_groups_of_a_process_leave_less(group: str, tmp_path: Path) -> None:
    """Of version 2; pages of files that nobody uses count as free, and a group above may be the narrowest."""
    files = {
        "a/b/memory.max": "max\n",
        "a/memory.max": "5000\n",
        "a/memory.current": "4000\n",
        "a/memory.stat": "anon 1\nfile 3000\ninactive_file 300\n",
    }
    if group == "/":
        files = {name.replace("a/", ""): text for name, text in files.items() if "a/b" not in name}
    assert memory.available(machine(tmp_path, 700, f"0::{group}\n", files)) == 5000 - 4000 + 300


def test_older_groups_are_read_too(tmp_path: Path) -> None:
    files = {
        "memory/box/memory.limit_in_bytes": "9000\n",
        "memory/box/memory.usage_in_bytes": "8000\n",
        "memory/box/memory.stat": "total_inactive_file 50\n",
        "cpu/box/memory.limit_in_bytes": "1\n",
    }
    found = memory.available(machine(tmp_path, 700, "5:cpu,cpuacct:/box\n4:memory:/box\n", files))
    assert found == 1050


def test_what_is_used_beyond_a_limit_leaves_nothing(tmp_path: Path) -> None:
    files = {"memory.max": "10", "memory.current": "20"}
    assert memory.available(machine(tmp_path, 700, "0::/\n", files)) == 0


def test_a_limit_of_the_process_is_a_limit() -> None:
    code = "from contragrad.data import memory; print(memory.available())"

    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=narrow, capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < 2 << 30


def room(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(memory, "available", lambda: count)


def test_a_folder_is_refused_before_more_than_its_first_picture_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, count in (("train", 6), ("test", 2)):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (10, 10), (number, 0, 0)).save(tmp_path / part / name / f"{number}.png")
    settings = DataSettings(source="image-folder", path=str(tmp_path))
    needed = 16 * 300 * 21
    room(monkeypatch, needed - 1)
    with pytest.raises(UserError) as error:
        load(settings)
    assert "16 images of 3 x 10 x 10 would take about 100.8 kB" in error.value.what
    assert "about 7 of each class" in error.value.remedy
    assert error.value.where == str(tmp_path)
    fewer = DataSettings(source="image-folder", path=str(tmp_path), train_per_class=5)
    assert len(load(fewer).train) == 10
    room(monkeypatch, needed)
    whole = load(settings)
    assert len(whole.train) == 12
    assert load(fewer).train.images[:5].equal(whole.train.images[:5])


def test_an_npz_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed file may hold a thousand times its size."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.zeros((1000, 100, 100), np.uint8))
    assert path.stat().st_size < 10**5
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("it was read"))
    room(monkeypatch, 15_000_000)
    with pytest.raises(
        UserError, match=r"would take about 20\.0 MB of memory, and 15\.0 MB are free"
    ) as error:
        load(DataSettings(source="npz", path=str(path)))
    assert error.value.where == f"{path}: x_train"


def bomb(path: Path, length: int) -> Path:
    """A sound npz file, but for its packed note of so many bytes."""
    images, labels = np.zeros((4, 2, 2), np.uint8), np.arange(4) % 2
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("origin.json", b" " * length)
    return path


@contextmanager
def taking_less_than(count: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < count
    finally:
        tracemalloc.stop()


def test_a_note_that_is_longer_than_any_is_refused(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.npz", 2**27)
    with taking_less_than(2**26), pytest.raises(UserError, match=r"origin\.json has more than") as error:
        load(DataSettings(source="npz", path=str(path)))
    assert error.value.where == str(path)


def test_a_note_of_another_length_than_stated_takes_no_memory(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.npz", 2**27)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 2**27), struct.pack("<I", 100)))
    with taking_less_than(2**26):
        assert load(DataSettings(source="npz", path=str(path))).class_names is None


def test_what_fits_but_leaves_a_study_no_room_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = np.zeros((100, 10, 10), np.uint8), np.arange(100) % 2
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    settings = DataSettings(source="npz", path=str(tmp_path / "data.npz"))
    room(monkeypatch, 200 * 100 * 20 - 1)
    with pytest.raises(UserError, match="to work on 200 images") as error:
        load(settings)
    assert error.value.where == str(tmp_path / "data.npz")
    room(monkeypatch, 200 * 100 * 20)
    assert load(settings).classes == 2


def test_what_a_study_takes_is_about_what_some_were_seen_to_take() -> None:
    record = Path(__file__).parent.parent / "records/2026-11-26_memory/driver_memory.json"
    rows = json.loads(record.read_text())["rows"]
    assert [row["images"] for row in rows] == [5_125, 20_500]
    for row in rows:
        assert 0.9 < memory.of_a_study(row["images"]) / row["held"] < 1.5


def test_what_a_study_takes_of_many_images_does_not_depend_on_their_number() -> None:
    assert memory.of_a_study(1_000_000) == memory.of_a_study(20_500) == 13
    assert memory.of_a_study(1_000_000, 4) == 16
    assert memory.of_a_study(5000) == 21


def test_what_a_study_takes_grows_with_the_sources_whose_directions_and_examples_are_joined() -> None:
    three = ("reference", "another-seed", "surrogate", "key")
    both = joined(TrainingSettings(objective="fixed-adversarial+orthogonal", sources=three))
    assert both == 6
    assert joined(TrainingSettings(objective="orthogonal", sources=three)) == 3
    assert joined(TrainingSettings(objective="fixed-adversarial+gm")) == 0
    assert joined(TrainingSettings(objective="cross-entropy", sources=three[:2])) == 0
    assert memory.of_a_study(20_500, joined=both) == 1 + 6 * 4
    assert memory.of_a_study(20_500, joined=3) == 13


def test_sources_that_leave_a_study_no_room_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = np.zeros((100, 10, 10), np.uint8), np.arange(100) % 2
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    settings = DataSettings(source="npz", path=str(tmp_path / "data.npz"))
    room(monkeypatch, 200 * 100 * 40 - 1)
    assert load(settings).classes == 2
    with pytest.raises(UserError, match="to work on 200 images"):
        load(settings, joined=10)
