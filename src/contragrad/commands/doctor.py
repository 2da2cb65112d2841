"""`contragrad doctor`."""

import argparse
import json
from dataclasses import asdict

from contragrad.commands.command import Command, path_of
from contragrad.errors import UserError


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=path_of, help="file or folder with your images; those that ship if left out"
    )
    parser.add_argument("--json", action="store_true", help="for scripts")


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.machine import doctor, inventory

    facts = inventory.look(options.data)
    found = doctor.findings(facts)
    if options.json:
        print(json.dumps({"facts": asdict(facts), "findings": [asdict(finding) for finding in found]}))
    else:
        print(doctor.as_text(facts))
    broken = [finding.subject for finding in found if finding.level == "broken"]
    if broken:
        raise UserError(
            "a study cannot run here", where=", ".join(broken), remedy="what stands below each that is broken"
        )


DOCTOR = Command(
    name="doctor",
    help="what this machine has for it: versions, device, cores, disk, data",
    description="Looks at what a study needs and says what to do about what is missing. "
    "The exit code is 0 unless something is broken.",
    add=_add,
    call=_call,
)
