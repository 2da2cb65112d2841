"""Attacks that cannot be made of a study's sources are refused before anything is trained or written."""

import sys
from pathlib import Path

import pytest

from test_run import refused

SGM = ("--data.source", "digits", "--attack.name", "sgm")


def test_an_attack_that_cannot_read_the_reference_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, *SGM, said=("attack.name: sgm", "mi-fgsm"))


def test_an_attack_that_cannot_read_a_source_is_refused(tmp_path: Path) -> None:
    words = (
        "--reference.architecture",
        "resnet18",
        "--training.objective",
        "fixed-adversarial",
        "--training.sources",
        '["reference","another-seed","hand-engineered-b"]',
    )
    refused(tmp_path, *SGM, *words, said=("attack.name: sgm", "mi-fgsm"))


def test_an_attack_whose_package_is_missing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    refused(tmp_path, "--data.source", "digits", "--attack.name", "autoattack", said=("pyautoattack",))
