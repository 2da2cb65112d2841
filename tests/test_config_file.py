"""Study files: what is written is read back, what overrides what, and what is wrong is named."""

import os
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contragrad import __version__
from contragrad.errors import UserError
from contragrad.fingerprint import fingerprint
from contragrad.settings import checks, config_file
from contragrad.settings.choices import (
    AttackName,
    DataSource,
    Device,
    FitnessSplit,
    Optimiser,
    Precision,
    ReferenceArchitecture,
    Scale,
)
from contragrad.settings.config import (
    AttackSettings,
    DataSettings,
    ReferenceSettings,
    RefineSettings,
    StudyConfig,
    TrainingSettings,
)
from contragrad.settings.config_file import read, write
from contragrad.settings.search import Limits, SearchSettings
from contragrad.studies import shipped

TRUSTING = {"executor": "ray", "address": "10.0.0.1:6379", "memo": "m.db"}
FOLDER = shipped.study("demo").parent
STUDIES = sorted(
    str(path.relative_to(FOLDER).with_suffix(""))
    for path in FOLDER.rglob("*.yaml")
    if path.parent.name not in ("tables", "figures")
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study.yaml"


def reading(path: Path, text: str, *overrides: str) -> StudyConfig:
    path.write_text(text, encoding="utf-8")
    return read(path, overrides)


def refused(path: Path, text: str, *overrides: str) -> UserError:
    """Reading fails with an error that has all its parts, each on a line."""
    with pytest.raises(UserError) as error:
        reading(path, text, *overrides)
    assert error.value.remedy
    assert error.value.where
    assert len(str(error.value).splitlines()) == 3
    return error.value


# What is written is read back.


def one_of(choices: Any) -> st.SearchStrategy[Any]:
    assert choices.__class__ is Literal[1].__class__
    return st.sampled_from(get_args(choices))


def not_null(text: str) -> bool:
    """False for the texts that jsonargparse reads as null, as it must for `--data.path null`."""
    try:
        return yaml.safe_load(text) is not None
    except yaml.YAMLError:
        return True


@pytest.mark.parametrize("text", ["'#'", "'null'", "'~'", "'&a'"])
def test_a_text_that_would_be_read_as_null_is_refused(text: str, study: Path) -> None:
    study.write_text(f"reference: {{weights: {text}}}")
    with pytest.raises(UserError, match=r"reference\.weights would be read as no value"):
        read(study)


counts = st.integers(1, 10**9)
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
weights = st.floats(0, allow_infinity=False)
fractions = st.fractions(min_value=0, max_value=1)
letters = st.characters(codec="utf-8", exclude_characters="\0")
texts = st.none() | st.text(letters, min_size=1, max_size=20).filter(not_null)


@st.composite
def configs(draw: st.DrawFn) -> StudyConfig:
    low, blocks, population = draw(counts), draw(counts), draw(counts)
    return StudyConfig(
        seed=draw(st.integers(0, 2**70)),
        fitness_split=draw(one_of(FitnessSplit)),
        data=DataSettings(
            source=draw(one_of(DataSource)),
            path=draw(texts),
            download=draw(st.booleans()),
            validation_fraction=draw(shares),
            image_size=draw(st.none() | counts),
            train_per_class=draw(st.none() | counts.map(lambda count: count + 1)),
            test_per_class=draw(st.none() | counts),
        ),
        reference=ReferenceSettings(
            architecture=draw(one_of(ReferenceArchitecture)),
            factory=draw(texts),
            weights=draw(texts),
            epochs=draw(counts),
        ),
        attack=AttackSettings(
            name=draw(one_of(AttackName)),
            epsilon=draw(fractions),
            steps=draw(counts),
            step_size=draw(st.none() | fractions.filter(bool)),
            random_start=draw(st.booleans()),
        ),
        training=TrainingSettings(
            batch_size=draw(counts) + 1,
            gm_weight=draw(weights),
            gm_every=draw(counts),
            optimiser=draw(one_of(Optimiser)),
            precision=draw(one_of(Precision)),
        ),
        search=SearchSettings(
            schedule=draw(st.sampled_from(("sequential", "generation"))),
            rungs=draw(st.sampled_from(((), (0.25,), (0.25, 0.5)))),
            rung_slack=draw(st.sampled_from((0.0, 0.1))),
            population=population,
            children=draw(counts),
            minimum_distance=draw(weights),
            generations=draw(counts) - 1,
            mutations_min=low,
            mutations_max=low + draw(counts) - 1,
            initial_blocks_min=blocks,
            initial_blocks_max=blocks + draw(counts) - 1,
            epochs=draw(counts),
            epochs_growth=draw(counts) - 1,
            epochs_growth_every=draw(counts),
            channels=tuple(draw(st.lists(counts, min_size=1, max_size=4))),
            kernels=tuple(draw(st.lists(st.sampled_from((1, 3, 5, 7)), min_size=1, max_size=4))),
            hidden=draw(counts),
            limits=Limits(blocks=draw(counts), parameters=draw(counts), flops=draw(counts)),
        ),
        refine=RefineSettings(
            networks=draw(st.integers(1, population)),
            epochs=draw(counts) - 1,
            checkpoint_every=draw(counts),
        ),
        device=draw(one_of(Device)),
        workers=draw(counts) - 1,
    )


@settings(max_examples=50)
@given(configs())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, config: StudyConfig) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    write(config, path)
    found = read(path)
    assert found == config
    assert fingerprint("test/1", found) == fingerprint("test/1", config)


