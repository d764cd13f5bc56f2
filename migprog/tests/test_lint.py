# SPDX-License-Identifier: Apache-2.0
"""The checks that read the code instead of running it: one test each, with the tool's own words.

Nothing is fetched: every tool comes with test-requirements.txt.
"""

import ast
import difflib
import pathlib
import re
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent
SAMPLE = ROOT / "etc/migprog/migprog.conf.sample"
POLICY_SAMPLE = ROOT / "etc/migprog/policy.yaml.sample"
POLICY_GENERATOR = ROOT / "etc/migprog/migprog-policy-generator.conf"
GENERATOR = ROOT / "etc/migprog/migprog-config-generator.conf"


def _run(tool: str, *arguments: str) -> str:
    """Run a tool of this environment in the checkout; fail with what it said."""
    done = subprocess.run(
        [str(BIN / tool), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        pytest.fail(f"{tool} {' '.join(arguments)} says:\n{said}", pytrace=False)
    return done.stdout


def _our_files() -> list[pathlib.Path]:
    """Every text file that is, or is about to be, in the repository."""
    # CI's checkout may belong to another user than CI's.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(
        [*git, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:1024]]


def _blocks(sample: str, namespace: str) -> list[str]:
    """The parts of a generated sample that come from one namespace, each with its group."""
    blocks = []
    for group in re.split(r"(?m)^(?=\[)", sample):
        title = group.split("\n", 1)[0]
        for block in re.split(r"(?m)^#\n# From (?=\S+\n#\n)", group)[1:]:
            source, text = block.split("\n", 1)
            if source == namespace:
                blocks.append(f"{title}\n{text.strip()}")
    return blocks


def test_ruff_finds_nothing() -> None:
    _run("ruff", "check", "--no-fix", ".")


def test_code_is_formatted() -> None:
    _run("ruff", "format", "--diff", ".")


def test_types() -> None:
    _run("mypy")


def test_imports_point_down() -> None:
    _run("lint-imports", "--no-cache")


def test_core_reads_no_clock() -> None:
    """datetime may be imported for its types, which import-linter takes for its clock, too."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}: .{node.func.attr}()"
        for path in sorted((ROOT / "migprog/core").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("now", "today", "utcnow")
    ]
    assert not calls


def test_release_notes_are_well_formed() -> None:
    _run("reno", "--quiet", "lint")


def test_config_sample_is_current(tmp_path: pathlib.Path) -> None:
    """Ours must be there to the letter; the libraries' parts change with their releases."""
    generated = tmp_path / "sample"
    _run(
        "oslo-config-generator",
        f"--config-file={GENERATOR.relative_to(ROOT)}",
        f"--output-file={generated}",
    )
    wanted = _blocks(generated.read_text(), "migprog")
    assert wanted, "no options of migprog's own"
    there = _blocks(SAMPLE.read_text(), "migprog")
    difference = "\n".join(
        difflib.unified_diff(
            "\n".join(there).splitlines(),
            "\n".join(wanted).splitlines(),
            f"{SAMPLE.relative_to(ROOT)}, as it is",
            "as the options have it",
            lineterm="",
        )
    )
    if difference:
        how = f"oslo-config-generator --config-file {GENERATOR.relative_to(ROOT)}"
        pytest.fail(f"{difference}\n\nTo write it again: .venv/bin/{how}", pytrace=False)


def test_config_sample_has_every_namespace() -> None:
    namespaces = re.findall(r"(?m)^namespace = (\S+)$", GENERATOR.read_text())
    sample = SAMPLE.read_text()
    assert [name for name in namespaces if f"# From {name}\n" not in sample] == []


def test_config_sample_names_no_machine() -> None:
    names = {socket.gethostname(), socket.getfqdn()} - {"localhost"}
    defaults = re.findall(r"(?m)^#?[\w.-]+ = (\S.*)$", SAMPLE.read_text())
    assert names.isdisjoint(defaults)


def test_policy_sample_is_current(tmp_path: pathlib.Path) -> None:
    generated = tmp_path / "sample"
    generator = POLICY_GENERATOR.relative_to(ROOT)
    tool = "oslopolicy-sample-generator"
    _run(tool, f"--config-file={generator}", f"--output-file={generated}")
    difference = "\n".join(
        difflib.unified_diff(
            POLICY_SAMPLE.read_text().splitlines(),
            generated.read_text().splitlines(),
            f"{POLICY_SAMPLE.relative_to(ROOT)}, as it is",
            "as the rules have it",
            lineterm="",
        )
    )
    if difference:
        how = f"{tool} --config-file {generator}"
        pytest.fail(f"{difference}\n\nTo write it again: .venv/bin/{how}", pytrace=False)


def test_words_that_say_too_little() -> None:
    """The glossary has a word for each thing: reported, not told; received, not heard."""
    weak = re.compile(r"\b(nobody|anew|told|heard)\b", re.IGNORECASE)
    others = ("migprog/tests/", "migprog/ui/files/vendor/", "lab/browser/axe-core/")
    found = [
        f"{name}:{number}: {line.strip()}"
        for path in _our_files()
        if not (name := str(path.relative_to(ROOT))).startswith(others)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        # A user of Linux.
        if weak.search(line.replace('"nobody"', ""))
    ]
    assert not found


def test_nothing_belongs_to_one_machine() -> None:
    """No path of this checkout, no one's home, no package registry."""
    here = re.escape(str(ROOT)) if len(ROOT.parts) > 2 else "(?!)"
    banned = re.compile(rf"({here}|/home/\w|/root/\w|index-url)(?=\b|/)", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _our_files()
        if path != pathlib.Path(__file__).resolve()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if banned.search(line)
    ]
    assert not found
