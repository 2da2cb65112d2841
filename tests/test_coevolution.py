"""Rounds of evolution against surrogates of what was found before."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given

from contragrad import evaluate
from contragrad.cli import main
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.search import Member
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Infeasible, Measured, Trial
from contragrad.fingerprint import canonical_json
from contragrad.jobs.coevolution import following
from contragrad.networks.architectures import members_of
from contragrad.run_folder import history
from contragrad.run_folder.workspace import Workspace, source_architecture
from contragrad.settings import config_file
from contragrad.settings.config import StudyConfig, TrainingSettings
from contragrad.settings.search import Limits, SearchSettings
from strategies import genomes

PROBLEM = Problem(1, 8, 8, 10)
TEXTS = ("conv(4,3) fc(8)", "conv(8,3) pool(max,2) fc(8)")
SETTINGS = SearchSettings(
    population=2, children=1, generations=1, initial=TEXTS, channels=(4, 8), limits=Limits(flops=10**6)
)
STUDY = {
    "device": "cpu",
    "workers": 1,
    "data": {"source": "digits"},
    "reference": {"epochs": 1},
    "training": {"objective": "orthogonal"},
    "search": {
        "population": 2,
        "children": 1,
        "generations": 1,
        "minimum_distance": 1,
        "epochs": 1,
        "channels": [8],
        "hidden": 16,
        "initial_blocks_max": 4,
        "limits": {"flops": 300_000},
    },
    "refine": {"networks": 1, "epochs": 1},
}


def named(sources: tuple[str, ...]) -> tuple[str, ...]:
    config = replace(StudyConfig(), training=TrainingSettings(objective="orthogonal", sources=sources))
    where = Workspace(folder=Path("nowhere"), config=config, data="data", problem=PROBLEM, weights=None)
    return where.source_names()


def ended(*fitness: float | None) -> search.State:
    """A search that has ended with these candidates."""
    start = search.start(SETTINGS, PROBLEM, 0)
    members = tuple(
        Member(Trial(genome, 1), Infeasible("x") if value is None else Measured(value, value))
        for genome, value in zip(start.initial, fitness, strict=True)
    )
    return replace(start, population=members)


@given(genomes())
def test_any_genome_can_be_a_surrogates(genome: Genome) -> None:
    source = f"surrogate {genome}"
    assert TrainingSettings(sources=("reference", source, "surrogate", source)).sources[1] == source
    assert source_architecture(StudyConfig().reference, source) == str(genome)


@pytest.mark.parametrize("source", ["surrogate", "surrogate conv(4,3) fc(8)"])
def test_a_surrogate_is_never_the_first(source: str) -> None:
    with pytest.raises(UserError, match="cannot be used"):
        TrainingSettings(sources=(source, "reference"))


def test_who_joins_leaves_the_names_of_those_before() -> None:
    first = (f"surrogate {TEXTS[0]}",)
    before = named(("reference", "surrogate", *first))
    after = named(("reference", "surrogate", *first, f"surrogate {TEXTS[1]}"))
    assert after[:3] == before
    assert len(set(after)) == 4
    key = named(("reference", "key"))[1]
    assert named(("reference", *first, "key"))[2] == key != named(("reference", "another-seed", "key"))[2]
    # By the same genome, in another place: another seed, and one more to be trained against.
    assert len(set(named(("reference", *first, *first)))) == 3


def test_a_search_begins_with_the_genomes_given_and_draws_by_them() -> None:
    state = search.start(SETTINGS, PROBLEM, 0)
    assert tuple(map(str, state.initial)) == TEXTS
    assert search.ask(state).genome == parse(TEXTS[0])
    other = search.start(replace(SETTINGS, initial=TEXTS[::-1]), PROBLEM, 0)
    assert state.seed != other.seed
    assert "initial" not in canonical_json(SearchSettings()).replace("initial_blocks", "")


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (("conv(4,3) fc(8)", "conv(4,2) fc(8)"), "kernel odd"),
        (("conv(4,3) fc(8)", "conv(800,3) fc(8)"), "FLOPs"),
    ],
)
def test_a_wrong_genome_is_named(texts: tuple[str, ...], what: str) -> None:
    with pytest.raises(UserError, match=what) as error:
        search.start(replace(SETTINGS, initial=texts), PROBLEM, 0)
    assert error.value.where == f"search.initial, genome 2: {texts[1]}"


def test_a_population_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="1 genomes are no population of 2"):
        replace(SETTINGS, initial=TEXTS[:1])


def test_the_best_joins_before_a_key_and_all_stand() -> None:
    config = replace(
        StudyConfig(),
        training=TrainingSettings(sources=("reference", "key")),
        search=SETTINGS,
    )
    after = following(config, ended(0.2, 0.3))
    assert after.training.sources == ("reference", f"surrogate {TEXTS[1]}", "key")
    assert after.search.initial == TEXTS
    again = following(after, ended(0.4, 0.3))
    assert again.training.sources[1:] == (f"surrogate {TEXTS[1]}", f"surrogate {TEXTS[0]}", "key")


def test_nothing_follows_where_nothing_could_be_trained() -> None:
    with pytest.raises(UserError, match="no candidate could be trained"):
        following(replace(StudyConfig(), search=SETTINGS), ended(None, None))


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("coevolution") / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


def test_rounds_go_on_where_they_were_left(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rounds"
    words = ["coevolve", "--config", str(study_file), "--out", str(out)]
    assert main([*words, "--rounds", "2"]) == 0
    first, second = history.load(out / "round-1"), history.load(out / "round-2")
    assert first.state is not None
    assert second.state is not None
    assert first.state.finished
    assert second.state.finished
    assert second.state.initial == tuple(member.trial.genome for member in first.state.population)
    joined = history.stored_config(out / "round-2").training.sources
    assert joined[0] == "reference"
    best = max(first.state.population, key=lambda member: member.outcome.fitness)
    assert joined[1:] == (f"surrogate {best.trial.genome}",)
    # What both rounds name likewise was made once.
    for kind in ("splits", "network"):
        reused = [path.name for path in (out / "round-1/artefacts").glob(f"{kind}-*")]
        assert reused
        for name in reused:
            assert (out / "round-2/artefacts" / name).samefile(out / "round-1/artefacts" / name)
    assert not (out / "round-1/table.json").exists()
    table = (out / "round-2/table.json").read_bytes()

    # A second call finds it all; a killed one would go on so.
    capsys.readouterr()
    (out / "round-2/table.json").unlink()
    assert main([*words, "--rounds", "2", "--json"]) == 0
    assert (out / "round-2/table.json").read_bytes() == table
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert not any(line.get("event") == "epoch" for line in lines)

    # The second round follows from as long a first one as it had, and says so before it is touched.
    assert main([*words, "--rounds", "2", "--search.generations", "2"]) == 2
    assert "a later round follows from 1 generations of this one" in capsys.readouterr().err
    assert main([*words, "--rounds", "2"]) == 0

    # The networks may be deployed with whom they were trained apart from: the best of the round before.
    assert main([*words, "--rounds", "2", "--refine.together", "true"]) == 0
    networks = {row.name: row.architecture for row in evaluate.read(out / "round-2/table.json")}
    both = members_of(networks["NE+orthogonal 1, together"])
    assert both[1:] == (str(best.trial.genome),)
    assert both[0] in [str(member.trial.genome) for member in second.state.population]

    # Its test images were looked at: a third round would be chosen by them.
    assert main([*words, "--rounds", "3"]) == 2
    assert "planned before the test images were looked at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--rounds", "0"), "--rounds"),
        (("--rounds", "1", "--refine.together", "true"), "refine.together"),
        (("--training.objective", "cross-entropy"), "training.objective"),
        (("--training.objective", "fast-adversarial"), "training.objective"),
        (('--training.sources=["reference","surrogate conv(4,2) fc(8)"]',), "training.sources"),
    ],
)
def test_what_cannot_coevolve_is_refused_before_anything_is_made(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], what: str
) -> None:
    out = tmp_path / "rounds"
    assert main(["coevolve", "--config", str(study_file), "--out", str(out), *words]) == 2
    assert what in capsys.readouterr().err
    assert not out.exists()


def test_the_settings_of_a_round_are_a_study_file(tmp_path: Path) -> None:
    config = following(replace(StudyConfig(), search=SETTINGS), ended(0.2, 0.3))
    config_file.write(config, tmp_path / "study.yaml")
    assert config_file.read(tmp_path / "study.yaml") == config


def test_a_studys_own_folder_holds_no_rounds(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").touch()
    assert main(["coevolve", "--config", str(study_file), "--out", str(tmp_path)]) == 2
    assert "a study's own folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
