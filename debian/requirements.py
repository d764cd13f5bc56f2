# SPDX-License-Identifier: Apache-2.0
"""Print the requirements of one package's environment, one a line: ``requirements.py compute``.

``requires/NAME`` names them, extras of ours as ``[extra]``, and ``*`` for all of requirements.txt;
their versions are in requirements.txt and setup.cfg alone.
"""

import configparser
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def lines(text: str) -> list[str]:
    """Return the lines of a file of requirements, without its comments."""
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]


def name_of(requirement: str) -> str:
    """Return the name of the package that a requirement asks for."""
    return re.split(r"[\[<>=!~;]", requirement)[0].strip().lower()


def requirements(environment: str) -> list[str]:
    """Return what the environment of ``migprog-ENVIRONMENT`` needs."""
    known = {name_of(each): each for each in lines((ROOT / "requirements.txt").read_text())}
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    found: list[str] = []
    for wanted in lines((ROOT / "debian/requires" / environment).read_text()):
        if wanted == "*":
            found += known.values()
        elif wanted.startswith("["):
            found += lines(config["extras"][wanted.strip("[]")])
        else:
            found.append(known[wanted.lower()])
    return found


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
