"""The table: Wilson intervals against published ones, a network with known answers, the file."""

import json
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from contragrad.data.dataset import Examples
from contragrad.errors import UserError
from contragrad.evaluate import Row, Share, read, row, wilson, write
from elsewhere import fill, small_disk

PUBLISHED = [
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17,
    # 857-872 (1998), table I, method 3.
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]

Z = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""


@pytest.mark.parametrize(("correct", "count", "low", "high"), PUBLISHED)
def test_wilson_gives_the_published_intervals(correct: int, count: int, low: float, high: float) -> None:
    assert wilson(correct, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_is_its_formula(numbers: tuple[int, int]) -> None:
    correct, count = numbers
    share = correct / count
    scale = 1 + Z**2 / count
    middle = (share + Z**2 / (2 * count)) / scale
    half = Z / scale * sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    low, high = wilson(correct, count)
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-9)
    assert 0 <= low <= share <= high <= 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=9))
def test_a_share_counts_the_hits_of_all_images_or_of_those_that_count(
    images: list[tuple[bool, bool]],
) -> None:
    hits, among = (torch.tensor([image[part] for image in images], dtype=torch.bool) for part in (0, 1))
    assert Share.of(hits) == Share(sum(hit for hit, _ in images), len(images))
    assert Share.of(hits, among) == Share(images.count((True, True)), sum(counts for _, counts in images))


class ByBrightness(nn.Module):
    """Takes an image for class 1 if it is bright; has two parameters that matter and three that count."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([-1.0, 1.0]))
        self.bias = nn.Parameter(torch.tensor([0.5]))

    def forward(self, images: Tensor) -> Tensor:
        """Images in [0, 1] -> two logits."""
        assert not self.training
        bright = images.mean((1, 2, 3)).unsqueeze(1)
        logits: Tensor = (bright - self.bias) * self.weight
        return logits


def flat(values: list[float]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def test_a_row_counts_the_right_answers() -> None:
    clean = Examples(flat([0.1, 0.2, 0.9, 0.8]), torch.tensor([0, 1, 1, 1]))
    found = row("ours", "by brightness", "a.safetensors", ByBrightness(), clean, flat([0.9, 0.2, 0.1, 0.6]))
    assert found == Row(
        name="ours",
        clean_accuracy=0.75,
        adversarial_accuracy=0.25,
        clean_interval=wilson(3, 4),
        adversarial_interval=wilson(1, 4),
        parameters=3,
        images=4,
        architecture="by brightness",
        weights="a.safetensors",
    )


def test_a_row_reads_bytes_and_more_images_than_a_batch() -> None:
    labels = torch.arange(1201) % 2
    clean = Examples((labels * 255).to(torch.uint8).view(-1, 1, 1, 1), labels)
    attacked = flat((1 - labels.float()).tolist())
    attacked = torch.cat([attacked[:-1], flat([float(labels[-1])])])
    found = row("ours", "", "", ByBrightness(), clean, attacked)
    assert (found.clean_accuracy, found.adversarial_accuracy) == (1, 1 / 1201)
    assert found.images == 1201


def intervals() -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: (min(ends), max(ends)))


rows = st.lists(
    st.builds(
        Row,
        name=st.text(),
        clean_accuracy=st.floats(0, 1),
        adversarial_accuracy=st.floats(0, 1),
        clean_interval=intervals(),
        adversarial_interval=intervals(),
        parameters=st.integers(0, 2**62),
        images=st.integers(1, 2**62),
        architecture=st.text(),
    ),
    max_size=3,
).map(tuple)


@given(rows)
def test_a_table_that_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[Row, ...]
) -> None:
    path = tmp_path_factory.getbasetemp() / "table.json"
    write(table, path)
    assert read(path) == table


ONE = Row(
    name="reference",
    clean_accuracy=0.5,
    adversarial_accuracy=0.25,
    clean_interval=(0.4, 0.6),
    adversarial_interval=(0.2, 0.3),
    parameters=7,
    images=100,
    architecture="conv(4,3) fc(4)",
)


def test_the_file_is_a_json_list_of_all_fields(tmp_path: Path) -> None:
    write((ONE,), tmp_path / "table.json")
    (entry,) = json.loads((tmp_path / "table.json").read_text())
    assert entry["name"] == "reference"
    assert entry["clean_interval"] == [0.4, 0.6]
    assert set(entry) == set(Row.__slots__)
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_whoever_reads_while_a_table_is_written_reads_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    write((ONE,), path)
    with path.open() as reader:
        write((replace(ONE, name="x"), ONE), path)
        assert [entry["name"] for entry in json.load(reader)] == ["reference"]
    assert [entry.name for entry in read(path)] == ["x", "reference"]


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with small_disk(tmp_path, 24) as disk:
        path = disk / "table.json"
        write((ONE,), path)
        fill(disk)
        with pytest.raises(UserError, match="No space") as caught:
            write((ONE,) * 100, path)
        assert caught.value.where == str(path)
        assert read(path) == (ONE,)
        assert sorted(entry.name for entry in disk.iterdir()) == ["ballast", "table.json"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"name": "a"}]', "[{}]", '{"a": 1}', "[null]"])
def test_a_damaged_table_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read(path)
    assert caught.value.where == str(path)
