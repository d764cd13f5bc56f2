# SPDX-License-Identifier: Apache-2.0
"""Records get Nova's ids and requesters, also after Nova was away."""

from lab.nova.case_run import CaseRun
from lab.nova.cloud_client import wait_for
from lab.nova.operations import Server

# What moves in more than the first delays between two questions for an id; a busy guest never
# completes.
_AWAY_MIB = 120.0
# The longest delay between two questions, and time for an answer.
_ID_SECONDS = 45.0


def nova_away(case_run: CaseRun) -> None:
    """nova-api is away when the record appears, and back before the migration has ended."""
    server = case_run.boot("busy")
    case_run.expect(server)
    case_run.operations.live_migrate(server)
    with case_run.operations.without_nova_api():
        case_run.operations.wait_until_moving(server, "host-a", mib=_AWAY_MIB)
        record = case_run.operations.wait_for_record(
            server, lambda each: each["percent"] is not None
        )
        case_run.require(
            record["nova_id"] is None, f"Nova's id is {record['nova_id']} before Nova answered"
        )
    record = case_run.operations.wait_for_record(server, lambda each: each["nova_id"], _ID_SECONDS)
    case_run.require(record["in_progress"], f"{record['status']} before it had Nova's id")
    case_run.operations.abort(server)
    case_run.operations.wait_until_idle(server)
    _require_initiator(case_run, server)


def nova_away_throughout(case_run: CaseRun) -> None:
    """nova-api is away from before the record appears until after the migration has ended."""
    server = case_run.boot("quiet")
    case_run.expect(server)
    case_run.operations.live_migrate(server)
    with case_run.operations.without_nova_api():
        wait_for("the data", lambda: case_run.operations.job(server, "host-a"), 60)
        record = case_run.operations.wait_for_record(
            server, lambda each: not each["in_progress"], 120
        )
        case_run.require(record["status"] == "completed", f"the record is {record['status']}")
        case_run.require(
            record["nova_id"] is None, f"Nova's id is {record['nova_id']} before Nova answered"
        )
    case_run.operations.wait_for_record(server, lambda each: each["nova_id"], _ID_SECONDS)
    case_run.operations.wait_until_idle(server)
    _require_initiator(case_run, server)


def _require_initiator(case_run: CaseRun, server: Server) -> None:
    """The record's owner is the tenant; the user and the project that asked for the migration are
    admin's, and by them it is found where Nova's is."""
    record = case_run.operations.wait_for_record(server, lambda each: each["nova_id"])
    (row,) = case_run.operations.rows(server)
    initiator = (row["user_id"], row["project_id"])
    ours = (record["nova_user_id"], record["nova_project_id"])
    owner = (record["user_id"], record["project_id"])
    case_run.require(ours == initiator, f"the initiator is {ours}, in Nova {initiator}")
    case_run.require(owner != initiator, f"the owner is the initiator, {owner}")
    for number, name in enumerate(("user_id", "project_id")):
        for value, found in ((initiator[number], [row["uuid"]]), (owner[number], [])):
            path = f"/os-migrations?instance_uuid={server.uuid}&{name}={value}"
            nova = case_run.operations.cloud.nova("GET", path)["migrations"]
            listed = case_run.operations.cloud.migprog(f"/v2.1{path}")["migrations"]
            uuids = [[each["uuid"] for each in each_list] for each_list in (nova, listed)]
            case_run.require(uuids == [found, found], f"by {name}: {uuids}, not twice {found}")
