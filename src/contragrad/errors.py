"""The one error a person is meant to read: what was wrong, where, and what would be right."""


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
        return "\n".join(line for line in lines if line)
