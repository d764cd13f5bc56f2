# SPDX-License-Identifier: Apache-2.0
"""Write the manual pages and bash completions of all commands, below etc/ or ``DIRECTORY``."""

import argparse
import configparser
import os
import pathlib
import subprocess
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from lab.man_pages.page import section

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent


def commands() -> list[str]:
    """Return the commands of ours, as setup.cfg names them."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["entry_points"]["console_scripts"].strip().splitlines()
    return [line.partition("=")[0].strip() for line in lines]


def subcommands() -> list[str]:
    """Return the subcommands of ``migprog``."""
    done = _run(sys.executable, "-c", "from migprog.cli import app; print(*app.COMMANDS)")
    return done.split()


def page(*arguments: str) -> str:
    return _run(sys.executable, "-W", "ignore", "-m", "lab.man_pages.page", *arguments)


def _run(*command: str) -> str:
    # Wide, so that no line of --help is wrapped by the terminal of whoever runs this.
    environment = os.environ | {"COLUMNS": "1000", "PYTHONHASHSEED": "0", "HOME": "/root"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")
    return done.stdout


def write(directory: pathlib.Path, only: Collection[str] = ()) -> None:
    """Write all files, or ``only`` those of these names, below ``directory`` as below ``etc/``."""
    wanted: dict[str, tuple[str, ...]] = {}
    for command in commands():
        number = section(command)
        wanted[f"man/man{number}/{command}.{number}"] = ("man", command)
        if command != "migprog":
            wanted[f"bash-completion/{command}"] = ("completion", command)
    for name in subcommands():
        wanted[f"man/man1/migprog-{name}.1"] = ("man", "migprog", name)
    wanted = {path: what for path, what in wanted.items() if not only or path in only}
    with ThreadPoolExecutor(4) as pool:
        texts = dict(zip(wanted, pool.map(lambda each: page(*each), wanted.values()), strict=True))
    # cliff's own knows the subcommands.
    if not only:
        texts["bash-completion/migprog"] = _run(str(BIN / "migprog"), "complete")
    for path, text in texts.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="tools/build-man-pages",
        description="Write the manual pages and bash completions of all commands, from what their "
        "--help says.",
    )
    parser.add_argument(
        "directory",
        type=pathlib.Path,
        metavar="DIRECTORY",
        nargs="?",
        default=ROOT / "etc",
        help="below which they are written; default: etc/",
    )
    write(parser.parse_args().directory)
