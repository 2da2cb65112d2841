"""The report card: its sentences, figures, tables and pictures say what was found, and no more."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from contragrad.audit import card, shown, sources, verdict
from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET
from contragrad.audit.checks.baselines import NEITHER
from contragrad.audit.checks.every import judged
from contragrad.audit.facts import Tried
from contragrad.audit.figures import alignment, attacks_of, by_queries, matrix, tenfold
from contragrad.audit.findings import Findings
from contragrad.audit.planted import Fooled
from contragrad.audit.plots import PICTURES, curve, draw_alignment
from contragrad.audit.shown import matrix_table, printed
from contragrad.audit.standing import deciding, defeated_by, l2_doubt, l2_standing, standing_of, withstood
from contragrad.audit.statistics import said
from contragrad.evaluate import Share
from found import (
    CORRECT,
    FOOLED,
    IMAGES,
    SETTINGS,
    came,
    figures,
    first,
    fought,
    known,
    only,
    planned,
    probed,
    sound,
    without,
)

RECORDS = Path(__file__).parent.parent / "records"

KEYS = [attacker.key for attacker in ATTACKERS]


def text_of(findings: Findings, width: int = 120) -> str:
    page = Console(width=width, file=io.StringIO())
    with page.capture() as text:
        printed(findings, page)
    return text.get()


def one_line(text: str) -> str:
    return " ".join(text.split())


# The title and the verdict.


def test_the_title_is_what_was_measured() -> None:
    assert verdict.title(sound()) == "transfer resistance of NE+GM 1 from hand-engineered-a"
    assert "transfer resistance of NE+GM 1 from hand-engineered-a" in text_of(sound()).splitlines()[0]


def test_the_verdict_names_the_strongest_withstood_and_the_weakest_who_defeats() -> None:
    text = verdict.verdict(sound())
    strongest = re.search(r"The strongest attacker it withstands: ([\w ]+), who fools (\S+) %", text)
    weakest = re.search(r"The weakest attacker who defeats it: ([\w ]+), who fools (\S+) %", text)
    assert strongest is not None
    assert strongest.groups() == ("recipe and architecture", "6.3")
    assert weakest is not None
    assert weakest.groups() == ("queries", "73.7")
    assert text.startswith("NE+GM 1 classifies 95.0 % [93.5, 96.2] of 1,000 test images correctly;")
    assert "at L_inf 8/255." in text


@settings(max_examples=15)
@given(
    st.dictionaries(
        st.sampled_from(KEYS), st.sampled_from(("withstood", "inconclusive", "weakened", "defeated"))
    )
)
def test_the_verdict_says_of_every_attacker_how_it_stands_with_him(standings: dict[str, str]) -> None:
    counts = {"withstood": 10, "inconclusive": 10, "weakened": 300, "defeated": 900}
    found = figures({key: counts[standing] for key, standing in standings.items()})
    for key in [key for key, standing in standings.items() if standing == "inconclusive"]:
        found = fought(found, key, 10, own=10)
    text = verdict.verdict(found)
    # Who attacks the network itself cannot be inconclusive.
    real = {key: standing_of(found, key) for key in KEYS}
    told = {
        "weakened": r"weakened by: (.*?)\.(?= [A-Z]|$)",
        "inconclusive": r"Inconclusive, [^:]*: (.*?)\.(?= [A-Z]|$)",
        "not run": r"Not run, [^:]*: (.*?)\.(?= [A-Z]|$)",
    }
    for standing, pattern in told.items():
        there = re.search(pattern, text)
        names = [] if there is None else re.sub(r" \(.*?\)", "", there[1]).replace(";", ",").split(", ")
        assert names == [key for key in KEYS if real[key] == standing]
    first = next((KEYS.index(key) for key in KEYS if real[key] in ("weakened", "defeated")), len(KEYS))
    withstood = [key for key in KEYS[:first] if real[key] == "withstood" and key != "reversed"]
    defeating = [key for key in KEYS if real[key] == "defeated"]
    run = any(found.tried.values())
    assert ("It is not shown to withstand any attacker together with" in text) == (run and not withstood)
    assert ("No attacker was run, so nothing is known" in text) == (not run)
    assert ("None of the attackers who were run defeats it." in text) == (run and not defeating)
    if withstood:
        assert f"The strongest attacker it withstands: {withstood[-1]}, who" in text
    if defeating:
        assert f"The weakest attacker who defeats it: {defeating[0]}, who" in text


def test_the_verdict_says_what_its_strongest_attacker_did_not_try_and_who_is_not_known() -> None:
    found = figures({"reference": 10, "queries": 10})
    text = verdict.verdict(found)
    assert "The strongest attacker it withstands: queries" in text
    assert "was not tried" not in text
    assert "Of 7 weaker than that nothing is known." in text
    assert "nothing is known." not in verdict.verdict(figures({"reference": 10}))
    part = replace(found, tried={**found.tried, "queries": found.tried["queries"][:1]})
    told = "Inconclusive, each for a reason that the card gives: queries (fools 1.1 % [0.6, 1.9])."
    assert told in verdict.verdict(part)
    assert "inconclusive, queries: not tried: queries: hop-skip-jump\n" in shown.notes(part)
    assert "inconclusive" not in shown.notes(found)


def test_a_network_without_gradients_has_no_cosines(tmp_path: Path) -> None:
    none = probed(sound(), zero_gradients=0.75, broken_gradients=0.25)
    assert alignment(none) == {}
    console = Console(width=120, file=io.StringIO())
    with console.capture() as text:
        console.print(shown.alignment_table(none))
    assert "none: the network has no gradient at any image" in text.get()
    draw_alignment(none, tmp_path / "none.png")
    draw_alignment(sound(), tmp_path / "some.png")
    with Image.open(tmp_path / "none.png") as nothing, Image.open(tmp_path / "some.png") as some:
        assert 0 < nothing.height < some.height
    assert alignment(probed(sound(), zero_gradients=0.75))


def test_the_verdict_says_when_the_attacks_are_in_doubt() -> None:
    assert "in doubt" not in verdict.verdict(sound())
    text = verdict.verdict(probed(sound(), deterministic=False, planted=Fooled(500, 0, 0)))
    assert "The attacks themselves are in doubt" in text
    assert text.endswith("see 7, 12.")


def test_the_threat_models_of_the_attackers_named_stand_beside_them() -> None:
    text = verdict.verdict(sound())
    threats = {attacker.key: attacker.threat(SETTINGS) for attacker in ATTACKERS}
    assert threats["recipe and architecture"] in text
    assert threats["queries"] in text
    assert threats["white box"] not in text


def test_the_numbers_of_what_was_withstood_stand_in_the_threats() -> None:
    text = text_of(replace(sound(), settings=replace(SETTINGS, queries=1234, distilled=4321)), width=2000)
    for number in ("1,234 answers for an image", "4,321 answers in all", "PGD of 10 steps from 2 starts"):
        assert number in text


def test_the_verdict_says_of_l2_what_such_examples_do_and_whether_that_says_anything() -> None:
    said = (
        "In the L_2 ball of 1/2 the reference's examples, made up or down its loss, fool 2.1 % [1.4, 3.2]: "
    )
    assert f"{said}it withstands them." in verdict.verdict(sound())
    assert l2_standing(sound()) == "withstood"
    tried = tuple(
        came(each, 20, own=100 if each.attack.name == "l2-pgd" else IMAGES) for each in planned("reference")
    )
    weak = replace(sound(), tried={**sound().tried, "reference": tried})
    assert f"{said}that says nothing: sources are fooled on at most 10.2 %" in verdict.verdict(weak)
    assert l2_standing(weak) == "inconclusive"
    assert standing_of(weak, "reference") == "withstood"
    alone = {key: tuple(each for each in found if each.norm == "linf") for key, found in weak.tried.items()}
    assert "L_2" not in verdict.verdict(replace(weak, tried=alone)).replace("L_2-PGD", "")
    assert l2_standing(replace(weak, tried=alone)) == "not run"


def test_what_l2_examples_do_decides_nothing_in_the_other_ball() -> None:
    tried = tuple(came(each, 300 if each.attack.name == "l2-pgd" else 20) for each in planned("reference"))
    found = replace(sound(), tried={**sound().tried, "reference": tried})
    assert standing_of(found, "reference") == "withstood"
    assert withstood(found) == withstood(sound())
    told = verdict.verdict(found)
    assert "made up or down its loss, fool 31.6 % [28.7, 34.6]: it is weakened by them." in told
    # What decides is what the row shows.
    (row,) = (line for line in text_of(found, width=300).splitlines() if line.startswith("│ reference "))
    assert "2.1 % [1.4, 3.2]" in row
    assert "31.6 %" not in row
    (told,) = (each for each in card.content(found)["attackers"] if each["attacker"] == "reference")
    assert told["fooled"] == told["fooled_deciding"]
    assert (told["fooled"]["hits"], told["accuracy"]["hits"]) == (20, 930)


def test_a_network_that_many_l2_examples_fool_is_not_told_that_they_say_nothing() -> None:
    tried = tuple(
        came(each, 500 if each.attack.name == "l2-pgd" else 20, own=100) for each in planned("reference")
    )
    weak = replace(sound(), tried={**sound().tried, "reference": tried})
    assert l2_doubt(weak)
    assert l2_standing(weak) == "weakened"
    assert "it is weakened by them" in verdict.verdict(weak)
    assert "that says nothing" not in verdict.verdict(weak)


def test_where_no_image_is_right_nobody_is_said_to_fool_or_to_be_withstood() -> None:
    text = verdict.verdict(replace(sound(), clean=first(0)))
    assert "No image is classified correctly, so none is left to fool." in text
    assert "defeats" not in text
    assert "The strongest" not in text


def test_what_others_found_is_told_of_the_white_box_beside_his_own() -> None:
    found = figures({"queries": 500, "white box": 300})
    assert "white box (fools 52.6 %" in verdict.verdict(found)
    assert "31.6 % [28.7, 34.6] by examples of his own)" in verdict.verdict(found)


@pytest.mark.parametrize("path", sorted(RECORDS.rglob("card.json")), ids=lambda path: str(path.parent))
def test_recorded_cards_are_read(path: Path) -> None:
    found = card.read(path)
    assert isinstance(found, card.Card)
    assert len(found.checks) == 29


def test_who_was_not_run_is_said_to_be_unknown() -> None:
    text = verdict.verdict(without(sound(), "recipe", "white box"))
    assert "Not run, so nothing is known of: recipe, white box." in text
    assert "Not run" not in verdict.verdict(sound())


def test_gradient_masking_is_said_when_the_white_box_is_not_the_strongest() -> None:
    text = verdict.verdict(fought(sound(), "white box", 10))
    assert "gradient masking" in text
    assert "too good" in text
    assert "masking" not in verdict.verdict(sound())


@pytest.mark.parametrize(("right", "at_chance"), [(0, True), (100, True), (118, True), (119, False)])
def test_a_network_at_chance_is_said_to_be_no_classifier(right: int, at_chance: bool) -> None:
    text = verdict.verdict(replace(sound(), clean=first(right)))
    assert ("not above chance" in text) == at_chance


def test_the_gain_over_the_twin_stands_in_the_verdict() -> None:
    assert "the twin on 21.1 %" in verdict.verdict(sound())
    assert "undefended twin" not in verdict.verdict(replace(sound(), compared={}))


EXTREMES: dict[str, Callable[[], Findings]] = {
    "sound": sound,
    "nobody attacked": lambda: replace(only(sound()), extra=(), compared={}),
    "nobody fooled": lambda: figures(dict.fromkeys(KEYS, 0)),
    "all fooled": lambda: figures(dict.fromkeys(KEYS, CORRECT)),
    "hidden gradients": lambda: fought(sound(), "white box", 0),
    "never right": lambda: replace(sound(), clean=first(0)),
    "left out": lambda: replace(sound(), missing={"vgg16_bn": "no time"}),
    "no gradient": lambda: probed(sound(), zero_gradients=1.0, gradient_ratio=0.0),
    "fallen out of its ball": lambda: fought(sound(), "recipe", 20, length=2.0),
    "white box alone": lambda: replace(only(sound(), "white box"), extra=()),
}

each_extreme = pytest.mark.parametrize("case", EXTREMES)
some_extremes = pytest.mark.parametrize(
    "case", ["sound", "nobody attacked", "never right", "white box alone"]
)


@each_extreme
def test_a_network_is_never_called_robust(case: str) -> None:
    found = EXTREMES[case]()
    assert "robust" not in verdict.verdict(found).lower()
    assert "robust" not in verdict.title(found).lower()
    assert "robust" not in text_of(found).lower()


def test_nor_in_any_value_of_the_card_but_the_titles_of_papers() -> None:
    values = card.content(sound())
    cited = [check.pop("source") for check in values["checks"]]
    assert any("robust" in title for title in cited)
    assert "robust" not in json.dumps(values).lower()


# The card as values.


def share(values: dict[str, Any]) -> Share:
    found = Share(values["hits"], values["count"])
    assert values["share"] == found.share
    assert values["interval"] == (None if found.interval is None else list(found.interval))
    return found


@some_extremes
def test_the_card_is_json_and_its_figures_are_those_that_were_found(case: str) -> None:
    found = EXTREMES[case]()
    values = card.content(found)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert (values["title"], values["verdict"]) == (verdict.title(found), verdict.verdict(found))
    assert share(values["clean_accuracy"]) == Share.of(found.clean)
    assert (values["withstood"], values["defeated_by"]) == (withstood(found), defeated_by(found))
    assert (values["epsilon"], values["l2_epsilon"], values["images"]) == ("8/255", "1/2", found.images)
    assert values["depth"] == {
        "steps": 10,
        "restarts": 2,
        "queries": 1000,
        "distilled": 5000,
        "surrogates": 2,
        "tolerated": 0.2,
        "minutes": None,
    }
    assert values["target"]["recipe_known"] is True
    assert values["l2_doubt"] == l2_doubt(found)
    for name, source in values["sources"].items():
        assert share(source["clean_accuracy"]) == Share.of(found.source_clean[name])
        assert share(source["fooled_itself"]) == Share(980, 980)
        assert source["strong"] is True
    assert values["statement"] == NEITHER
    assert [each["attacker"] for each in values["attackers"]] == KEYS
    for each in values["attackers"]:
        tried = found.tried[each["attacker"]]
        assert each["standing"] == standing_of(found, each["attacker"])
        assert len(each["attempts"]) == len(tried)
        if not tried:
            assert each["fooled"] is each["fooled_deciding"] is each["accuracy"] is None
            continue
        assert share(each["fooled"]) == found.fooled(tried)
        assert share(each["fooled_deciding"]) == found.fooled(deciding(found, each["attacker"]))
        assert share(each["accuracy"]) == Share.of(found.survivors(tried))
        for row, one in zip(each["attempts"], tried, strict=True):
            require_row(row, found, one)
    for row, one in zip(values["more"], found.extra, strict=True):
        require_row(row, found, one)
    assert [check["number"] for check in values["checks"]] == list(range(1, 30))
    for check, (asked, result) in zip(values["checks"], judged(found), strict=True):
        assert check["verdict"] == result.verdict
        assert (check["figure"], check["source"]) == (result.figure, asked.source)


def require_row(row: dict[str, Any], found: Findings, one: Tried) -> None:
    attack = one.attempt.attack
    assert (row["source"], row["attack"], row["restart"]) == (
        one.attempt.source,
        one.attempt.label,
        one.attempt.restart,
    )
    stepless = one.attempt.way == "noise" or attack.name == "autoattack"
    steps = None if stepless else 1 if attack.name == "fgsm" else attack.steps
    assert (Fraction(row["epsilon"]), row["steps"]) == (attack.epsilon, steps)
    assert share(row["accuracy"]) == Share.of(found.clean & one.held.right)
    assert share(row["fooled"]) == found.fooled([one])
    assert share(row["source_fooled"]) == found.source_fooled(one)
    assert share(row["transferred"]) == found.transferred(one)
    assert row["mean_linf"] == pytest.approx(float(one.held.linf.mean()))
    assert row["mean_l2"] == pytest.approx(float(one.held.l2.mean()))
    assert ("fooled_by_queries" in row) == (one.attempt.way in ("queries", "labels"))


def test_rows_of_an_attacker_can_be_told_apart() -> None:
    for each in card.content(sound())["attackers"]:
        rows = [(row["source"], row["attack"], row["restart"]) for row in each["attempts"]]
        assert len(set(rows)) == len(rows)


def test_the_networks_compared_stand_in_the_card() -> None:
    values = card.content(sound())["compared"]
    twin = values[sources.TWIN]
    assert share(twin["adversarial_accuracy"]) == Share(200, IMAGES)
    assert (twin["objective"], twin["epochs"]) == ("cross-entropy", 20)
    assert list(values) == list(sound().compared)


def test_what_was_left_out_stands_with_the_attacker_whose_it_was_and_with_all() -> None:
    missing = {
        "vgg16_bn": "no time",
        sources.SURROGATES: "there are no two sources to join",
        "white box: autoattack": "it would take about 9.0 minutes, and 1.0 were left",
        "stronger transfer: mi-fgsm, ni-fgsm": "no time",
        f"more steps or other epsilons on {TARGET}": "no time",
    }
    values = card.content(replace(sound(), missing=missing))
    assert values["left_out"] == missing
    own = {each["attacker"]: list(each["left_out"]) for each in values["attackers"] if each["left_out"]}
    assert own == {
        "unseen sources": ["vgg16_bn"],
        "recipe and architecture": [sources.SURROGATES],
        "white box": ["white box: autoattack"],
        "stronger transfer": ["stronger transfer: mi-fgsm, ni-fgsm"],
    }


def test_what_there_was_no_time_for_is_listed_once_with_the_budget_that_has_time_for_it() -> None:
    short = replace(
        sound(),
        settings=replace(SETTINGS, minutes=5.0),
        missing={"resnet18": "it would take about 18.0 minutes", "vgg16_bn": "no gradients"},
        too_long={"resnet18": 1080.0},
    )
    text = shown.notes(short)
    assert "left out, vgg16_bn: no gradients" in text
    assert "left out, resnet18" not in text
    # 18 minutes are nine tenths of what a budget leaves of which a quarter is kept.
    named = "with a --budget of about 32 goes on and has time for these: resnet18 (18.0 minutes)"
    assert named in text
    assert "for lack of time" not in shown.notes(sound())


def test_the_card_says_of_which_images_it_is_and_what_made_it() -> None:
    text, made = text_of(sound()), card.content(sound())
    assert made["data"] == "digits, fingerprint 0011223344556677"
    assert made["made_with"].keys() == {"contragrad", "torch"}
    assert made["data"] in text
    assert f"contragrad {made['made_with']['contragrad']} and torch" in text
    assert "the reference: hand-engineered-a, trained here from scratch, 20 epochs; it classifies 9" in text


def test_the_rule_has_the_numbers_that_decide() -> None:
    text = verdict.rule(replace(sound(), settings=replace(SETTINGS, tolerated=0.15)))
    for word in ("at most 15 %", "95 % Wilson", "half", "90 %"):
        assert word in text


# Success against queries.


def queried(right: torch.Tensor, queries: torch.Tensor, asked: int) -> tuple[Findings, Tried]:
    usual = sound().tried["queries"][0]
    attempt = replace(usual.attempt, attack=replace(usual.attempt.attack, steps=asked))
    each = Tried(attempt, replace(usual.held, right=right, queries=queries))
    return replace(sound(), tried={"queries": (each,)}), each


@settings(max_examples=30)
@given(st.data())
def test_more_queries_fool_more_and_as_many_as_a_count_of_images_says(data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from((1, 7, 50, 1000)))
    fooled = data.draw(st.integers(0, IMAGES))
    seed = data.draw(st.integers(0, 2**32))
    needed = torch.randint(1, asked + 1, (IMAGES,), generator=torch.Generator().manual_seed(seed)).float()
    right = first(CORRECT) & ~first(fooled)
    needed[~first(CORRECT)] = 0
    findings, each = queried(right, needed, asked)
    points = by_queries(findings, each)
    budgets, heights = [point[0] for point in points], [point[1] for point in points]
    assert budgets == sorted(set(budgets))
    assert heights == sorted(heights)
    assert budgets[0] >= 1
    assert budgets[-1] <= asked
    images = list(zip(findings.clean.tolist(), right.tolist(), needed.tolist(), strict=True))
    for budget, height in points:
        count = sum(clean and not held and answers <= budget for clean, held, answers in images)
        assert height == pytest.approx(count / CORRECT)
    total = findings.fooled([each]).share
    assert total is not None
    assert heights[-1] <= total
    if budgets[-1] == asked:
        assert heights[-1] == pytest.approx(total)


def test_queries_of_a_network_that_is_never_right_fool_nobody() -> None:
    findings, each = queried(first(0), torch.zeros(IMAGES), 50)
    never = replace(findings, clean=first(0))
    assert {height for _, height in by_queries(never, each)} == {0.0}


def test_the_points_that_are_said_are_powers_of_ten_and_the_last() -> None:
    points = [[budget, budget / 2000] for budget in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)]
    assert tenfold(points) == [(10, 0.005), (100, 0.05), (1000, 0.5), (2000, 1.0)]
    assert tenfold(points[:10]) == [(10, 0.005), (100, 0.05), (1000, 0.5)]
    assert tenfold([[1, 0.25]]) == [(1, 0.25)]


# Tables and text.


def test_the_text_says_how_many_queries_fool_how_many() -> None:
    found, each = queried(first(CORRECT) & ~first(190), torch.arange(IMAGES).float() + 1, 100)
    text = text_of(replace(found, clean=first(CORRECT)))
    assert f"queries, {each.attempt.label}: fools 1.1 % within 10, 10.5 % within 100 answers" in text
    assert "queries, " not in text_of(without(sound(), "queries"))


def test_the_text_says_how_the_reference_came_about_and_whether_the_copy_is_one() -> None:
    text = text_of(sound())
    assert "the reference: hand-engineered-a, trained here from scratch, 20 epochs" in text
    assert "the copy gives" not in text
    copied = probed(sound(), agreement=Share(930, IMAGES))
    assert "distillation: the copy gives the network's class to 93.0 % [91.2, 94.4] of the" in text_of(copied)
    values = card.content(copied)
    assert share(values["copy_agrees"]) == Share(930, IMAGES)
    assert values["reference_made"] == "trained here from scratch, 20 epochs"


def test_the_matrix_is_a_table_of_a_hundred_columns_at_most_and_json() -> None:
    found = sound()
    cells = card.content(found)["matrix"]
    assert cells == matrix(found)
    page = Console(width=100, file=io.StringIO())
    with page.capture() as captured:
        page.print(matrix_table(found))
    text = captured.get()
    assert "…" not in text
    assert all(len(line.rstrip()) <= 100 for line in text.splitlines())
    legend = {str(number): name for number, name in enumerate(attacks_of(cells), start=1)}
    assert "; ".join(f"{number} {name}" for number, name in legend.items()) in one_line(text)
    heading = next(line for line in text.splitlines() if line.strip().startswith("source"))
    places = {number: heading.index(f" {number} ") + len(number) for number in heading.split()[1:-1]}
    row = next(line for line in text.splitlines() if line.startswith(TARGET))
    for number, end in places.items():
        expected = cells[TARGET].get(legend[number])
        said_ = row[: end + 1].split(" ")[-1]
        assert said_ == ("" if expected is None else f"{100 * expected:.0f}")


def test_every_sources_cosines_are_summed_up() -> None:
    values = card.content(sound())["alignment"]
    assert list(values) == ["reference", sources.TWIN] == list(alignment(sound()))
    assert values["reference"]["mean"] == pytest.approx(-0.4)
    assert values["reference"]["5 %"] == pytest.approx(-0.85)
    assert values["reference"]["50 %"] == pytest.approx(-0.4)
    assert values["reference"]["95 %"] == pytest.approx(0.05)
    assert values["reference"]["images"] == IMAGES
    assert re.search(r"reference +-0\.40 +-0\.85 +-0\.40 +\+0\.05", text_of(sound()))


def test_the_text_has_a_row_for_every_attacker_and_check() -> None:
    text = one_line(text_of(sound(), width=400))
    for attacker in ATTACKERS:
        figure = said(sound().fooled(sound().tried[attacker.key]))
        assert re.search(rf"│ {attacker.key} +│ \d+ +│ .*? │ {re.escape(figure)} +│", text)
    for check, result in judged(sound()):
        assert f"│ {check.number} │ {one_line(check.question)}" in text
        assert one_line(result.figure) in text


def test_attackers_that_were_not_run_have_dashes() -> None:
    text = one_line(text_of(without(sound(), "recipe"), width=400))
    assert re.search(r"│ recipe │ 0 │ – │ – │ – │ – │ – │ not run │", text)


NAMES = ["[red]x", "[/]x", "[bold", ":smile: x", "a\\[red]"]


@pytest.mark.parametrize("name", NAMES)
def test_markup_in_a_name_is_printed_as_it_is(name: str) -> None:
    found = known(sound(), target=f"robust {name}", reference=f"ref {name}", weights=f"folder/{name}")
    found = replace(found, missing={f"{name} y": "no time"})
    text = one_line(text_of(found, width=1000))
    assert f"transfer resistance of robust {name} from ref {name}" in text
    assert f"robust {name} classifies" in text
    assert f"the network is called robust {name};" in text
    assert f"folder/{name}; weights" in text
    assert f"left out, {name} y: no time" in text


def test_the_verdicts_words_are_coloured_on_a_terminal() -> None:
    page = Console(width=120, file=io.StringIO(), force_terminal=True, color_system="standard")
    with page.capture() as text:
        printed(sound(), page)
    assert "\x1b[32mPASS" in text.get()
    assert "\x1b[31mis defeated" in text.get()


# Pictures.


@some_extremes
def test_four_pictures_are_written_however_little_was_run(case: str, tmp_path: Path) -> None:
    # Warnings are errors here.
    found = EXTREMES[case]()
    assert len(PICTURES) == 4
    for name, (_, draw) in PICTURES.items():
        draw(found, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 100


def test_a_picture_of_the_references_cosines_alone(tmp_path: Path) -> None:
    found = probed(sound(), aligned={"reference": torch.zeros(IMAGES)})
    draw_alignment(found, path := tmp_path / "alignment.png")
    names = ("reference", sources.TWIN, *(f"source {number}" for number in range(30)))
    many = probed(sound(), aligned=dict.fromkeys(names, torch.zeros(IMAGES)))
    draw_alignment(many, other := tmp_path / "many.png")
    draw_alignment(sound(), two := tmp_path / "two.png")
    # Of many sources a few are drawn.
    with Image.open(path) as one, Image.open(other) as few, Image.open(two) as pair:
        assert one.size[1] < few.size[1] == pair.size[1]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_have_words_and_numbers_that_people_read_and_no_markup(name: str, tmp_path: Path) -> None:
    _, draw = PICTURES[name]
    draw(sound(), path := tmp_path / f"{name}.svg")
    words = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
    assert words
    assert not [word for word in words if "\\" in word or "{" in word]
    if name == "queries.png":
        assert {"10", "100", "1,000"} <= set(words)


def test_the_matrix_has_the_worst_of_several_starts_and_a_cell_for_each_source_and_attack() -> None:
    found = sound()
    cells = matrix(found)
    assert cells[REFERENCE]["linf-pgd"] == pytest.approx((CORRECT - FOOLED["reference"]) / IMAGES)
    assert cells[REFERENCE]["linf-pgd, reversed"] == pytest.approx((CORRECT - FOOLED["reversed"]) / IMAGES)
    assert cells[TARGET] == {"square": 0.25, "hop-skip-jump": 0.25, "linf-pgd": 0.0, "autoattack": 0.0}
    starts = [each for each in found.tried["white box"] if each.attempt.attack.name == "linf-pgd"]
    one, other = (
        Tried(each.attempt, replace(each.held, right=~first(100) if turn else first(900)))
        for turn, each in enumerate(starts)
    )
    both = replace(found, tried={"white box": (one, other)})
    assert matrix(both) == {TARGET: {"linf-pgd": 0.8}}
    assert matrix(only(found)) == {}


def test_the_curve_begins_with_clean_accuracy_and_has_the_stated_epsilon() -> None:
    points = dict(curve(sound(), TARGET))
    assert points[0.0] == 0.95
    assert points[8 / 255] == 0.0
    assert max(points) == 1.0
    assert list(points) == sorted(points)
    alone = replace(only(sound()), extra=())
    assert curve(alone, TARGET) == [(0.0, 0.95)]


def test_the_card_tells_every_threat_and_what_was_left_out_and_why() -> None:
    found = replace(sound(), missing={"resnet18": "it would take about 9.0 minutes"})
    text = one_line(text_of(found, width=1000))
    for attacker in ATTACKERS:
        assert f"{attacker.key}: {attacker.threat(SETTINGS)}" in text
    assert "left out, resnet18: it would take about 9.0 minutes" in text
