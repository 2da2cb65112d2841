"""The one error a person is meant to read: what was wrong, where, and what would be right."""

from contragrad.legible import legible

LARGEST = 2**128
"""Of a whole number in the settings, seeds among them: Python writes out none of thousands of digits."""


class UserError(Exception):
    """Something only the user can mend; the command prints it without a traceback and exits with 2.

    Args:
        what: what was wrong, in one sentence.
        where: the file, key or value that was wrong.
        remedy: what would be right.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        lines = (
            self.what,
            self.where and f"  at: {self.where}",
            self.remedy and f"  try: {self.remedy}",
        )
        # Names of files, and what stands in them, are others': a terminal must not obey them.
        return legible("\n".join(line for line in lines if line), lines=True)


class UnusableSourceError(UserError):
    """A network that others are trained or attacked by cannot serve, and would not if it were tried again.

    Its training diverged, or its gradients or examples are not finite.
    """


def require(holds: bool, key: str, what: str, remedy: str) -> None:
    """Raises a UserError about the setting `key` unless something holds."""
    if not holds:
        raise UserError(what, where=key, remedy=remedy)


def require_at_least(least: int, section: str, record: object, *names: str) -> None:
    """Raises a UserError unless the named settings of a section's record are at least so large."""
    for name in names:
        value = getattr(record, name)
        key = f"{section}.{name}" if section else name
        require(value >= least, key, f"{value} is too small", f"{least} or more")
        require(value <= LARGEST, key, "the number is too large", f"{LARGEST} or less")
