"""Pictures as files: by suffix, whole or not at all, and without a trace in matplotlib's settings."""

import sys
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from contragrad.errors import UserError
from contragrad.pictures.picture_file import picture

every_suffix = pytest.mark.parametrize("suffix", [".png", ".svg", ".PNG"])


def draw(path: Path) -> None:
    with picture(path) as figure:
        figure.set_size_inches(2, 1)
        figure.text(0.5, 0.5, "words")


@every_suffix
def test_the_suffix_decides_the_kind(suffix: str, tmp_path: Path) -> None:
    draw(path := tmp_path / f"picture{suffix}")
    if suffix == ".svg":
        assert ">words</text>" in path.read_text(encoding="utf-8")
    else:
        with Image.open(path) as image:
            assert (image.format, image.size) == ("PNG", (288, 144))


def test_dollars_in_a_name_are_no_formula(tmp_path: Path) -> None:
    with picture(tmp_path / "name.svg") as figure:
        figure.text(0.5, 0.5, r"$\frac$ <b>")
    assert r"$\frac$ &lt;b&gt;" in (tmp_path / "name.svg").read_text(encoding="utf-8")


@every_suffix
def test_the_same_drawing_gives_the_same_bytes_whatever_the_users_style(suffix: str, tmp_path: Path) -> None:
    draw(tmp_path / f"a{suffix}")
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": None, "figure.facecolor": "red"}):
        draw(tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("fails", [False, True])
def test_matplotlib_is_left_as_it_was(fails: bool, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"svg.fonttype": "path"}):
        if fails:
            with pytest.raises(KeyboardInterrupt), picture(tmp_path / "a.svg"):
                raise KeyboardInterrupt
        else:
            draw(tmp_path / "a.svg")
        assert matplotlib.rcParams["svg.fonttype"] == "path"
    assert dict(matplotlib.rcParams) == before
    assert not plt.get_fignums()


@every_suffix
def test_a_block_that_fails_leaves_what_was_there(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), picture(path) as figure:
        figure.text(0, 0, str(1 / 0))
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["before"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(UserError, match="cannot be written") as raised:
        draw(tmp_path / "taken.png")
    assert raised.value.where == str(tmp_path / "taken.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.png"]


@pytest.mark.parametrize("name", ["picture.jpg", "picture"])
def test_other_suffixes_are_refused_before_anything_is_drawn(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised, picture(tmp_path / name):
        pytest.fail("it was drawn")
    assert raised.value.remedy == "a name that ends in .png or .svg"


def test_missing_matplotlib_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="matplotlib") as raised, picture(tmp_path / "a.png"):
        pytest.fail("it was drawn")
    assert "contragrad[paper]" in raised.value.remedy
