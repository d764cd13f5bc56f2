# SPDX-License-Identifier: Apache-2.0
"""systemd accepts the units, and finds them hardened; sysusers.d and tmpfiles.d do their part."""

import configparser
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[4]
_UNITS = sorted((_ROOT / "etc/systemd/system").glob("*.service"))
_MOST_EXPOSURE = 40  # tenths


@pytest.fixture(params=_UNITS, ids=lambda path: path.stem)
def unit(request, tmp_path):
    """A unit whose command is that of this environment: systemd asks whether it exists."""
    text = request.param.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    command = line.removeprefix("ExecStart=")
    assert command.split()[0] == request.param.stem
    absolute = f"{pathlib.Path(sys.executable).parent}/{command}"
    path = tmp_path / request.param.name
    path.write_text(text.replace(line, f"ExecStart={absolute}"))
    return path


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_each_service_has_a_unit():
    config = configparser.ConfigParser()
    config.read(_ROOT / "setup.cfg")
    assert {path.stem for path in _UNITS} == {
        "migprog-api",
        "migprog-compute",
        "migprog-conductor",
        "migprog-standalone",
    }
    assert all(path.stem in config["entry_points"]["console_scripts"] for path in _UNITS)


def test_systemd_finds_nothing_wrong(unit):
    done = _analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    # The machine's own units are not ours.
    assert [line for line in done.stderr.splitlines() if "migprog" in line] == []
    assert done.returncode == 0, done.stderr


def test_unit_is_hardened(unit):
    done = _analyze("security", "--offline=true", f"--threshold={_MOST_EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


def test_unit_has_a_watchdog_and_starts_again(unit):
    config = configparser.ConfigParser(strict=False, interpolation=None)
    config.optionxform = str  # type: ignore[assignment]
    config.read(unit)
    service = config["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert int(service["WatchdogSec"]) >= 60
    assert config["Unit"]["StartLimitIntervalSec"] == "0"


def test_user_and_folders_are_made(tmp_path):
    def run(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr

    (tmp_path / "etc/migprog").mkdir(parents=True)
    config = tmp_path / "etc/migprog/migprog.conf"
    config.write_text("")
    config.chmod(0o644)
    run("systemd-sysusers", f"--root={tmp_path}", str(_ROOT / "etc/sysusers.d/migprog.conf"))
    (line,) = (tmp_path / "etc/passwd").read_text().splitlines()
    name, _, uid, gid, _, home, shell = line.split(":")
    assert (name, home, shell.rpartition("/")[2]) == ("migprog", "/var/lib/migprog", "nologin")
    run(
        "systemd-tmpfiles",
        *("--create", f"--root={tmp_path}", str(_ROOT / "etc/tmpfiles.d/migprog.conf")),
    )
    state = (tmp_path / "var/lib/migprog").stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (int(uid), int(gid), 0o750)
    found = config.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, int(gid), 0o640)
