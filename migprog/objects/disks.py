# SPDX-License-Identifier: Apache-2.0
"""The copies of a server's disks in one column: a JSON list of lists."""

import json

from migprog.core.messages import DiskFigures


def to_store(disks: tuple[DiskFigures, ...] | None) -> str | None:
    return None if disks is None else json.dumps(disks, separators=(",", ":"))


def from_store(text: str | None) -> tuple[DiskFigures, ...] | None:
    if text is None:
        return None
    return tuple((name, total, processed) for name, total, processed in json.loads(text))
