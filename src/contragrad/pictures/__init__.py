"""Figures as files: whose they are, integrated gradients, architectures."""
