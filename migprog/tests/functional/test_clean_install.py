# SPDX-License-Identifier: Apache-2.0
"""sdist and wheel in empty environments, and the agent in one environment with Nova."""

import configparser
import os
import pathlib
import re
import subprocess
import sys

import pytest
import requests

from lab.parts import processes
from migprog.tests import checkout

pytestmark = [pytest.mark.functional, pytest.mark.long, pytest.mark.timeout(1500)]

_CONSTRAINTS = checkout.ROOT / "constraints/2026.2.txt"
_NOVA = "nova>=34.0.0"


def _run(*command: str | pathlib.Path, cwd: pathlib.Path) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        # Nothing of this environment or checkout.
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)} | _pip_settings(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, (command, (done.stdout + done.stderr)[-4000:])
    return done.stdout + done.stderr


def _pip_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The wheel and the sdist, as ``python -m build`` makes them of this checkout."""
    directory = tmp_path_factory.mktemp("dist")
    source = directory / "source"
    checkout.copy_to(source)
    subprocess.run(
        "git init -q && git add -A && git -c user.name=x -c user.email=x@example.org commit -qm x",
        cwd=source,
        shell=True,
        check=True,
    )
    _run(sys.executable, "-m", "build", "--outdir", directory, source, cwd=directory)
    return {path.suffix: path for path in directory.iterdir() if path.suffix in (".whl", ".gz")}


@pytest.fixture(scope="module", params=[".whl", ".gz"])
def environment(request, distributions, tmp_path_factory):
    """The folder of commands of an empty environment with all extras that commands need."""
    directory = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", directory / "venv", cwd=directory)
    what = f"{distributions[request.param]}[cli,libvirt,loadtest,mysql,postgresql]"
    python = directory / "venv/bin/python"
    _run(python, "-m", "pip", "install", "-q", "-c", _CONSTRAINTS, what, cwd=directory)
    return directory / "venv/bin"


def test_each_command_runs(environment, tmp_path):
    config = configparser.ConfigParser()
    config.read(checkout.ROOT / "setup.cfg")
    lines = config["entry_points"]["console_scripts"].strip().splitlines()
    for command in (line.partition("=")[0].strip() for line in lines):
        assert "usage:" in _run(environment / command, "--help", cwd=tmp_path).lower()
        assert re.search(r"\d+\.\d+\.\d+", _run(environment / command, "--version", cwd=tmp_path))
    for path in ("etc/migprog/migprog.conf.sample", "lib/systemd/system/migprog-compute.service"):
        assert (environment.parent / path).is_file()


def test_standalone_serves(environment, lab, tmp_path):
    (port,) = processes.free_ports(1)
    command = [
        *(str(environment / "migprog-standalone"), "--state-path", str(tmp_path / "state")),
        *("--connection-uri", lab.hosts[0].uri, "--bind-port", str(port)),
    ]
    with processes.running(command, tmp_path, {"PATH": "/usr/bin:/bin"}) as program:
        processes.wait_for_port(port, 90, program)

        def agents():
            return requests.get(f"http://127.0.0.1:{port}/agents", timeout=30).json()["agents"]

        (agent,) = processes.wait_for(agents, 60, "the agent in the API")
        assert agent["host"] == lab.hosts[0].name
        page = requests.get(f"http://127.0.0.1:{port}/ui/", timeout=30)
        for name in re.findall(r'(?:href|src)="([^"#]+)"', page.text):
            assert requests.get(f"{page.url}{name}", timeout=30).ok, name


@pytest.mark.parametrize("constrained", [True, False])
def test_agent_and_the_newest_nova_resolve_together(distributions, tmp_path, constrained):
    _run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    arguments: list[str | pathlib.Path] = ["install", "--dry-run", "--prefer-binary", _NOVA]
    if constrained:
        arguments += ["-c", _CONSTRAINTS]
    wheel = f"{distributions['.whl']}[libvirt]"
    said = _run(python, "-m", "pip", *arguments, wheel, cwd=tmp_path)
    (line,) = (each for each in said.splitlines() if each.startswith("Would install"))
    assert " nova-" in line and " migprog-" in line and " libvirt-python-" in line
