"""AutoAttack, as pyautoattack has it, for any number of classes."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from contragrad.attacks.adapter import Attack, require_finite
from contragrad.extras import lacking
from contragrad.settings.config import AttackSettings


def autoattack(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    """AutoAttack's standard version: APGD on cross-entropy, APGD and FAB with 9 targets, and Square.

    It goes on with the images that still hold, and those that hold to the end come back as they were, as do
    those that were wrong from the beginning. It reads `epsilon` alone.

    Raises:
        UserError: if pyautoattack is missing.

    Source: Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
        parameter-free attacks", ICML 2020.
    Deviates: with fewer than 10 classes there are as many targets as other classes; the targeted APGD's loss
        needs 4 classes, so with 3 it is the untargeted one's, and with 2 there is none.
    """
    try:
        from pyautoattack import AutoAttack
    except ImportError as error:
        raise lacking("pyautoattack", "audit", job="AutoAttack", where="attack.name: autoattack") from error

    def logits(images: Tensor) -> Tensor:
        if images.requires_grad:
            images.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: require_finite(gradient, settings.name, "gradients")
            )
        # Square writes into what it is given, and FAB mixes it with the images.
        answer: Tensor = network(images).to(images.dtype, copy=True)
        require_finite(answer, settings.name, "logits")
        return answer

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        classes = logits(images[:1]).shape[1]
        second = ["apgd-t"] if classes > 3 else ["apgd-dlr"] if classes == 3 else []
        with _undisturbed():
            # It seeds torch's global generators, and by the clock if it is given no seed.
            seed = int(torch.randint(2**31, ()))
            library = AutoAttack(logits, device=device, eps=float(settings.epsilon), norm="Linf", seed=seed)
            library.attacks_to_run = ["apgd-ce", *second, "fab-t", "square"]
            library.apgd_targeted.n_target_classes = library.fab.n_target_classes = min(9, classes - 1)
            examples: Tensor
            examples, _ = library.run_standard_evaluation(images, labels.long(), batch_size=len(images))
        return examples

    return attack


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A block in which AutoAttack logs nothing, and after which a debugger traces again."""
    logger, tracer = logging.getLogger("auto-attack"), sys.gettrace()
    disabled = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = disabled
        sys.settrace(tracer)
