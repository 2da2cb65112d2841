"""Image classifiers that adversarial examples transferred from a known network do not fool."""

__version__ = "0.1.0"
