# SPDX-License-Identifier: Apache-2.0
"""What the manual takes from the code: the OpenAPI document, defaults of options, commands, the
list of all files, and pictures of recorded migrations.

A default is written ``|report_interval|`` in a page: see :data:`DEFAULTS`.
"""

import json
import pathlib
import tempfile
from typing import Any

import file_list
from cliff import sphinxext
from sphinx.application import Sphinx

from migprog.api import app as api
from migprog.api import openapi
from migprog.api.nova import app as nova_api
from migprog.cli import app as cli
from migprog.cmd import replay
from migprog.conf import opts

# Group and option of each substitution; the values are in seconds.
DEFAULTS = {
    "poll_interval": ("compute", "poll_interval"),
    "report_interval": ("compute", "report_interval"),
    "heartbeat_interval": ("compute", "heartbeat_interval"),
    "stale_after": ("api", "stale_after"),
}
# Pictures in :doc:`reading`, of recordings in lab/corpus.
PICTURES = (
    "nova/nova-slow-5-of-12",
    "nova/nova-disk-150-quiet",
    "tuned/downtime-to-2500-frees-40-of-25",
    "tuned/network-stopped-at-10s",
)
_CORPUS = pathlib.Path(__file__).resolve().parents[2] / "lab/corpus"
# Of the lab; an agent learns that of its hosts.
_COMPLETION_SECONDS = "0.27"
# Below the source directory, as Sphinx reads only from there; git ignores it.
_FOLDER = "_generated"


class MigprogCommands(sphinxext.AutoprogramCliffDirective):
    """Do for the commands of ``migprog``, which are no entry points, what ``autoprogram-cliff``
    does for those of ``openstack``."""

    required_arguments = 0

    def run(self) -> Any:
        self.arguments = ["migprog"]
        return super().run()

    def _load_app(self) -> None:
        return None

    def _load_commands(self) -> dict[str, Any]:
        return dict(cli.COMMANDS)


def substitutions() -> str:
    """Return the defaults of :data:`DEFAULTS` as definitions that each page can use."""
    values = _defaults()
    return "\n".join(
        f".. |{name}| replace:: {values[place]:g} s" for name, place in DEFAULTS.items()
    )


def _defaults() -> dict[tuple[str, str], Any]:
    return {
        (group.name, option.name): option.default
        for group, options in opts.list_opts()
        if group is not None
        for option in options
    }


def _write_openapi(sphinx: Sphinx) -> None:
    """Write ``/openapi.json`` of this version, with the default of ``[api] max_limit``."""
    routes = [*api.ROUTES.items(), *nova_api.routes()]
    document = json.dumps(openapi.build(routes, _defaults()["api", "max_limit"]), indent=1)
    _write(sphinx, "openapi.json", document)


def _list_files(sphinx: Sphinx) -> None:
    _write(sphinx, "files.inc", file_list.text())


def _draw_pictures(sphinx: Sphinx) -> None:
    """Draw what ``migprog-replay --plot`` draws of :data:`PICTURES`."""
    with tempfile.TemporaryDirectory() as place:
        for name in PICTURES:
            drawn = pathlib.Path(place) / f"{name.partition('/')[2]}.svg"
            recording = str(_CORPUS / f"{name}.jsonl.gz")
            replay.main(["--plot", str(drawn), "--completion-time", _COMPLETION_SECONDS, recording])
            _write(sphinx, drawn.name, drawn.read_text())


def _write(sphinx: Sphinx, name: str, text: str) -> None:
    folder = pathlib.Path(sphinx.srcdir) / _FOLDER
    folder.mkdir(exist_ok=True)
    file = folder / name
    # An unchanged file keeps its time, so that Sphinx need not read the page again.
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def setup(sphinx: Sphinx) -> dict[str, Any]:
    sphinx.connect("builder-inited", _write_openapi)
    sphinx.connect("builder-inited", _list_files)
    sphinx.connect("builder-inited", _draw_pictures)
    sphinx.add_directive("migprog-commands", MigprogCommands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
