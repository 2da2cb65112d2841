"""Adversarial examples: attacks of well-kept libraries by name, adapted where their papers ask for more."""
