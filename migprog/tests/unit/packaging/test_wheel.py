# SPDX-License-Identifier: Apache-2.0
"""The wheel has all that is needed to run: each command works from it, away from the checkout."""

import concurrent.futures
import configparser
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from migprog.tests import checkout

_RUN = """
import importlib, importlib.metadata, sys, migprog
assert migprog.__file__.startswith({wheel!r}), migprog.__file__
(entry,) = importlib.metadata.entry_points(group="console_scripts", name={command!r})
sys.argv = [{command!r}, "--version"]
sys.exit(entry.load()())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The folder of the unpacked wheel, made of a tree without git, as a tarball's."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    checkout.copy_to(source)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"),
            *("--no-index", "-w", str(directory), str(source)),
        ],
        env=os.environ | {"PBR_VERSION": "1.2.3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = directory.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(directory / "unpacked")
    return directory / "unpacked"


def _names(wheel: pathlib.Path) -> set[str]:
    return {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}


def test_wheel_has_every_file_of_the_package(wheel):
    wanted = {
        path.relative_to(checkout.ROOT).as_posix()
        for path in (checkout.ROOT / "migprog").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "migprog/db/alembic/script.py.mako",
        "migprog/ui/index.html",
        "migprog/ui/files/page.css",
        "migprog/ui/files/vendor/preact/preact.mjs",
        "migprog/ui/files/vendor/preact/LICENSE",
    } <= wanted
    assert wanted - _names(wheel) == set()


def test_wheel_has_configuration_units_pages_and_completions(wheel):
    (data,) = wheel.glob("*.data/data")
    there = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    places = {
        "etc/migprog": "etc/migprog",
        "etc/systemd/system": "lib/systemd/system",
        "etc/sysusers.d": "lib/sysusers.d",
        "etc/tmpfiles.d": "lib/tmpfiles.d",
        "etc/bash-completion": "share/bash-completion/completions",
        "etc/man/man1": "share/man/man1",
        "etc/man/man8": "share/man/man8",
        "etc/examples/ansible": "share/migprog/examples/ansible",
        "etc/examples/notifications": "share/migprog/examples/notifications",
        "etc/examples/systemd": "share/migprog/examples/systemd",
        "etc/grafana/dashboards": "share/migprog/grafana/dashboards",
        "etc/nginx": "share/migprog/nginx",
        "etc/prometheus": "share/migprog/prometheus",
        "etc/haproxy": "share/migprog/haproxy",
        "etc/polkit": "share/migprog/polkit",
    }
    # Every folder of etc/ has its place.
    files = {path.parent for path in (checkout.ROOT / "etc").rglob("*") if path.is_file()}
    known = {checkout.ROOT / folder for folder in places}
    provisioning = checkout.ROOT / "etc/grafana/provisioning"
    assert {each for each in files if provisioning not in each.parents} == known
    wanted = {
        f"{place}/{path.name}"
        for folder, place in places.items()
        for path in (checkout.ROOT / folder).iterdir()
    }
    assert wanted - there == set()


def test_each_command_tells_its_version_from_the_wheel_alone(wheel, tmp_path):
    config = configparser.ConfigParser()
    config.read(checkout.ROOT / "setup.cfg")
    lines = config["entry_points"]["console_scripts"].strip().splitlines()
    commands = [line.partition("=")[0].strip() for line in lines]

    def run(command: str) -> subprocess.CompletedProcess[str]:
        program = _RUN.format(wheel=str(wheel), command=command)
        return subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", program],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(wheel)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, commands))
    for command, done in zip(commands, results, strict=True):
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout.strip(), command