def test_a_written_file_holds_every_setting(study: Path) -> None:
    write(StudyConfig(), study)
    content = yaml.safe_load(study.read_text())
    said = checks.kinds().keys() - TRUSTING.keys()
    assert set(checks._keys(content)) == {*said, "version", "contragrad"}
    assert content["version"] == config_file.VERSION
    assert content["contragrad"] == __version__
    assert content["attack"]["epsilon"] == "8/255"
    assert content["search"]["channels"] == [16, 32, 64, 128]


# Versions.


def test_a_file_without_a_version_is_of_the_first() -> None:
    assert config_file.VERSION == 1, "a file that a person wrote says no version: what is it of now?"


@pytest.mark.parametrize("version", [config_file.VERSION + 1, 0, -1, "new", 1.0, True, None])
def test_another_version_is_refused(version: object, study: Path) -> None:
    told = refused(study, yaml.safe_dump({"version": version, "contragrad": "9.8.7", "epoch": 3}))
    assert told.where == str(study)
    assert f"version {version}" in told.what
    assert told.remedy == "contragrad 9.8.7, which wrote it"
    told = refused(study, yaml.safe_dump({"version": version}))
    assert told.remedy == "version: 1, or the line left out"


def test_an_older_version_is_migrated(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(content: dict[str, Any]) -> dict[str, Any]:
        return {"seed" if key == "luck" else key: value for key, value in content.items()}

    monkeypatch.setattr(config_file, "VERSION", 2)
    monkeypatch.setattr(config_file, "MIGRATIONS", {1: renamed})
    assert reading(study, "version: 1\nluck: 3").seed == 3
    assert reading(study, "luck: 3").seed == 3
    assert reading(study, "version: 2\nseed: 3").seed == 3
    refused(study, "version: 2\nluck: 3")


def test_every_older_version_can_be_migrated() -> None:
    assert set(config_file.MIGRATIONS) == set(range(1, config_file.VERSION))


def test_a_setting_that_another_contragrad_knows_is_refused_with_its_version(study: Path) -> None:
    told = refused(study, "contragrad: 9.8.7\nsearch: {luck: 3}")
    assert told.where == f"{study}, written by contragrad 9.8.7; this is {__version__}"
    assert refused(study, f"contragrad: {__version__}\nsearch: {{luck: 3}}").where == str(study)


# What overrides what.


def test_nothing_given_is_the_defaults(study: Path) -> None:
    assert read(None) == StudyConfig()
    for text in (
        "",
        "# seed: 5\n",
        "---\n",
        "{}\n",
        "search:\n",
        "search:\n  limits:\n  # epochs: 3\n",
        "data: {}",
    ):
        assert reading(study, text) == StudyConfig()


def test_a_file_of_one_section_leaves_the_rest_at_the_defaults(study: Path) -> None:
    found = reading(study, "search: {limits: {flops: 5000}}\n")
    assert found == StudyConfig(search=SearchSettings(limits=Limits(flops=5000)))


def test_the_command_line_beats_the_file_setting_by_setting(study: Path) -> None:
    text = """
seed: 3
search: {generations: 5, epochs: 7, limits: {blocks: 9, flops: 11}}
attack: {epsilon: 4/255, step_size: 1/255}
"""
    words = ("--search.generations", "6", "--search.limits.flops=12", "--attack.step_size", "null")
    assert reading(study, text, *words) == StudyConfig(
        seed=3,
        search=SearchSettings(generations=6, epochs=7, limits=Limits(blocks=9, flops=12)),
        attack=AttackSettings(epsilon=Fraction(4, 255)),
    )


def test_the_last_word_counts(study: Path) -> None:
    assert reading(study, "seed: 1\n", "--seed", "2", "--seed=3").seed == 3


def test_a_section_on_the_command_line_changes_what_it_names(study: Path) -> None:
    found = reading(study, "search: {generations: 5, epochs: 7}\n", "--search", "{generations: 6}")
    assert (found.search.generations, found.search.epochs) == (6, 7)


def test_lists_are_replaced_and_not_lengthened(study: Path) -> None:
    found = reading(study, "search: {channels: [8, 16], kernels: [3]}\n", "--search.channels", "[4]")
    assert (found.search.channels, found.search.kernels) == ((4,), (3,))


def test_a_file_that_can_be_read_once_is_enough(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("seed: 8\n",))
    writer.start()
    assert read(pipe).seed == 8
    writer.join()


@pytest.mark.parametrize("name", STUDIES)
def test_every_shipped_study_is_read(name: str) -> None:
    assert read(shipped.study(name)) != StudyConfig()


def test_the_shipped_studies_have_the_papers_numbers() -> None:
    scales = {f"{name}/{scale}" for name in ("full-data", "reduced-data") for scale in get_args(Scale)}
    assert {"demo", *scales} == set(STUDIES)
    for name in ("full-data/full", "reduced-data/full"):
        found = read(shipped.study(name))
        assert found.search == SearchSettings()
        assert found.refine == RefineSettings()
    assert read(shipped.study("full-data/full")).reference.architecture == "resnet34"


# Fractions.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8/255", Fraction(8, 255)),
        ('"8/255"', Fraction(8, 255)),
        ("0.03", Fraction(3, 100)),
        ("3e-2", Fraction(3, 100)),
        ("0", Fraction(0)),
        ("1", Fraction(1)),
        ("16/510", Fraction(8, 255)),
    ],
)
def test_an_epsilon_is_a_number_or_a_fraction(text: str, value: Fraction, study: Path) -> None:
    assert reading(study, f"attack: {{epsilon: {text}}}\n").attack.epsilon == value
    assert read(None, ["--attack.epsilon", text.strip('"')]).attack.epsilon == value


