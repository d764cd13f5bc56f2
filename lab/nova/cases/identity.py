# SPDX-License-Identifier: Apache-2.0
"""Records get the ids of Nova's migrations, and who asked for them, though Nova is away."""

from lab.nova.bench import Server
from lab.nova.cloud import wait_for
from lab.nova.trial import Trial

# What moves in more than the first delays between two questions for an id; a busy guest never
# completes.
_AWAY_MIB = 120.0
# The longest delay between two questions, and time for an answer.
_ID_SECONDS = 45.0


def nova_away(trial: Trial) -> None:
    """nova-api is away when the record appears, and back before the migration has ended."""
    server = trial.boot("busy")
    trial.expect(server)
    trial.bench.live_migrate(server)
    with trial.bench.without_nova_api():
        trial.bench.wait_until_moving(server, "host-a", mib=_AWAY_MIB)
        record = trial.bench.wait_for_record(server, lambda each: each["percent"] is not None)
        trial.require(record["nova_id"] is None, f"Nova's id is {record['nova_id']} before it told")
    record = trial.bench.wait_for_record(server, lambda each: each["nova_id"], _ID_SECONDS)
    trial.require(record["in_progress"], f"{record['status']} before it had Nova's id")
    trial.bench.abort(server)
    trial.bench.wait_until_idle(server)
    _require_initiator(trial, server)


def nova_away_throughout(trial: Trial) -> None:
    """nova-api is away from before the record appears until after the migration has ended."""
    server = trial.boot("quiet")
    trial.expect(server)
    trial.bench.live_migrate(server)
    with trial.bench.without_nova_api():
        wait_for("the data", lambda: trial.bench.job(server, "host-a"), 60)
        record = trial.bench.wait_for_record(server, lambda each: not each["in_progress"], 120)
        trial.require(record["status"] == "completed", f"the record is {record['status']}")
        trial.require(record["nova_id"] is None, f"Nova's id is {record['nova_id']} before it told")
    trial.bench.wait_for_record(server, lambda each: each["nova_id"], _ID_SECONDS)
    trial.bench.wait_until_idle(server)
    _require_initiator(trial, server)


def _require_initiator(trial: Trial, server: Server) -> None:
    """The record's owner is the tenant; the user and the project that asked for the migration are
    admin's, and by them it is found where Nova's is."""
    record = trial.bench.wait_for_record(server, lambda each: each["nova_id"])
    (row,) = trial.bench.rows(server)
    initiator = (row["user_id"], row["project_id"])
    ours = (record["nova_user_id"], record["nova_project_id"])
    owner = (record["user_id"], record["project_id"])
    trial.require(ours == initiator, f"the initiator is {ours}, in Nova {initiator}")
    trial.require(owner != initiator, f"the owner is the initiator, {owner}")
    for number, name in enumerate(("user_id", "project_id")):
        for value, found in ((initiator[number], [row["uuid"]]), (owner[number], [])):
            path = f"/os-migrations?instance_uuid={server.uuid}&{name}={value}"
            nova = trial.bench.cloud.nova("GET", path)["migrations"]
            listed = trial.bench.cloud.migprog(f"/v2.1{path}")["migrations"]
            uuids = [[each["uuid"] for each in each_list] for each_list in (nova, listed)]
            trial.require(uuids == [found, found], f"by {name}: {uuids}, not twice {found}")
