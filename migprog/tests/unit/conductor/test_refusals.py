# SPDX-License-Identifier: Apache-2.0
"""What conductors refuse, in the log and counted."""

import logging

from migprog.conductor.refusals import Refusals
from migprog.metrics import REGISTRY

_NAME = "migprog_entries_refused_total"


def test_refusals_logs_a_line_a_host_and_counts_each_entry(caplog):
    caplog.set_level(logging.WARNING)
    before = REGISTRY.get_sample_value(_NAME)
    refusals = Refusals()
    refused = {f"reports[{number}]": f"uuid: 'x\n{number}' must be a UUID" for number in range(500)}
    for _ in range(20):
        refusals.note("evil\x1b[31m" + "e" * 10_000, refused)
    refusals.note("good", {})
    refusals.note(None, {"batch": "must be an object"})
    evil, unknown = caplog.messages
    assert "refused 500 of the entries" in evil and "reports[0]" in evil
    assert "\n" not in evil and "\x1b" not in evil and len(evil) < 1000
    assert "'unknown'" in unknown
    assert REGISTRY.get_sample_value(_NAME) == before + 20 * 500 + 1
