"""A few of the kills of which soak/kills.py makes many; records/2026-11-26_faults has what they came to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "soak" / "kills.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks for processes in /proc")
def test_a_study_that_is_killed_in_several_stages_ends_as_one_that_was_left_alone() -> None:
    words = ("--kills", "5", "--seed", "1", "--generations", "1")
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == 5
    assert found["resumes"] >= 2
    assert len(found["stages"]) >= 2
