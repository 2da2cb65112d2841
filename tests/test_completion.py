"""Completion, driven as bash drives it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from contragrad import cli
from contragrad.cli import COMMANDS
from contragrad.settings import config_file

DRIVER = """
source "./$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
complete -p contragrad > /dev/null
_shtab_contragrad contragrad "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "script").write_text(script("bash", capsys))
    (tmp_path / "study.yaml").touch()
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ev", {"evolve"}),
        ("evolve --search.gen", {"--search.generations"}),
        ("evolve --attack.name l", {"linf-pgd", "l2-pgd"}),
        ("resume run --training.obj", {"--training.objective"}),
        ("show --j", {"--json"}),
        ("show --search.gen", set()),
        ("show r", {"runs"}),
        ("audit r", {"runs"}),
        ("evolve --config st", {"study.yaml"}),
        ("reproduce table4 --scale re", {"reduced"}),
        ("completion f", {"fish"}),
        ("data import --ou", {"--out"}),
        ("data import shapes --out st", {"study.yaml"}),
    ],
)
def test_bash_offers_what_can_come_next(words: str, offered: set[str], folder: Path) -> None:
    command = ["bash", "--norc", "-c", DRIVER, "bash", "script", "contragrad", *words.split(" ")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.stderr
    assert set(done.stdout.split()) == offered


def test_bash_offers_every_command_and_every_setting(folder: Path) -> None:
    def offers(*words: str) -> set[str]:
        command = ["bash", "--norc", "-c", DRIVER, "bash", "script", "contragrad", *words]
        return set(
            subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split()
        )

    assert {command.name for command in COMMANDS} <= offers("")
    settings = {f"--{key}" for key, value in config_file.dotted(config_file.read(None)).items()}
    assert settings <= offers("evolve", "--")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_their_script(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    assert "search.generations" in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(text)
    subprocess.run([shell, "-n", "script"], cwd=tmp_path, check=True)


def test_a_shell_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["completion", "cmd"])
    assert "bash" in capsys.readouterr().err
