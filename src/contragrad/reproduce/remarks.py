"""What the reader of a table must know of it, as lines for people."""

from collections.abc import Mapping

from contragrad.attacks.library import PGD_PATH
from contragrad.fingerprint import Plain
from contragrad.reproduce.provenance import Content
from contragrad.settings.checks import fraction, radius

UNSET = {"attack.step_size": f"{float(PGD_PATH):g} ε / steps", "refine.patience": "none, all epochs"}
"""What a setting that is left out comes to, where that is not none."""

LAST = "weights of the last of all epochs, whatever refine says, for they have no defence to choose by"


def heading(shown: Content, name: str) -> str:
    """What it is, at which scale and by which protocol; older files do not say the protocol."""
    protocol = said_of_protocol(paper=shown.get("protocol") == "paper")
    return f"{name}, scale {shown['scale']}{protocol}: {shown['title']}"


TRIAL = (
    "scale smoke is there to see every step run: unless images and epochs were added, its figures say "
    "nothing of a method"
)


def of_scale(shown: Content) -> list[str]:
    """What figures of this scale are worth, if they are worth nothing."""
    return [TRIAL] if shown["scale"] == "smoke" else []


def said_of_protocol(*, paper: bool) -> str:
    """What follows a scale where the protocol is the paper's."""
    return ", the paper's protocol" if paper else ""


def lines(shown: Content) -> list[str]:
    """What `told` tells, for people."""
    found = []
    for data in shown["data"]:
        images = _images(data["images"])
        if published := data.get("published_images"):
            images += f" (the paper's: {_images(published)})"
        evolved = ", on which the networks are evolved" if data["evolved_on"] else ""
        epsilon = f", attack.epsilon {in_greys(data['epsilon'])}" if data.get("epsilon") else ""
        found.append(
            f"images of {data['name']}{evolved}: {images}; {data['source']}, {data['fingerprint']}{epsilon}"
        )
        if data["note"]:
            found.append(f"  {data['note']}")
    left_open = ", ".join(f"{key} {setting(key, value)}" for key, value in shown["left_open"].items())
    differs = ", ".join(
        f"{key} {setting(key, each['here'])} ({setting(key, each['paper'])})"
        for key, each in shown["differs"].items()
    )
    if weights := shown.get("weights"):
        own = ", ".join(f"{network} {weight:g}" for network, weight in weights.items())
        found.append(f"training.gm_weight of their own have: {own}")
    if published_on := shown.get("published_on"):
        found.append(f"published figures: of {published_on}")
    if defences := shown.get("defences"):
        found.append(f"parameters of defences, which the paper leaves open: {_each(defences)}")
    if drawn := shown.get("architectures"):
        found.append(f"networks of whose blocks the paper tells the kinds and numbers alone: {_each(drawn)}")
    if climbed := shown.get("climbed"):
        found.append(f"loss that attacks climb, which the paper leaves open: {climbed}")
    if kept := shown.get("kept_last"):
        found.append(f"{LAST}: {', '.join(kept)}")
    return [
        *found,
        f"settings other than the paper's (its own in brackets): {differs or 'none'}",
        f"settings that the paper leaves open: {left_open}",
    ]


def _each(texts: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


def _images(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in counts.items())


def setting(key: str, value: Plain) -> str:
    """A setting's value for people."""
    match value:
        case None:
            return UNSET.get(key, "none")
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(map(str, value)) or "none"
        case _:
            return in_greys(str(value)) if key in ("attack.epsilon", "attack.step_size") else str(value)


def in_greys(length: str) -> str:
    """An epsilon or a step's length of a table's file, as people in the field write it."""
    return radius(fraction(length))
