# SPDX-License-Identifier: Apache-2.0
"""How migprog/tests/conftest.py shares tests among processes: a small suite of its own shows it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from migprog.tests import conftest

CONFTEST = pathlib.Path(__file__).resolve().parents[1] / "conftest.py"
INI = """
[pytest]
markers =
    long
    alone
"""
NOTES = """
import json, os, pathlib, time, pytest

@pytest.fixture(autouse=True)
def note(request):
    began = time.monotonic()
    yield
    ended = time.monotonic()
    note = {"name": request.node.name, "began": began, "ended": ended, "process": os.getpid()}
    with open(pathlib.Path(__file__).with_name("notes"), "a") as notes:
        notes.write(json.dumps(note) + "\\n")
"""
BESIDE = """
import time, pytest

@pytest.mark.parametrize("number", range(5))
def test_beside(number):
    time.sleep(0.1)

@pytest.mark.long
def test_long():
    pass
"""
ALONE = """
import time, pytest

@pytest.mark.alone
def test_alone():
    time.sleep(0.1)
"""


@pytest.fixture
def suite(tmp_path):
    """Runs a suite with our conftest; gives the notes of each test in the order of their begin."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    package = tmp_path / "functional"
    package.mkdir()
    (tmp_path / "pytest.ini").write_text(INI)
    (package / "conftest.py").write_text(NOTES)
    (package / "test_alone.py").write_text(ALONE)
    for name in ("a", "b"):
        (package / f"test_{name}.py").write_text(BESIDE)

    def run(*arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        # Some of them take seconds to be imported, in each process.
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        notes = map(json.loads, (package / "notes").read_text().splitlines())
        return sorted(notes, key=lambda note: note["began"])

    return run


def test_a_test_marked_alone_runs_beside_no_other(suite):
    notes = suite("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
    assert len(notes) == 11
    assert len({note["process"] for note in notes}) == 3
    (alone,) = (note for note in notes if note["name"] == "test_alone")
    others = [note for note in notes if note is not alone]
    assert all(o["ended"] <= alone["began"] or o["began"] >= alone["ended"] for o in others)


def test_a_test_marked_long_runs_with_long_only(suite):
    assert "test_long" not in {note["name"] for note in suite()}
    assert "test_long" in {note["name"] for note in suite("--long")}


@pytest.mark.parametrize(
    ("module", "kind"),
    [("test_lab", "lab"), ("test_faults", "lab"), ("test_network", "functional")],
)
def test_modules_that_bring_up_libvirt_hosts_are_recognized(module, kind):
    assert conftest._kind(CONFTEST.parent / f"functional/{module}.py", []) == kind
