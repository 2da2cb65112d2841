"""Attacks that see a network's answers and no gradient."""

import warnings
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor, nn

from contragrad.attacks.examples import POSITIONS, perturbation_norm
from contragrad.data.dataset import pixels
from contragrad.extras import lacking
from contragrad.networks.inference import NO_CLASS, classes_of, predict
from contragrad.networks.randomness import generator, isolated


def _with_none(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network with one class more, given to images whose answer is no number, and to no other."""

    def answered(images: Tensor) -> Tensor:
        logits = network(images)
        none = (classes_of(logits) == NO_CLASS).unsqueeze(1)
        return torch.cat([logits.where(~none, 0.0), torch.where(none, 1.0, -torch.inf)], 1)

    return answered


@torch.no_grad()
def square(
    network: nn.Module, images: Tensor, labels: Tensor, epsilon: Fraction, queries: int, *, seed: int
) -> tuple[Tensor, Tensor]:
    """Square Attack in the L_inf ball: random squares, kept where they lower the network's margin.

    Args:
        network: maps images in [0, 1], float32 (B, C, H, W), to logits (B, classes), in evaluation mode.
        images: (N, C, H, W), uint8 or float32 in [0, 1].
        labels: (N,).
        epsilon: radius of the ball.
        queries: answers that it may ask for, for each image, the one to the image itself among them; squares
            shrink over so many as the authors' do over 10,000.
        seed: names what is drawn.

    Returns:
        The examples, float32 (N, C, H, W) on the CPU, and for each the answers it took, (N,): 0 for images
        that are misclassified as they are, which stay.

    Raises:
        UserError: if pyautoattack is missing.

    Source: Andriushchenko et al., "Square Attack", ECCV 2020, by pyautoattack, the code of its authors.
    """
    try:
        from pyautoattack.square import SquareAttack
    except ImportError as error:
        raise lacking("pyautoattack", "audit", job="the query attack", where="audit") from error
    device = next(network.parameters()).device
    network.eval()
    examples, used = pixels(images).cpu().clone(), torch.zeros(len(images))
    for number, start in enumerate(range(0, len(images), size := _batch(images))):
        batch = torch.arange(start, min(start + size, len(images)))
        clean, own = pixels(images[batch]).to(device), labels[batch].to(device)
        right = classes_of(network(clean)) == own
        chosen = batch[right.cpu()]
        used[chosen] = 1
        if queries == 1 or not right.any():
            continue
        # Beside the image itself, the stripes that it begins with are asked about and not counted.
        attack = SquareAttack(
            _with_none(network), eps=float(epsilon), n_queries=queries - 2, resc_schedule=True, device=device
        )
        with isolated(seed, "square", number):
            attack.init_hyperparam(clean)
            asked, crafted = attack.attack_single_run(clean[right], own[right])
        examples[chosen] = crafted.cpu()
        used[chosen] += asked.cpu()
    return examples, used


def hop_skip_jump(
    network: nn.Module, images: Tensor, labels: Tensor, epsilon: Fraction, queries: int, *, seed: int
) -> tuple[Tensor, Tensor]:
    """HopSkipJump in the L_inf ball: walks along the boundary by the network's classes alone.

    It starts from another image of the set that the network takes for another class. The first of the images
    asked about that lies in the ball and is misclassified is the example.

    Args:
        network: as `square` is given it; only the class of its answers is used.
        images: (N, C, H, W), uint8 or float32 in [0, 1].
        labels: (N,).
        epsilon: radius of the ball.
        queries: answers that it may ask for, for each image.
        seed: names what is drawn.

    Returns:
        The examples, float32 (N, C, H, W) on the CPU, the image itself where none was found; and for each the
        answers that were asked for, (N,): 0 for images that are misclassified as they are. Fewer than
        allowed for an image that holds means that the attack broke off: there was nowhere to start, or the
        network does not answer twice alike.

    Raises:
        UserError: if foolbox is missing.

    Source: Chen, Jordan and Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack", IEEE
        S&P 2020, by foolbox.
    """
    try:
        with warnings.catch_warnings():
            # Of scipy's old names, which it imports.
            warnings.simplefilter("ignore", DeprecationWarning)
            from foolbox.attacks.hop_skip_jump import HopSkipJumpAttack
            from foolbox.models.pytorch import PyTorchModel
    except ImportError as error:
        raise lacking("foolbox", "audit", job="the label-only attack", where="audit") from error
    clean, own = pixels(images).cpu(), labels.cpu()
    said = predict(network, images)
    examples, used = clean.clone(), torch.zeros(len(images))
    chosen, starts = _starts(said, own, seed)
    used[said == own] = 1
    for number, start in enumerate(range(0, len(chosen), size := _batch(images))):
        places, begun = chosen[start : start + size], clean[starts[start : start + size]]
        asked = Asked(network, clean[places], own[places], float(epsilon), queries - 1).eval()
        attack = HopSkipJumpAttack(
            steps=queries,  # more than there are answers for, so that it ends with these
            constraint="linf",
            initial_gradient_eval_steps=FIRST_ESTIMATE,
            max_gradient_eval_steps=queries,
        )
        with isolated(seed, "hop-skip-jump", number):
            try:
                shown = PyTorchModel(asked, bounds=(0, 1), device="cpu")
                attack.run(shown, clean[places], own[places], starting_points=begun)
            except (Spent, AssertionError, ValueError):
                # foolbox holds a network to its answers, which one that answers at random does not keep.
                if asked.failure is not None:
                    raise asked.failure from None
        examples[places] = asked.examples
        # The class of the image itself was asked first.
        used[places] = 1 + torch.where(asked.found, asked.needed, float(asked.count))
    return examples, used


FIRST_ESTIMATE = 20
"""Answers of the first estimate of a gradient; their number grows with the square root of the steps.

Deviates: theirs is 100, for far more queries than images have here.
"""


def _starts(said: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The images to attack, and for each one with another answer, drawn at random; as places (M,)."""
    order = torch.randperm(len(said), generator=generator(seed, "starts"))
    first = {answer: order[said[order] != answer] for answer in set(said.tolist())}
    chosen = [
        place for place in range(len(said)) if said[place] == labels[place] and len(first[int(said[place])])
    ]
    # Each its own, in turn, so that one unlucky start does not spoil a class.
    starts = [int(own[place % len(own)]) for place in chosen for own in [first[int(said[place])]]]
    return torch.tensor(chosen, dtype=torch.long), torch.tensor(starts, dtype=torch.long)


class Spent(Exception):  # noqa: N818
    """Every answer was asked for, or every image is fooled."""


class Asked(nn.Module):
    """A network whose every question is looked at: the first misclassified one in the ball is kept.

    Args:
        network: that is asked.
        images: B clean images, float32 on the CPU; each question is about all of them, in their order.
        labels: their classes.
        epsilon: radius of the ball.
        queries: questions about each image, after which Spent is raised.
    """

    def __init__(
        self, network: nn.Module, images: Tensor, labels: Tensor, epsilon: float, queries: int
    ) -> None:
        super().__init__()
        self.network = network.eval()
        self.images, self.labels = images, labels
        self.epsilon, self.queries = epsilon, queries
        self.count = 0
        self.failure: Exception | None = None
        self.examples = images.clone()
        self.needed = torch.zeros(len(images))
        self.found = torch.zeros(len(images), dtype=torch.bool)

    def forward(self, shown: Tensor) -> Tensor:
        """Images (B, C, H, W) -> their classes as one-hot (B, classes).

        Raises:
            Spent: if there are no more answers to ask for, or nothing more to find.
        """
        if self.count == self.queries or self.found.all():
            raise Spent
        self.count += 1
        device = next(self.network.parameters()).device
        try:
            with torch.no_grad():
                logits: Tensor = self.network(shown.to(device)).cpu()
        except Exception as failure:  # a user's code may raise what foolbox raises
            self.failure = failure
            raise
        answers = classes_of(logits)
        inside = perturbation_norm(shown, self.images, "linf") <= self.epsilon
        new = inside & (answers != self.labels) & ~self.found
        self.examples[new] = shown[new]
        self.needed[new] = self.count
        self.found |= new
        # No class is one more, beside all others.
        classes = logits.shape[1] + 1
        return nn.functional.one_hot(answers % classes, classes).float()


def _batch(images: Tensor) -> int:
    return max(1, 4 * POSITIONS // images.shape[-2:].numel())
