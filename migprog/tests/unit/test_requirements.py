# SPDX-License-Identifier: Apache-2.0
"""What is imported is required, and what is required is had by each OpenStack we support."""

import ast
import configparser
import importlib.metadata
import pathlib
import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from migprog import concurrency

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONSTRAINTS = sorted((ROOT / "constraints").glob("*.txt"))
# SQLAlchemy loads these by their names in a URL; the last one loads our plug-in.
_LOADED_BY_NAME = {"mysqlclient", "psycopg", "psycopg2-binary", "pymysql"}
_LOADED_BY_NAME |= {"python-openstackclient"}
# Extras that no OpenStack constrains: of a service there are no constraints.
_NOT_IN_OPENSTACK = {"mysqlclient", "orjson", "plot", "psycopg", "watcher"}
# Watcher has an environment of its own, so it is not installed here.
_ELSEWHERE = {"watcher": "python-watcher"}
# What the threads of oslo.service need, and the releases whose oslo.service has none.
_THREADS_NEED = ("cotyledon", "futurist")
_WITHOUT_THREADS = {"2025.1"}


def _requirements(text: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def _base() -> list[Requirement]:
    return _requirements((ROOT / "requirements.txt").read_text())


def _extras() -> dict[str, list[Requirement]]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return {name: _requirements(text) for name, text in config["extras"].items()}


def _required() -> set[str]:
    every = [*_base(), *(each for extra in _extras().values() for each in extra)]
    return {canonicalize_name(each.name) for each in every}


def _imported() -> dict[str, str]:
    """The distributions that code outside of the tests imports, each with a file that does."""
    distributions = importlib.metadata.packages_distributions()
    found: dict[str, str] = {}
    for path in sorted((ROOT / "migprog").rglob("*.py")):
        if "tests" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top != "migprog" and top not in sys.stdlib_module_names:
                    for distribution in distributions.get(top, [_ELSEWHERE.get(top, top)]):
                        found[canonicalize_name(distribution)] = str(path.relative_to(ROOT))
    return found


def _constrained(path: pathlib.Path) -> dict[str, str]:
    pairs = re.findall(r"(?m)^([\w.-]+)===(\S+)$", path.read_text())
    return {canonicalize_name(name): number for name, number in pairs}


def test_each_import_is_required():
    required = _required()
    assert {name: file for name, file in _imported().items() if name not in required} == {}


def test_each_requirement_is_imported():
    assert _required() - set(_imported()) - _LOADED_BY_NAME == set()


def test_requirements_of_the_tests_are_installed():
    """pbr makes an extra of them, too: one that cannot be read breaks each installation."""
    for needed in _requirements((ROOT / "test-requirements.txt").read_text()):
        assert importlib.metadata.version(needed.name) in needed.specifier


def test_documented_releases_have_constraints():
    page = (ROOT / "doc/source/install.rst").read_text()
    documented = set(re.findall(r"(?m)^(20\d\d\.[12]) ", page))
    assert documented == {path.stem for path in CONSTRAINTS}


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
def test_requirements_admit_the_constraints_of(path):
    numbers = _constrained(path)
    wanted = _base()
    for extra, requirements in _extras().items():
        if extra not in _NOT_IN_OPENSTACK:
            wanted += requirements
    missing = [str(each) for each in wanted if canonicalize_name(each.name) not in numbers]
    refused = [
        f"{each}: {numbers[canonicalize_name(each.name)]}"
        for each in wanted
        if canonicalize_name(each.name) in numbers
        and numbers[canonicalize_name(each.name)] not in each.specifier
    ]
    assert (missing, refused) == ([], [])


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
def test_release_runs_on_what_the_page_says(path, monkeypatch):
    numbers = _constrained(path)
    monkeypatch.setattr(concurrency, "_oslo_service", lambda: numbers["oslo-service"])
    page = (ROOT / "doc/source/install.rst").read_text()
    (line,) = re.findall(rf"(?m)^{path.stem} +(.*)$", page)
    expected = concurrency.EVENTLET if path.stem in _WITHOUT_THREADS else concurrency.THREADING
    assert concurrency._default() == expected
    assert line.startswith("threads" if expected == concurrency.THREADING else "eventlet")


def test_requirements_have_what_threads_need():
    (service,) = (each for each in _base() if each.name == "oslo.service")
    assert service.extras == {"threading"}
    for path in CONSTRAINTS:
        assert set(_THREADS_NEED) <= set(_constrained(path))