@pytest.mark.parametrize("text", ["8/0", "8/255/2", "eight", "1/0.5", ".nan", ".inf", "true", "[8, 255]"])
def test_what_is_no_fraction_is_refused(text: str, study: Path) -> None:
    error = refused(study, f"attack: {{epsilon: {text}}}\n")
    assert error.where == "attack.epsilon"
    assert "8/255" in error.remedy


# What is wrong.


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("sede: 1\n", "sede", "seed"),
        ("search: {generatons: 3}\n", "search.generatons", "search.generations"),
        ("search: {limits: {flop: 3}}\n", "search.limits.flop", "search.limits.flops"),
        ("generations: 3\n", "generations", "search.generations"),
        ("attack: {eps: 3}\n", "attack.eps", "attack.epsilon"),
        ("attack: {step: 3}\n", "attack.step", "attack.steps"),
        ("seed: {value: 3}\n", "seed.value", "seed"),
        ("config: other.yaml\n", "config", "search.rungs"),
        ("1: 2\n", "1", "workers"),
        ("search.generatons: 3\n", "search.generatons", "search.generations"),
    ],
)
def test_an_unknown_key_in_a_file_is_named_with_the_nearest(
    text: str, key: str, nearest: str, study: Path
) -> None:
    error = refused(study, text)
    assert error.what == f"there is no setting {key!r}"
    assert error.where == str(study)
    assert error.remedy == nearest


@pytest.mark.parametrize("word", ["--search.generatons", "--search.generatons=3", "--search.generation"])
def test_an_unknown_key_on_the_command_line_is_named_with_the_nearest(word: str) -> None:
    with pytest.raises(UserError) as error:
        read(None, [word, "3"])
    assert repr(word[2:].partition("=")[0]) in error.value.what
    assert error.value.where == "the command line"
    assert error.value.remedy == "search.generations"


