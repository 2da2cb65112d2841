"""A network taken out of its run: a file that others can use, checked, with a model card beside it."""
