"""Text from outside as it may be shown: without what a terminal would obey."""

LONGEST_TEXT = 200
"""Letters of a text from outside in a message."""


def legible(text: str, most: int | None = None, *, lines: bool = False) -> str:
    r"""The text with every letter that is not printable as its escape, such as `\x1b`.

    Args:
        text: what somebody else has written.
        most: letters that are kept; what is longer ends in three dots.
        lines: whether line breaks stay.
    """
    kept = text if most is None or len(text) <= most else f"{text[:most]}..."
    return "".join(
        sign
        if sign.isprintable() or (lines and sign == "\n")
        else sign.encode("unicode_escape", "surrogatepass").decode()
        for sign in kept
    )


def first_line(error: Exception) -> str:
    """What an error says first, or its kind; libraries in C++ go on with where they were written."""
    lines = [line.strip() for line in str(error).splitlines()]
    return legible(next(filter(None, lines), type(error).__name__), LONGEST_TEXT)
