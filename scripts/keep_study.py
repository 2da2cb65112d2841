"""Copies a running study's database, whole, to where it is committed: `keep_study.py RUN FOLDER`.

The copy resumes anywhere: put it back as RUN/study.db beside study.yaml, or run the same command in a folder
that holds both.
"""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def main() -> None:
    """Copies what the command line names."""
    run, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "study.yaml", folder / "study.yaml")
    there = folder / "study.db"
    there.unlink(missing_ok=True)
    with closing(sqlite3.connect(run / "study.db")) as source, closing(sqlite3.connect(there)) as copy:
        source.backup(copy)
        copy.execute("pragma journal_mode = delete")
        copy.execute("vacuum")


if __name__ == "__main__":
    main()
