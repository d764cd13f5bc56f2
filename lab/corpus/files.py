# SPDX-License-Identifier: Apache-2.0
"""The recordings as files: JSON lines, compressed; a row of each, in the order of time."""

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab.corpus.drawn import FRESH, HELD, VARIED
from lab.corpus.guests_of_nova import NOVA, VCPU
from lab.corpus.half_tuned import TUNED
from lab.corpus.half_untouched import UNTOUCHED

Row = dict[str, Any]

HERE = Path(__file__).parent
HALVES = {"tuned": TUNED, "untouched": UNTOUCHED}
# All that are recorded in the lab, by folder.
DRAWN = {"varied": VARIED, "held": HELD, "fresh": FRESH}
RECORDED = HALVES | DRAWN | {"nova": NOVA, "vcpu": VCPU}
SUFFIX = ".jsonl.gz"


def path_of(name: str, folder: str) -> Path:
    """Where a recording is; `folder` is a half, or "handmade"."""
    return HERE / folder / f"{name}{SUFFIX}"


def recordings(folder: str) -> dict[str, Path]:
    """The recordings that a folder has, by name."""
    found = sorted((HERE / folder).glob(f"*{SUFFIX}"))
    return {path.name.removesuffix(SUFFIX): path for path in found}


def read(path: Path) -> list[Row]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write a recording whole or not at all; equal rows give equal files."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(gzip.compress(text.encode(), mtime=0))
    partial.replace(path)
