# SPDX-License-Identifier: Apache-2.0
"""Whether a host may be restarted, by the migrations that touch it."""

import pytest

from migprog.core.may_restart import RestartReason, Safe, judge
from migprog.tests import documents


@pytest.mark.parametrize(
    ("has_agent", "is_silent", "migrations", "in_post_copy", "safe", "reason"),
    [
        (True, False, 0, 0, Safe.YES, RestartReason.NO_MIGRATION),
        (True, False, 2, 0, Safe.NO, RestartReason.MIGRATIONS),
        (True, False, 2, 1, Safe.NO, RestartReason.POST_COPY),
        (True, True, 0, 0, Safe.UNKNOWN, RestartReason.AGENT_SILENT),
        (False, False, 0, 0, Safe.UNKNOWN, RestartReason.AGENT_UNKNOWN),
        # What is known forbids it.
        (True, True, 1, 0, Safe.NO, RestartReason.MIGRATIONS),
        (False, False, 1, 1, Safe.NO, RestartReason.POST_COPY),
    ],
)
def test_restart_is_safe_only_if_it_is_known_that_no_migration_touches_the_host(
    has_agent, is_silent, migrations, in_post_copy, safe, reason
):
    found = judge(
        has_agent=has_agent,
        is_silent=is_silent,
        migrations=migrations,
        in_post_copy=in_post_copy,
    )
    assert (found.safe, found.reason) == (safe, reason)
    if migrations:
        assert found.message.startswith(f"{migrations} migration")


@pytest.mark.parametrize("reason", RestartReason)
def test_page_has_each_reason(reason):
    page = (documents.SOURCE / "api.rst").read_text()
    assert f"\n``{reason}`` " in page
