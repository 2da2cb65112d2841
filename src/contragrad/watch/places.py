"""Where a study is logged to, as others may read it: a URI's user name and password are nobody else's."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit


def public(text: str) -> str:
    """The text, its URIs without user names and passwords.

    >>> public("no answer from https://me:secret@example.org/api")
    'no answer from https://example.org/api'
    """
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def place(uri: str) -> str:
    """What tells a place from others in whichever folder it is named: a folder's path, or what is public."""
    parts = urlsplit(uri)
    match parts.scheme:
        case "":
            return str(Path(uri).resolve())
        case "file":
            return str(Path(unquote(parts.path)).resolve())
        case "sqlite":
            return f"sqlite:///{Path(parts.path.removeprefix('/')).resolve()}"
        case _:
            return public(uri)
