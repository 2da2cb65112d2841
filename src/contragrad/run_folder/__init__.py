"""A run folder: the names in it, how each thing is made of the last, its notes, its study told again."""