@given(st.sampled_from(sorted(checks.kinds())), st.integers(0, 100), st.sampled_from("xyz_"))
def test_a_slip_in_any_key_is_named_with_a_key_that_is_as_near(key: str, place: int, letter: str) -> None:
    place %= len(key)
    slip = key[:place] + letter + key[place + 1 :]
    assume(slip not in checks.kinds())
    with pytest.raises(UserError) as error:
        read(None, [f"--{slip}", "1"])
    found = error.value.remedy
    assert len(found) == len(slip) or found == key
    assert found in checks.kinds()


ILL_TYPED = [
    ("seed", "x", "a whole number"),
    ("seed", "1.5", "a whole number"),
    ("seed", "true", "a whole number"),
    ("search.generations", "many", "a whole number"),
    ("search.generations", "[1]", "a whole number"),
    ("search.limits.flops", "1e6", "a whole number"),
    ("search.channels", "16", "a list, such as [1, 3]"),
    ("search.channels", "[16, x]", "a list, such as [1, 3]"),
    ("search.rungs", "0.5", "a list, such as [0.25, 0.5]"),
    ("training.gm_weight", "heavy", "a number"),
    ("training.optimiser", "adagrad", "adam, adamw, sgd"),
    ("data.source", "imagenet", "npz, image-folder, cifar10"),
    ("data.download", "maybe", "true or false"),
    ("data.image_size", "large", "a whole number or null"),
    ("attack.epsilon", "small", "fraction such as 8/255"),
    ("attack.step_size", "small", "fraction such as 8/255 or null"),
    ("device", "gpu", "auto, cpu, cuda, mps"),
]


@pytest.mark.parametrize(("key", "value", "kind"), ILL_TYPED)
def test_an_ill_typed_value_is_named_by_key_and_kind(key: str, value: str, kind: str, study: Path) -> None:
    *sections, name = key.split(".")
    text = f"{name}: {value}"
    for section in reversed(sections):
        text = f"{section}: {{{text}}}"
    for error in (refused(study, text), refused(study, "", f"--{key}", value)):
        assert error.what.startswith("a setting has a value of the wrong kind")
        assert error.where == key
        assert kind in error.remedy
        assert "class" not in str(error)


def test_the_value_is_shown() -> None:
    with pytest.raises(UserError, match=r"wrong kind: many\n"):
        read(None, ["--search.generations", "many"])


def test_a_path_is_text(study: Path) -> None:
    assert refused(study, "data: {path: 5}\n").where == "data.path"
    assert reading(study, 'data: {path: "5"}\n').data.path == "5"
    assert read(None, ["--data.path", "5"]).data.path == "5"


@pytest.mark.parametrize("key", sorted(checks.kinds()))
def test_null_is_refused_where_a_value_must_be(key: str, study: Path) -> None:
    optional = {
        *("data.path", "data.image_size", "data.train_per_class", "data.test_per_class"),
        *("reference.factory", "reference.weights", "attack.step_size", "refine.patience"),
    }
    content: Any = None
    for name in reversed(key.split(".")):
        content = {name: content}
    text = yaml.safe_dump(content)
    if key in optional | {"data", "reference", "attack", "training", "search", "search.limits", "refine"}:
        assert reading(study, text) == StudyConfig()
    else:
        error = refused(study, text)
        unsaid = "is taken from the command line alone: a file would choose whom you trust"
        assert error.what == f"{key} {unsaid if key in TRUSTING else 'has no value'}"
        assert error.where == str(study)


@pytest.mark.parametrize("text", ["search: 3", "search: [1]", "search: other.yaml", "search: {limits: 5}"])
def test_a_section_that_is_no_mapping_is_refused(text: str, study: Path) -> None:
    (study.parent / "other.yaml").write_text("generations: 3\n")
    error = refused(study, text)
    assert "no mapping of settings" in error.what
    assert "search" in error.what
    assert error.where == str(study)


