# SPDX-License-Identifier: Apache-2.0
"""What the pages tell operators to write into their configuration is there to be written."""

import pathlib
import re

import pytest
from keystoneauth1.loading import get_plugin_options

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_SAMPLE = _ROOT / "etc/migprog/migprog.conf.sample"
_OPTION = re.compile(r"#?([a-z]\w*) =")


def _options(text):
    """(section, option) of each line that sets one below the name of a section."""
    section, found = None, set()
    for line in text.splitlines():
        stripped = line.strip()
        if named := re.fullmatch(r"\[(\w+)\]", stripped):
            section = named[1]
        elif not stripped and not line.startswith("#"):
            continue
        elif option := _OPTION.match(stripped):
            found.add((section, option[1]))
        elif not stripped.startswith("#"):
            # Prose: what follows is no configuration any more.
            section = None
    return {each for each in found if each[0]}


@pytest.mark.parametrize(
    ("page", "named"),
    [
        ("operate", ("oslo_messaging_rabbit", "ssl_ca_file")),
        ("install", ("database", "connection")),
        ("beside-nova", ("nova", "auth_type")),
    ],
)
def test_its_options_are_in_the_sample(page, named):
    told = _options((_ROOT / f"doc/source/{page}.rst").read_text())
    assert named in told
    # The way to log in is a plugin of keystoneauth, whose options no sample can know.
    logging_in = {
        (section, option.dest)
        for section in ("keystone_authtoken", "nova")
        for option in get_plugin_options("password")
    }
    assert told <= _options(_SAMPLE.read_text()) | logging_in
