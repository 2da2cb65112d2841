"""The files of deploy/ say what their tools can read, and commands that contragrad has."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from contragrad.settings import checks

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SCRIPTS = [DEPLOY / "hosts.sh", DEPLOY / "slurm.sbatch"]


def kubernetes() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text(encoding="utf-8")))


def entrypoint() -> str:
    return str(kubernetes()[2]["spec"]["entrypoint"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(script: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", script], check=True)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


def test_hosts_without_words_says_its_usage() -> None:
    done = subprocess.run(["bash", SCRIPTS[0]], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_kubernetes_objects_belong_to_each_other() -> None:
    claim, policy, job = kubernetes()
    assert [each["kind"] for each in (claim, policy, job)] == [
        "PersistentVolumeClaim",
        "NetworkPolicy",
        "RayJob",
    ]
    cluster = job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    volumes = head["template"]["spec"]["volumes"]
    assert volumes[0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    for group in (head, workers):
        labels = group["template"]["metadata"]["labels"]
        assert labels == policy["spec"]["podSelector"]["matchLabels"]
    images = {group["template"]["spec"]["containers"][0]["image"] for group in (head, workers)}
    assert len(images) == 1
    assert f"ray:{cluster['rayVersion']}-" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_the_entrypoint_is_bash() -> None:
    subprocess.run(["bash", "-n", "-c", entrypoint()], check=True)
    script = entrypoint().removeprefix("bash -c '").removesuffix("'")
    subprocess.run(["bash", "-n", "-c", script], check=True)


@pytest.mark.parametrize(
    "text", [SCRIPTS[1].read_text(encoding="utf-8"), entrypoint()], ids=["slurm", "ray job"]
)
def test_options_are_settings(text: str) -> None:
    own = re.findall(r"--(executor|address|worker_\w+)", text)
    assert {"executor", "address", "worker_gpus"} <= set(own) <= checks.kinds().keys()
    assert re.search(r"contragrad resume \S+ .*?contragrad evolve --config \S+ --out ", text, re.DOTALL)