@pytest.mark.parametrize("text", ["- seed\n", "hello\n", "5\n", "seed:1\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str, study: Path) -> None:
    error = refused(study, text)
    assert "no mapping" in error.what
    assert error.where == str(study)


@pytest.mark.parametrize(
    "text", ["seed: [\n", "seed: 1\n  search: 2\n", "seed: *nothing\n", "\tseed: 1\n", "a: b: c\n"]
)
def test_a_file_that_is_no_yaml_is_refused(text: str, study: Path) -> None:
    error = refused(study, text)
    assert "no YAML" in error.what
    assert "line " in error.what
    assert error.where == str(study)


def test_a_file_that_is_no_text_is_refused(study: Path) -> None:
    study.write_bytes(b"seed: \xff\xfe\x00")
    with pytest.raises(UserError, match="no text in UTF-8"):
        read(study)


def test_a_file_that_is_missing_or_a_folder_is_refused(study: Path) -> None:
    for path in (study, study.parent):
        with pytest.raises(UserError, match="cannot be read") as error:
            read(path)
        assert error.value.where == str(path)


@pytest.mark.parametrize(
    "text",
    [
        "seed: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{path}]]\n",
        "!!python/object/apply:os.mkdir [{path}]\n",
        "data: {{path: !!python/object/new:os.mkdir [{path}]}}\n",
        "data: {{path: !!python/name:os.system }}\n",
    ],
)
def test_tags_that_run_code_are_refused(text: str, study: Path) -> None:
    sprung = study.parent / "sprung"
    error = refused(study, text.format(path=sprung))
    assert "python" in error.what
    assert error.where == str(study)
    for key in ("--seed", "--data", "--search.channels"):
        with pytest.raises(UserError):
            read(None, [key, text.format(path=sprung)])
    assert not sprung.exists()


@pytest.mark.parametrize("words", [["seed", "1"], ["--seed"], ["-s", "1"], ["study.yaml"], ["--search", "3"]])
def test_words_that_are_no_settings_are_named(words: list[str]) -> None:
    with pytest.raises(UserError, match="cannot be read") as error:
        read(None, words)
    assert words[0].strip("-") in error.value.where
    assert ("--config" if words == ["study.yaml"] else "--help") in error.value.remedy


def test_values_out_of_range_are_named_by_key(study: Path) -> None:
    assert refused(study, "search: {generations: -1}\n").where == "search.generations"
    assert refused(study, "", "--attack.epsilon", "8").where == "attack.epsilon"
    assert refused(study, "refine: {networks: 5}\n").where == "refine.networks"


@pytest.mark.parametrize(("key", "value"), TRUSTING.items())
def test_whom_a_study_trusts_is_said_on_the_command_line_alone(key: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"{key}: {value}\n")
    with pytest.raises(UserError, match=f"{key} is taken from the command line alone") as caught:
        config_file.read(path)
    assert caught.value.where == str(path)
    assert f"--{key} {value}" in caught.value.remedy
    beside = ["--executor=ray"] if key == "address" else []
    said = config_file.read(None, [*beside, f"--{key}={value}"])
    assert getattr(said, key) == value
    config_file.write(said, path)
    assert config_file.read(path) == StudyConfig()


def python(**settings: object) -> StudyConfig:
    """A StudyConfig as Python lets one be made, whatever the types; sections are dicts."""
    sections = {"attack": AttackSettings, "data": DataSettings, "search": SearchSettings}
    made = {
        key: sections[key](**value) if isinstance(value, dict) else value for key, value in settings.items()
    }
    return StudyConfig(**made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "meant"),
    [
        (
            python(attack={"epsilon": 0.03}, memo="a.db"),
            python(attack={"epsilon": Fraction(3, 100)}, memo="a.db"),
        ),
        (python(attack={"name": "l2-pgd", "epsilon": 1}), python(attack={"name": "l2-pgd", "epsilon": 1})),
        (python(search={"channels": [16, 32]}), python(search={"channels": (16, 32)})),
    ],
)
def test_settings_from_python_are_those_that_a_study_file_gives(
    made: StudyConfig, meant: StudyConfig, tmp_path: Path
) -> None:
    found = config_file.normalised(made)
    assert found == meant
    config_file.write(found, tmp_path / "study.yaml")
    assert replace(config_file.read(tmp_path / "study.yaml"), memo=found.memo) == found
    assert isinstance(found.attack.epsilon, Fraction)
    assert isinstance(found.search.channels, tuple)


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (python(seed=1.5), "seed"),
        (python(fitness_split="testing"), "fitness_split"),
        (python(data={"path": Path("a.npz")}), "data.path"),
        (python(memo=Path("a.db")), "memo"),
        (python(executor=3), "executor"),
        (python(reference=None), "reference"),
    ],
)
def test_settings_from_python_that_no_study_file_could_have_are_refused(
    made: StudyConfig, named: str
) -> None:
    with pytest.raises(UserError, match="wrong kind") as caught:
        config_file.normalised(made)
    assert caught.value.where == named
