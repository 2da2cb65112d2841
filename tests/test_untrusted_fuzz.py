"""Whatever a file from outside holds, its reader takes it or raises a named error."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import TARGETS, Target

SLOW = ("study file", "memo row in SQLite", "database", "ONNX", "ONNX, run", "weights", "network file")
EXAMPLES, FEW = 200, 40


def looked_at(target: Target, content: bytes, folder: Path) -> bool:
    """Whether an input was taken; whatever is raised but the named errors is seen."""
    try:
        target.read(content, folder)
    except target.named:
        return False
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_an_input_is_taken_or_refused_by_name(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]

    @settings(
        max_examples=FEW if name in SLOW else EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.randoms(use_true_random=False) | st.binary(max_size=300))
    def any_input(given: Random | bytes) -> None:
        looked_at(target, given if isinstance(given, bytes) else target.make(given), tmp_path)

    any_input()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_near_enough_to_valid_ones_to_be_taken_at_times(name: str, tmp_path: Path) -> None:
    target, random = TARGETS[name], Random(0)
    taken = [
        looked_at(target, target.make(random), tmp_path) for _ in range(FEW if name in SLOW else EXAMPLES)
    ]
    assert 0 < sum(taken) < len(taken)
