"""Pages that are run as they stand: their files, and their commands with smaller numbers."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Page:
    """A page of the documentation.

    Args:
        text: its Markdown.
        smaller: the beginning of a command -> what is added to it, for it would take long.
    """

    text: str
    smaller: Mapping[str, str]

    @property
    def files(self) -> dict[str, str]:
        """The files that it has, by their names."""
        return dict(re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", self.text, re.S | re.M))

    @property
    def commands(self) -> list[str]:
        """What a reader types."""
        return re.findall(r"^\$ (.*)$", self.text, re.M)

    def laid_out(self, folder: Path) -> Path:
        """The folder with the page's files, and what of a checkout it uses."""
        (folder / "scripts").symlink_to(ROOT / "scripts")
        for name, content in self.files.items():
            (folder / name).write_text(content)
        return folder

    def run(self, folder: Path) -> dict[str, str]:
        """What each of its commands printed, by the command."""
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        printed = {}
        for command in self.commands:
            small = re.sub(r"train\.py \d+", "train.py 1", command)
            small += "".join(more for start, more in self.smaller.items() if command.startswith(start))
            ended = subprocess.run(
                small, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, f"{small}\n{ended.stderr}"
            printed[command] = ended.stdout
        return printed


def page(name: str, smaller: Mapping[str, str]) -> Page:
    """The page of that name."""
    return Page((ROOT / "docs" / name).read_text(), smaller)
