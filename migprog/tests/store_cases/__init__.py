# SPDX-License-Identifier: Apache-2.0
"""What every database has to do: run on SQLite as unit tests, on the others as functional ones."""

from migprog.tests.store_cases.advice import Advising
from migprog.tests.store_cases.agents import Impersonated, Living
from migprog.tests.store_cases.arrival_only import ArrivalOnly
from migprog.tests.store_cases.clocks import Timing
from migprog.tests.store_cases.history import Remembering
from migprog.tests.store_cases.host_servers import HostServers
from migprog.tests.store_cases.instants import Dating
from migprog.tests.store_cases.late_end import Late
from migprog.tests.store_cases.lists import MigrationQuery
from migprog.tests.store_cases.many_at_once import Together
from migprog.tests.store_cases.measuring import Measuring
from migprog.tests.store_cases.naming import NovaIdLookup
from migprog.tests.store_cases.newer import Newer
from migprog.tests.store_cases.notices import Noticing
from migprog.tests.store_cases.owners import Owning
from migprog.tests.store_cases.reports import Guarding, Keeping
from migprog.tests.store_cases.resolve_arrivals import ResolveArrivals
from migprog.tests.store_cases.servers import Arriving, ReportSummary
from migprog.tests.store_cases.transcripts import Transcripts
from migprog.tests.store_cases.two_agents import Doubling


class Cases(
    Keeping,
    Guarding,
    ReportSummary,
    Arriving,
    ResolveArrivals,
    ArrivalOnly,
    MigrationQuery,
    Together,
    Remembering,
    Living,
    Impersonated,
    NovaIdLookup,
    Owning,
    Timing,
    Late,
    Doubling,
    Newer,
    Dating,
    Transcripts,
    Advising,
    Noticing,
    Measuring,
    HostServers,
):
    """All of them; a subclass gives the fixtures ``store`` and ``other_store`` (the same database,
    its own connections)."""
