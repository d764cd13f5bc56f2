# SPDX-License-Identifier: Apache-2.0
"""The environments of the Debian packages have what their commands import, and nothing more."""

import pathlib
import runpy
import subprocess
import sys

import pytest
from packaging.utils import canonicalize_name

_ROOT = pathlib.Path(__file__).resolve().parents[4]
# Prints what is imported of those that only other environments have.
_IMPORTS = """
import sys
from importlib import metadata
missing = {missing!r}
modules = [top for top, names in metadata.packages_distributions().items()
           if missing & {{name.lower() for name in names}}]
for module in modules:
    sys.modules[module] = None
for name in {names!r}:
    __import__(name)
"""
_COMMANDS = {
    "compute": [
        *("migprog.cmd.compute", "migprog.compute.service", "migprog.cmd.with_metrics"),
        *("migprog.cmd.status", "migprog.cmd.status_checks", "migprog.cmd.nova_conf"),
    ],
    "client": ["migprog.cmd.client", "migprog.cli.app", "migprog.cmd.replay"],
}


def _environment(name: str) -> set[str]:
    script = runpy.run_path(str(_ROOT / "debian/requirements.py"))
    return {canonicalize_name(script["name_of"](each)) for each in script["requirements"](name)}


@pytest.mark.parametrize("name", _COMMANDS)
def test_commands_work_without_what_their_environment_has_not(name):
    missing = _environment("controller") - _environment(name)
    # These come with others all the same.
    missing -= {"requests", "keystoneauth1", "oslo-config", "oslo-utils", "pbr", "psutil"}
    names = {each for word in missing for each in (word, word.replace("-", "."))}
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            _IMPORTS.format(missing=names, names=_COMMANDS[name]),
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_debian_package_brings_all_that_the_manual_has_copied():
    """What is in etc/ and has no place of its own in a package is among the examples."""
    listed = {
        _ROOT / line for line in (_ROOT / "debian/migprog-common.examples").read_text().split()
    }
    assert all(path.exists() for path in listed)
    placed = {"bash-completion", "man", "systemd", "sysusers.d", "tmpfiles.d"}
    generators = {"migprog-config-generator.conf", "migprog-policy-generator.conf"}
    missing = [
        path
        for path in (_ROOT / "etc").rglob("*")
        if path.is_file()
        and path.relative_to(_ROOT / "etc").parts[0] not in placed
        and path.name not in generators
        and not listed & {path, *path.parents}
    ]
    assert missing == []


def test_agents_environment_has_no_database_and_no_web_framework():
    of_controllers = {"alembic", "falcon", "keystonemiddleware", "oslo-db", "sqlalchemy", "pymysql"}
    assert of_controllers <= _environment("controller")
    assert not of_controllers & _environment("compute")
    assert "libvirt-python" in _environment("compute")
    assert "libvirt-python" not in _environment("controller")
