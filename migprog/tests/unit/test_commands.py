# SPDX-License-Identifier: Apache-2.0
"""Every command's --help and --version, on threads: the text alone, and no eventlet imported."""

import os
import pathlib
import subprocess
import sys

import pytest

from migprog.tests.fixtures import no_eventlet
from migprog.version import RELEASE

COMMANDS = sorted(
    path.stem
    for path in (pathlib.Path(__file__).parents[2] / "cmd").glob("*.py")
    if "\ndef main(" in path.read_text()
)
# Both in one process, as imports take most of the time.
_MAIN = """
import importlib, os, sys
main = importlib.import_module("migprog.cmd." + sys.argv[1]).main
for argument in ("--version", "--help"):
    child = os.fork()
    if not child:
        sys.argv[1:] = [argument]
        try:
            code = main()
        except SystemExit as error:
            code = error.code
        sys.stdout.flush()
        os._exit(code or 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_commands_are_all_of_them():
    assert len(COMMANDS) == 9


@pytest.mark.parametrize("command", COMMANDS)
def test_command_explains_itself_without_eventlet_and_warnings(tmp_path, command):
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, command],
        env=no_eventlet.environment(tmp_path, os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split()[-1] == RELEASE
    assert "usage:" in done.stdout
    # A sentence or more says what it does, before the list of options.
    description = done.stdout.partition("usage:")[2].partition("\n\n")[2].partition("\n\n")[0]
    assert description.endswith(".") and "  -" not in description
    assert no_eventlet.imported(tmp_path) == []


# What a service needs to serve, and takes most of a second to import.
_HEAVY = {"alembic", "falcon", "keystonemiddleware", "oslo_messaging", "sqlalchemy"}


def _imported(*modules: str) -> set[str]:
    program = "import importlib, sys; [importlib.import_module(each) for each in sys.argv[1:]]; "
    done = subprocess.run(
        [sys.executable, "-c", f"{program}print(*sys.modules)", *modules],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("service", ["api", "compute", "conductor", "standalone"])
def test_arguments_are_read_before_the_service_is_imported(service):
    assert not _imported(f"migprog.cmd.{service}") & _HEAVY


# Prints which modules a command has imported when it has written its --help.
_MODULES = """
import contextlib, importlib, io, sys
main = importlib.import_module("migprog.cmd." + sys.argv[1]).main
sys.argv[1:] = ["--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(*sys.modules)
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_few_modules(command):
    done = subprocess.run(
        [sys.executable, "-c", _MODULES, command],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert not loaded & _HEAVY
    assert len(loaded) < 600


def test_agent_starts_without_what_only_controllers_use():
    loaded = _imported("migprog.cmd.compute", "migprog.cmd.with_metrics", "migprog.compute.service")
    assert "oslo_messaging" in loaded
    assert not loaded & _HEAVY - {"oslo_messaging"}
    assert not loaded & {"jinja2", "keystoneauth1", "oslo_db", "requests", "rich", "unittest"}
    # Of kombu's serializers, of the forecasts before a migration, and of their recordings.
    assert not loaded & {"yaml", "msgpack", "statistics", "migprog.core.forecast.before"}


# Imports kombu as the check of a configuration file does, and then the rest.
_KOMBU = """
import sys
from migprog.conf import unknown
assert not unknown.unknown({"oslo_messaging_rabbit": {"rabbit_qos_prefetch_count": ["1"]}}, {})
assert "kombu" in sys.modules and not {"yaml", "msgpack"} & sys.modules.keys()
import yaml, msgpack
assert yaml.safe_load("a: 1") == {"a": 1} and msgpack.loads(msgpack.dumps({"a": 1})) == {"a": 1}
import migprog.rpc
assert yaml is sys.modules["yaml"]
import kombu.serialization
content_type, encoding, body = kombu.serialization.dumps({"a": 1}, "json")
assert kombu.serialization.loads(body, content_type, encoding) == {"a": 1}
"""


def test_libraries_of_serializers_are_hidden_from_kombu_alone():
    subprocess.run([sys.executable, "-c", _KOMBU], timeout=60, check=True)


def test_services_start_without_alembic():
    loaded = _imported("migprog.cmd.api", "migprog.api.service", "migprog.conductor.service")
    assert "sqlalchemy" in loaded and "alembic" not in loaded
