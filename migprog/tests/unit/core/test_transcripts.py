# SPDX-License-Identifier: Apache-2.0
"""The rules of merging, by transcripts: see migprog/tests/transcripts."""

import os
import pathlib
import uuid
from typing import Any

import pytest

from migprog.core import arrival_only, arrivals, merge
from migprog.core.instant import to_store
from migprog.core.messages import Arrival, Batch
from migprog.core.record import Record, values
from migprog.core.status import ENDED
from migprog.tests import transcripts


class _Rules:
    """The one record of a server, changed as the store changes it."""

    def __init__(self) -> None:
        self._record: Record | None = None

    def take(self, step: transcripts.Step) -> tuple[dict[str, Any], bool]:
        resolved = self._take(step)
        record = self._record
        return ({} if record is None else values(record, transcripts.NAMES)), resolved

    def _take(self, step: transcripts.Step) -> bool:
        now, old = to_store(step.received), self._record
        if not isinstance(step.entry, Arrival):
            late = old and arrival_only.match_late_source([old], step.entry, step.host)
            new = merge.report(None if late else old, step.entry, step.host, step.host, now)
            if late and new:
                is_end = step.entry.status in ENDED
                new = arrival_only.merge_late_source(late, new) if is_end else None
            self._record = new or old
            return False
        batch = Batch(step.host, step.host, arrivals=(step.entry,))
        old = arrivals.match([old] if old else [], step.entry, step.host)
        if old is not None:
            self._record = arrivals.merge(old, step.entry, batch, now, None) or old
            return arrivals.is_resolved(self._record, step.entry)
        if self._record is None and arrival_only.is_due(step.entry):
            self._record = arrival_only.make(step.entry, batch, None, now)
            return True
        return False


@pytest.mark.parametrize("path", transcripts.FILES, ids=lambda path: path.stem)
def test_rules_change_the_record_as_the_transcript_says(path: pathlib.Path) -> None:
    text = transcripts.replay(path, str(uuid.uuid4()), str(uuid.uuid4()), _Rules().take)
    if "MIGPROG_REWRITE_TRANSCRIPTS" in os.environ:
        path.write_text(text)
    assert text == path.read_text()
