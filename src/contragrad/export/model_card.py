"""The model card beside an exported network: what it is, how good, how far it was audited, and its limits."""

import re
import shlex
from collections.abc import Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

import contragrad
from contragrad.audit.target import REFERENCE, Target
from contragrad.evaluate import Interval
from contragrad.export.check import Agreement
from contragrad.export.names import FormatName
from contragrad.export.plain import plain
from contragrad.export.record import Record, Verdict
from contragrad.legible import legible
from contragrad.networks.network import parameter_count
from contragrad.networks.objectives import OBJECTIVES
from contragrad.report import percent
from contragrad.run_folder.notes import LOOKS
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.checks import radius

LIMITS = """\
- What is measured is resistance to examples transferred from the reference named above, by the attack named
  above. Examples from other networks, or of another size, may fool it more often.
- It is no white-box defence: whoever has its weights can craft examples that fool it.
- An attacker who knows how it was trained can train a surrogate by the same recipe.
- It was trained and measured on one data set; of other images nothing is known."""


def model_card(
    workspace: Workspace,
    target: Target,
    *,
    record: Record,
    kind: FormatName,
    files: dict[str, str],
    agreement: Agreement,
) -> str:
    """The card, in Markdown.

    Args:
        workspace: the study's.
        target: the network.
        record: what the run folder holds of it.
        kind: the format.
        files: names of what was written, and their SHA-256.
        agreement: how it compares with the network.
    """
    config = workspace.config
    reference = config.reference.factory or config.reference.architecture
    parts = (
        f"# {escaped(target.name)}: transfer resistance from {escaped(reference)}",
        "An image classifier of a study that looks for networks that adversarial examples crafted on its "
        "reference do not fool."
        if target.name != REFERENCE
        else "The reference network of a study: it is the one that examples are crafted on, and no defence.",
        "## Use",
        *_use(workspace, kind, next(iter(files))),
        "## Network",
        "\n".join(_network(workspace, target, reference)),
        "## Accuracy",
        *_accuracy(workspace, record),
        "## Audit",
        *_audit(target, record.verdicts),
        "## Limits",
        LIMITS,
        "## Files",
        "\n".join(f"- {code(name)}, SHA-256 {code(digest)}" for name, digest in files.items()),
        f"Compared after writing: {escaped(str(agreement))}. Written by contragrad "
        f"{contragrad.__version__} with torch {code(torch.__version__)}.",
    )
    return "\n\n".join(parts) + "\n"


def _use(workspace: Workspace, kind: FormatName, name: str) -> Iterator[str]:
    problem = workspace.problem
    shape = f"(B, {problem.channels}, {problem.height}, {problem.width})"
    yield (
        f"Takes images {shape}, float32 in [0, 1], any B; the normalisation is inside. Gives logits "
        f"(B, {problem.classes}); the largest is the answer."
    )
    lines = {
        "safetensors": ("import contragrad", f"network = contragrad.load({name!r})"),
        "onnx": ("import onnxruntime", f"network = onnxruntime.InferenceSession({name!r})"),
        "torch-export": ("import torch", f"network = torch.export.load({name!r}).module()"),
        "python": ("import safetensors.torch", *_source_use(name)),
    }[kind]
    yield "\n".join(("```python", *lines, "```"))


def _source_use(name: str) -> tuple[str, ...]:
    stem = name.removesuffix(".py")
    return (
        f"from {stem} import Network",
        "",
        "network = Network()",
        f"network.load_state_dict(safetensors.torch.load_file({stem + '.safetensors'!r}))",
        "network.eval()",
    )


def _network(workspace: Workspace, target: Target, reference: str) -> Iterator[str]:
    config, problem = workspace.config, workspace.problem
    image = torch.zeros(1, problem.channels, problem.height, problem.width)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        plain(target.network)(image)
    yield f"- Data: {code(config.data.source)}, fingerprint {code(workspace.data)}"
    yield f"- Reference: {code(reference)}, fingerprint {code(workspace.reference_name)}"
    attack = config.attack
    steps = "" if attack.name in ("fgsm", "autoattack") else f", {attack.steps} steps"
    yield f"- Attack on the reference: {code(attack.name)}, epsilon {radius(attack.epsilon)}{steps}"
    yield f"- Training: {_training(workspace, target)}"
    yield f"- Architecture: {code(str(target.text))}"
    yield f"- Weights: fingerprint {code(target.fingerprint)}"
    yield f"- Parameters: {parameter_count(target.network):,}"
    yield f"- FLOPs of one image, a multiply-add counted as two: {counter.get_total_flops():,}"


def _training(workspace: Workspace, target: Target) -> str:
    config = workspace.config
    if target.name == REFERENCE and config.reference.weights is not None:
        return "none by this study, whose reference came with its weights"
    training, parts = config.training, OBJECTIVES[target.objective]
    said = [f"objective {code(target.objective)}"]
    if parts.penalty is not None:
        said.append(f"against {', '.join(map(code, training.sources))}, λ {training.gm_weight:g}")
    elif parts.fixed:
        said.append(f"against {', '.join(code(source) for source in training.sources if source != 'key')}")
    seed = "withheld, for the key is drawn by it" if training.keyed else str(config.seed)
    said.append(f"{target.epochs} epochs, the study's seed {seed}")
    return ", ".join(said)


def _accuracy(workspace: Workspace, record: Record) -> Iterator[str]:
    if (row := record.row) is None:
        yield "The study has no table of this network: nothing was measured on its test images."
        return
    yield (
        f"On {row.images:,} test images, with 95 % Wilson intervals:\n\n"
        f"- clean accuracy {_with_interval(row.clean_accuracy, row.clean_interval)}\n"
        f"- adversarial accuracy {_with_interval(row.adversarial_accuracy, row.adversarial_interval)}, "
        "of the reference's adversarial examples and of no other attack"
    )
    if workspace.config.fitness_split == "test":
        yield "Networks were selected on these images, so the figures are too good."
    if record.looks > 1:
        yield f"Note: {LOOKS.format(record.looks)}."


def _with_interval(share: float, interval: Interval) -> str:
    low, high = map(percent, interval)
    return f"{percent(share)} ({low} to {high})"


def _audit(target: Target, verdicts: tuple[Verdict, ...]) -> Iterator[str]:
    if not verdicts:
        yield (
            "No audit of this network was run, so nothing is known of any other attacker than the one above. "
            f"To run one: {code(f'contragrad audit RUN --network {shlex.quote(target.name)}')}"
        )
    for verdict in verdicts:
        yield f"### {escaped(verdict.title)}"
        yield f"{escaped(verdict.text)} The whole card is {code(str(verdict.card))} in the run folder."


def escaped(text: str) -> str:
    """Text from outside, in one line, whose letters mean nothing to Markdown or HTML."""
    line = re.sub(r"([\\`*_{}\[\]<>#|~!&$@])", r"\\\1", _in_one_line(text))
    # What begins a list at the start of a line, and what becomes a link of itself.
    line = re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", line)
    return line.replace("://", ":\\/\\/").replace("www.", "www\\.")


def code(text: str) -> str:
    """Text from outside, as code in a line."""
    line = _in_one_line(text)
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{line}{space}{fence}"


def _in_one_line(text: str) -> str:
    return legible(" ".join(text.split()))
