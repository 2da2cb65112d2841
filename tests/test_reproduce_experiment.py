"""Where the tables' studies find their data, their settings by scale and protocol, and their folders."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from contragrad.data.sources import LAYOUT
from contragrad.errors import UserError
from contragrad.reproduce.definition import DataName, Experiment
from contragrad.reproduce.experiment import ROUNDS, in_rounds
from contragrad.reproduce.setups import ELSEWHERE, FILES, Setup, data_settings
from contragrad.settings.choices import Scale
from contragrad.settings.config import DataSettings, StudyConfig
from contragrad.settings.search import SearchSettings

NAMES: tuple[DataName, ...] = get_args(DataName)
SCALES: tuple[Scale, ...] = get_args(Scale)
EXPERIMENTS: tuple[Experiment, ...] = get_args(Experiment)

REDUCED = DataSettings(source="npz", path="cifar10_reduced.npz", validation_fraction=0.2)
FULL = DataSettings(source="cifar10", path=".", validation_fraction=0.2)
SMOKE = replace(REDUCED, train_per_class=40, test_per_class=10)


def hold_npz(folder: Path, *names: DataName) -> None:
    for name in names:
        (folder / FILES[name]).touch()


def hold_torchvision(folder: Path, *names: DataName) -> None:
    for name in names:
        (folder / LAYOUT[name]).mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("base", [REDUCED, SMOKE], ids=["reduced", "smoke"])
@pytest.mark.parametrize("name", NAMES)
def test_an_npz_file_that_is_there_is_taken_as_it_is(
    name: DataName, base: DataSettings, tmp_path: Path
) -> None:
    hold_npz(tmp_path, name)
    hold_torchvision(tmp_path, *NAMES)
    assert data_settings(name, base, tmp_path) == replace(base, path=str(tmp_path / FILES[name]))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fashion-mnist"])
def test_torchvisions_layout_is_cut_to_the_papers_reduced_size(name: DataName, tmp_path: Path) -> None:
    hold_torchvision(tmp_path, name)
    cut = replace(REDUCED, source=name, path=str(tmp_path), train_per_class=1000, test_per_class=100)
    assert data_settings(name, REDUCED, tmp_path) == cut
    smoke = replace(cut, train_per_class=40, test_per_class=10)
    assert data_settings(name, SMOKE, tmp_path) == smoke
    assert data_settings(name, replace(REDUCED, test_per_class=7), tmp_path) == replace(cut, test_per_class=7)


@pytest.mark.parametrize("layout", [False, True])
def test_the_reduced_fashion_images_ship_with_the_package(layout: bool, tmp_path: Path) -> None:
    if layout:
        hold_torchvision(tmp_path, "fashion-mnist")
    found = data_settings("fashion-mnist", SMOKE, tmp_path)
    assert found == replace(SMOKE, source="fashion-mnist-reduced", path=None)
    assert data_settings("fashion-mnist", SMOKE, tmp_path / "not there") == found


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fashion-mnist"])
def test_where_there_is_nothing_the_missing_file_is_named(name: DataName, tmp_path: Path) -> None:
    others: list[DataName] = [other for other in NAMES if other != name]
    hold_npz(tmp_path, *others)
    hold_torchvision(tmp_path, *others)
    for folder, what in (
        (tmp_path, f"the reduced {name} is not in this folder"),
        (tmp_path / "not there", "there is no such folder"),
    ):
        with pytest.raises(UserError, match=what) as caught:
            data_settings(name, REDUCED, folder)
        assert str(folder) in caught.value.where
        assert FILES[name] in caught.value.remedy
        assert LAYOUT[name] in caught.value.remedy
        assert "--data.download true" in caught.value.remedy


def test_a_folder_in_a_files_place_is_no_file(tmp_path: Path) -> None:
    (tmp_path / FILES["mnist"]).mkdir()
    with pytest.raises(UserError, match="the reduced mnist"):
        data_settings("mnist", REDUCED, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_full_sets_are_torchvisions_and_not_cut(name: DataName, tmp_path: Path) -> None:
    hold_npz(tmp_path, *NAMES)
    hold_torchvision(tmp_path, name)
    assert data_settings(name, FULL, tmp_path) == replace(FULL, source=name, path=str(tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_full_sets_that_are_not_there_are_named_unless_they_are_downloaded(
    name: DataName, tmp_path: Path
) -> None:
    hold_npz(tmp_path, *NAMES)
    with pytest.raises(UserError, match=f"all of {name} is not in this folder") as caught:
        data_settings(name, FULL, tmp_path)
    assert LAYOUT[name] in caught.value.remedy
    assert "npz" not in caught.value.remedy
    found = data_settings(name, replace(FULL, download=True), tmp_path)
    assert found == replace(FULL, source=name, path=str(tmp_path), download=True)


def test_the_folder_may_be_relative_or_the_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_npz(tmp_path, "mnist")
    expected = str(tmp_path / FILES["mnist"])
    monkeypatch.chdir(tmp_path.parent)
    assert data_settings("mnist", REDUCED, Path(tmp_path.name)).path == expected
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_settings("mnist", REDUCED, Path("~")).path == expected


# A run of the studies.


def setup(tmp_path: Path, **changes: object) -> Setup:
    hold_npz(tmp_path, *NAMES)
    hold_torchvision(tmp_path, "cifar10")
    whole = Setup(scale="smoke", seed=7, paper_protocol=False, data=tmp_path, out=tmp_path / "out")
    return replace(whole, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", [False, True], ids=["separate", "paper"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_scale_has_settings_with_the_seed_and_the_protocol(
    experiment: Experiment, scale: Scale, protocol: bool, tmp_path: Path
) -> None:
    config = setup(tmp_path, scale=scale, paper_protocol=protocol).config(experiment, None)
    assert config.seed == 7
    assert config.fitness_split == ("test" if protocol else "validation")
    # The best epoch would be chosen on the test images.
    assert not protocol or config.refine.keep == "last"
    full = (experiment, scale) == ("full-data", "full")
    assert config.data.source == ("cifar10" if full else "npz")
    assert config.data.path == str(tmp_path if full else tmp_path / FILES["cifar10"])


def test_other_data_change_nothing_but_the_data(tmp_path: Path) -> None:
    here = setup(tmp_path)
    own, other = here.config("reduced-data", None), here.config("reduced-data", "kmnist")
    assert other.data.path == str(tmp_path / FILES["kmnist"])
    assert replace(other, data=own.data) == own


def test_another_epsilon_is_that_of_a_study_of_its_own(tmp_path: Path) -> None:
    here, epsilon = setup(tmp_path), Fraction(16, 255)
    own, other = (here.config("reduced-data", "mnist", each) for each in (None, epsilon))
    assert other == replace(own, attack=replace(own.attack, epsilon=epsilon))
    assert here.folder("reduced-data", "mnist", epsilon).name == "seed-7-mnist-16-255"
    given = replace(here, overrides=("--attack.epsilon=4/255",))
    assert given.config("reduced-data", "mnist").attack.epsilon == Fraction(4, 255)
    with pytest.raises(UserError, match="is no option of a table whose data sets"):
        given.config("reduced-data", "mnist", epsilon)


def test_options_override_the_scale(tmp_path: Path) -> None:
    config = setup(tmp_path, overrides=("--attack.steps=5", "--data.train_per_class=30")).config(
        "reduced-data", "mnist"
    )
    assert config.attack.steps == 5
    assert config.data.train_per_class == 30
    with pytest.raises(UserError, match=r"there is no setting 'attack\.step'"):
        setup(tmp_path, overrides=("--attack.step=5",)).config("reduced-data", None)


def test_a_setting_that_the_papers_protocol_forbids_is_refused(tmp_path: Path) -> None:
    here = setup(tmp_path, paper_protocol=True, overrides=("--refine.keep=best",))
    with pytest.raises(UserError, match="chosen on the test images"):
        here.config("reduced-data", None)
    here = setup(tmp_path, paper_protocol=True, overrides=("--refine.patience=7",))
    with pytest.raises(UserError, match="chosen on the test images") as caught:
        here.config("reduced-data", None)
    assert caught.value.remedy == "leave --refine.patience out, or --protocol separate"


VALUES = {
    "seed": "5",
    "data.path": "elsewhere",
    "data.source": "mnist",
    "fitness_split": "validation",
    "training.objective": "orthogonal",
    "search.variation": "random",
    "refine.together": "true",
    "attack.name": "fgsm",
}


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_setting_that_reproduce_decides_is_refused_however_it_is_given(key: str, tmp_path: Path) -> None:
    value = VALUES[key]
    assert setup(tmp_path).config("reduced-data", None)
    section, _, name = key.rpartition(".")
    ways = [(f"--{key}={value}",), (f"--{key}", value), ("--attack.steps=3", f"--{key}={value}")]
    if section:
        ways += [(f"--{section}={{{name}: {value}}}",), (f"--{section}", f"{{{name}: {value}}}")]
    for words in ways:
        with pytest.raises(UserError, match="is no option of reproduce") as caught:
            setup(tmp_path, overrides=words).config("reduced-data", None)
        # A section holds several of them.
        assert caught.value.remedy in (ELSEWHERE.values() if "{" in words[-1] else {ELSEWHERE[key]})


def test_a_setting_that_only_begins_alike_is_taken(tmp_path: Path) -> None:
    words = ("--data.validation_fraction=0.2", "--training.gm_weight=3", "--search.generations=0")
    found = setup(tmp_path, overrides=words).config("reduced-data", None)
    assert (found.data.validation_fraction, found.training.gm_weight) == (0.2, 3)


def test_every_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    kinds = product(SCALES, (False, True), (0, 1), EXPERIMENTS, (None, *NAMES))
    folders = [
        setup(tmp_path, scale=scale, paper_protocol=protocol, seed=seed).folder(experiment, data)
        for scale, protocol, seed, experiment, data in kinds
    ]
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert folder.is_relative_to(tmp_path / "out")
        assert not any(folder in other.parents for other in folders)


@pytest.mark.parametrize(("generations", "evaluations"), [(10, 84), (50, 396), (0, 36)])
def test_all_rounds_together_have_the_searchs_evaluations(generations: int, evaluations: int) -> None:
    settings = SearchSettings(population=4, children=2, generations=generations)
    config = in_rounds(replace(StudyConfig(), search=settings))
    # 10 generations divide exactly; a round has one at least.
    assert ROUNDS * (4 + config.search.generations * 4 * 2) == evaluations
    assert config.training.objective == "orthogonal"
