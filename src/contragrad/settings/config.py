"""The frozen records of a study: every setting that the paper fixes, and every one that it leaves open.

They have no slots because jsonargparse reads the defaults of nested records with `vars`.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from typing import get_args

from contragrad.errors import require, require_at_least
from contragrad.fingerprint import EXCLUDED, LATER
from contragrad.settings.choices import (
    IN_LINF_BALLS,
    WITH_PENALTY,
    AttackName,
    DataSource,
    Device,
    ExecutorName,
    FitnessSplit,
    Keep,
    Objective,
    Optimiser,
    Precision,
    ReferenceArchitecture,
    Source,
    SourceName,
    is_source,
    is_surrogate,
)
from contragrad.settings.search import SearchSettings

TRUSTING = "trusting"
"""Metadata key of a setting that trusts what it names with more than data: no study file, which may be
somebody else's, can say it."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which images a study works on.

    Args:
        source: where the images come from; `fashion-mnist-reduced` ships with the package.
        path: the npz file, or the folder that holds the images; sources that ship need none.
        download: fetch a torchvision data set into `path` if it is not there.
        validation_fraction: share of the training images, the same in each class, held out for the fitness.
        image_size: edge in pixels to which an image folder's pictures are resized; if left out they must
            all have one size.
        train_per_class: how many training images of each class are used, the first ones; all if left out.
        test_per_class: the same of the test images.
    """

    source: DataSource = "fashion-mnist-reduced"
    path: str | None = None
    download: bool = field(default=False, metadata={EXCLUDED: False})
    validation_fraction: float = 0.1
    image_size: int | None = None
    train_per_class: int | None = field(default=None, metadata={LATER: True})
    test_per_class: int | None = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        require(
            0 < self.validation_fraction < 1,
            "data.validation_fraction",
            f"{self.validation_fraction} is no share of the training images",
            "a number between 0 and 1",
        )
        for name, least in (("image_size", 1), ("train_per_class", 2), ("test_per_class", 1)):
            if getattr(self, name) is not None:
                require_at_least(least, "data", self, name)


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings:
    """The fixed network whose adversarial examples must not transfer.

    Args:
        architecture: a hand-engineered network of appendix A, or a torchvision one.
        factory: `package.module:function` that returns your own network, in the place of `architecture`;
            it is called with no arguments, and runs code of yours.
        weights: safetensors file with the network's trained weights; without it the reference is trained.
            A named architecture reads images normalised by the training images' mean and deviation, a
            factory's network reads them in [0, 1].
        epochs: training epochs of a reference that is trained here.
    """

    architecture: ReferenceArchitecture = "hand-engineered-a"
    factory: str | None = None
    weights: str | None = None
    epochs: int = 50

    def __post_init__(self) -> None:
        require_at_least(1, "reference", self, "epochs")


@dataclass(frozen=True, kw_only=True)
class AttackSettings:
    """How adversarial examples are crafted.

    Args:
        name: the attack. `sgm` is for torchvision's ResNets and DenseNets; `autoattack` reads
            epsilon alone.
        epsilon: radius of the ball in pixel units, images being in [0, 1]: a number or a fraction of two.
        steps: gradient steps (an `fgsm` has one).
        step_size: length of a step in pixel units; if left out, 2.5 epsilon / steps of a PGD, and
            epsilon / steps of the attacks with momentum (`mi-fgsm` to `sgm`).
        random_start: start from a random point of the ball, where the attack is a PGD.
    """

    name: AttackName = "linf-pgd"
    epsilon: Fraction = Fraction(8, 255)
    steps: int = 10
    step_size: Fraction | None = None
    random_start: bool = True

    def __post_init__(self) -> None:
        require_at_least(1, "attack", self, "steps")
        require(self.epsilon >= 0, "attack.epsilon", f"{self.epsilon} is negative", "0 or more")
        require(
            self.name == "l2-pgd" or self.epsilon <= 1,
            "attack.epsilon",
            f"{self.epsilon} is larger than the range of a pixel",
            "a number in [0, 1]; 8/255 if you meant 8 grey levels",
        )
        require(
            self.step_size is None or self.step_size > 0,
            "attack.step_size",
            f"{self.step_size} is no length",
            "a positive number",
        )


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How every network is trained.

    Args:
        batch_size: images in a step.
        objective: what the evolved networks are trained for. `gm` points input gradients away from the
            reference's, eq. (2); `orthogonal` makes them orthogonal; `cross-entropy` leaves them. The
            `fixed-adversarial` ones train on adversarial examples of the reference as well, and `free-`,
            `fast-` and `pgd-adversarial` on the network's own; the `mixed` ones on images and the network's
            own, and `ensemble-adversarial` on images, the reference's and the network's own.
        sources: the networks whose input gradients and adversarial examples the objective takes; of several,
            the mean of the penalties, and for each image one at random. `another-seed` is the reference's
            architecture from another seed, an architecture's name is one of that, both trained as a reference
            is; a `surrogate` has the reference's architecture, a `surrogate GENOME` that of the genome, and
            is trained by the objective itself, against the sources before it. A `key` is a network with
            random weights, as private as the study's seed that they are drawn by, whose gradients the
            network's own are aligned with; it has no examples.
        gm_weight: the weight λ of the gradient-misalignment loss, eq. (2).
        gm_every: steps of which one has that loss, its weight multiplied by their number; 1 is the paper's.
        optimiser: an optimiser of torch.optim, its settings left at PyTorch's defaults.
        precision: what convolutions and fully connected layers compute in while they are trained; `bfloat16`
            is for accelerators that are faster in it.
    """

    batch_size: int = 128
    objective: Objective = field(default="gm", metadata={LATER: True})
    sources: tuple[Source, ...] = field(default=("reference",), metadata={LATER: True})
    gm_weight: float = 1.0
    gm_every: int = field(default=1, metadata={LATER: True})
    optimiser: Optimiser = "adam"
    precision: Precision = field(default="float32", metadata={LATER: True})

    def __post_init__(self) -> None:
        # Batch statistics need two images.
        require_at_least(2, "training", self, "batch_size")
        require_at_least(1, "training", self, "gm_every")
        single = [source for source in self.sources if not is_surrogate(source)]
        strange = next((source for source in self.sources if not is_source(source)), None)
        near = get_close_matches(strange or "", get_args(SourceName), 1)
        require(
            strange is None,
            "training.sources",
            f"{strange!r} is no source" + "".join(f"; {name}?" for name in near),
            f"one or more of {', '.join(get_args(SourceName))} or `surrogate GENOME`",
        )
        require(
            self.sources[:1] == tuple(single[:1])
            and self.sources[:1] not in ((), ("key",))
            and "key" not in self.sources[:-1]
            and len(single) == len(set(single)),
            "training.sources",
            f"{list(self.sources)} cannot be used",
            "the first no surrogate and no key, each but surrogates once, a key after the others",
        )
        require(
            0 <= self.gm_weight < float("inf"),
            "training.gm_weight",
            f"{self.gm_weight} is no weight",
            "a number of 0 or more",
        )

    @property
    def keyed(self) -> bool:
        """Whether a key is among the sources, so that the study's seed is a secret."""
        return "key" in self.sources

    @property
    def without_gm(self) -> tuple[int | str, ...]:
        """What a training with cross-entropy alone depends on, as it stands in names."""
        precision = () if self.precision == "float32" else (self.precision,)
        return (self.batch_size, self.optimiser, *precision)


