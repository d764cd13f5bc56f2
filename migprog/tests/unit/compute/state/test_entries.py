# SPDX-License-Identifier: Apache-2.0
import dataclasses

from migprog.compute.state.directory import MAX_BYTES
from migprog.compute.state.entries import decode, encode
from migprog.core.advice_entry import MAX_ADVICE
from migprog.core.fields import MAX_DISKS, MAX_FIGURES, MAX_WORD
from migprog.core.status import Phase, Status
from migprog.tests.unit.core.test_checkpoint import KEPT
from migprog.tests.unit.core.test_messages import ADVICE, REPORT


def test_the_largest_entry_fits():
    text = "🐎" * 255
    end = dataclasses.replace(REPORT, status=Status.COMPLETED, phase=Phase.DONE, ended_at=9.0)
    largest = dataclasses.replace(end, server_name=text, project_id=text, user_id=text)
    largest = dataclasses.replace(largest, verdict_message=text, error=text)
    # Steering's texts are its own, in ASCII.
    long = dict.fromkeys(("action", "reason", "state"), "x" * MAX_WORD)
    figures = {f"{number:>032}": 1 / 3e300 for number in range(MAX_FIGURES)}
    advice = ADVICE | long | {"message": "x" * 255, "figures": figures, "works_by": 1e9 / 7}
    largest = dataclasses.replace(
        largest, advice=(advice,) * MAX_ADVICE, disks=(("x" * MAX_WORD, 2**62, 2**62),) * MAX_DISKS
    )
    assert len(encode(largest)) < MAX_BYTES
    assert decode(encode(largest)) == largest


def test_fields_of_a_later_version_are_ignored():
    data = encode(KEPT).replace(b'"fields": ["uuid"', b'"fields": ["uuid", "more"')
    data = data.replace(f'[["{KEPT.uuid}"'.encode(), f'[["{KEPT.uuid}", 7'.encode())
    assert decode(data) == KEPT
