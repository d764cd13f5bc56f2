# SPDX-License-Identifier: Apache-2.0
"""The store changes records as the transcripts say: see migprog/tests/transcripts."""

import uuid

import pytest

from migprog import objects
from migprog.tests import stores, transcripts


class Transcripts:
    @pytest.mark.parametrize("path", transcripts.FILES, ids=lambda path: path.stem)
    def test_store_changes_the_record_as_the_transcript_says(self, store, path):
        server_uuid = str(uuid.uuid4())

        def take(step):
            ack = stores.store(store, step.entry, host=step.host, last_reported_at=step.received)
            assert not ack.refused
            found = objects.Migration.list(store, server_uuid=server_uuid)
            assert len(found) < 2
            shown = {name: getattr(each, name) for each in found for name in transcripts.NAMES}
            return shown, server_uuid in ack.arrived

        assert transcripts.replay(path, str(uuid.uuid4()), server_uuid, take) == path.read_text()