@dataclass(frozen=True, kw_only=True)
class RefineSettings:
    """What happens to the evolved networks after the search (section 4, implementation details).

    Args:
        networks: how many of the best are refined.
        epochs: additional training epochs.
        keep: of a network trained in full, the weights after the `last` epoch, as in the paper, or those of
            the epoch with the `best` fitness on the validation images.
        patience: with `best`, epochs in a row without a better fitness after which a network's curve is flat
            and its training ends, however many are left; null trains for all. Networks without a defence,
            which keep their last weights, are trained for all.
        together: whether a network is deployed with the surrogates among `training.sources`, whose gradients
            it was trained apart from, as an ensemble.
        checkpoint_every: epochs between two checkpoints, which is what a kill can cost at most.
    """

    networks: int = 2
    epochs: int = 1000
    keep: Keep = field(default="last", metadata={LATER: True})
    patience: int | None = field(default=None, metadata={LATER: True})
    together: bool = field(default=False, metadata={LATER: True})
    checkpoint_every: int = field(default=5, metadata={EXCLUDED: False})

    def __post_init__(self) -> None:
        require_at_least(1, "refine", self, "networks", "checkpoint_every")
        require_at_least(0, "refine", self, "epochs")
        if self.patience is not None:
            require_at_least(1, "refine", self, "patience")


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Everything a study depends on, and where it runs.

    Args:
        seed: names every stream of random numbers of the study but those of an evolved network's training,
            which its genome names: wherever it turns up, it begins with the same weights.
        fitness_split: images that the fitness is measured on; `test` is the paper's way, and leaks the test
            set into the selection.
        data: which images.
        reference: the fixed network.
        attack: how the adversarial examples are crafted.
        training: how every network is trained.
        search: Algorithm 1.
        refine: the training after the search.
        device: where tensors live; `auto` takes an accelerator if there is one.
        workers: processes that evaluate children at the same time; 0 takes one for each core that may be
            used, or one for an accelerator, or as many as a Ray cluster has room for.
        executor: where workers are: processes of this machine, or `ray`, on the nodes of a Ray cluster. This
            setting, `address` and `memo` are given on the command line, and no study file holds them.
        address: the Ray cluster: `local` starts one of this machine alone, `auto` joins the one that runs
            here, HOST:PORT the one with that head, which may run programs on this machine.
        worker_gpus: GPUs that a worker on Ray takes, such as 0.25 where four share one; with 0 it has none.
        memo: a database that studies on this machine share, made if it is missing: what one of them has
            evaluated, the others do not evaluate again. On a local disk.
    """

    seed: int = 0
    fitness_split: FitnessSplit = "validation"
    data: DataSettings = field(default_factory=DataSettings)
    reference: ReferenceSettings = field(default_factory=ReferenceSettings)
    attack: AttackSettings = field(default_factory=AttackSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    device: Device = field(default="auto", metadata={EXCLUDED: False})
    workers: int = field(default=0, metadata={EXCLUDED: False})
    executor: ExecutorName = field(default="local", metadata={EXCLUDED: False, TRUSTING: True})
    address: str = field(default="local", metadata={EXCLUDED: False, TRUSTING: True})
    worker_gpus: float = field(default=0.0, metadata={EXCLUDED: False})
    memo: str | None = field(default=None, metadata={EXCLUDED: False, TRUSTING: True})

    def __post_init__(self) -> None:
        require_at_least(0, "", self, "workers", "seed", "worker_gpus")
        require(
            self.executor == "local" or self.device != "cuda" or self.worker_gpus > 0,
            "worker_gpus",
            "workers on Ray that take no share of a GPU have none",
            "a share such as 0.25, or device: auto",
        )
        require(
            self.executor != "local" or self.address == "local",
            "address",
            "a cluster's address is of no use to processes of this machine",
            "--executor ray beside it",
        )
        require(
            self.training.sources[-1] != "key" or self.training.objective in WITH_PENALTY,
            "training.sources",
            f"a key has no part in {self.training.objective}",
            f"sources without it, or training.objective: {', '.join(WITH_PENALTY)}",
        )
        require(
            self.refine.networks <= self.search.population,
            "refine.networks",
            f"{self.refine.networks} networks cannot be refined of a population of {self.search.population}",
            f"{self.search.population} or fewer",
        )
        require(
            self.training.objective not in IN_LINF_BALLS or self.attack.name != "l2-pgd",
            "training.objective",
            f"{self.training.objective} trains in an L_inf ball, and {self.attack.name} has another",
            "attack.name: linf-pgd",
        )
        require(
            self.refine.patience is None or self.refine.keep == "best",
            "refine.patience",
            "a curve is told to be flat by its best epoch, and the last one is kept",
            "null, or refine.keep: best",
        )
        require(
            self.refine.keep == "last" or self.fitness_split == "validation",
            "refine.keep",
            "the best epoch would be chosen on the test images",
            "last, or fitness_split: validation",
        )
