"""Twenty-nine checks of an honest evaluation, each PASS, FAIL or UNKNOWN with its figure and its source."""
