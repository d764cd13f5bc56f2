# SPDX-License-Identifier: Apache-2.0
"""Progress in the naive shape, as Nova has it: a remote call that waits for its answer for each
migration and interval, an ORM object loaded, changed and saved for each.

It makes less of it than Nova does: one call, where Nova's objects make two, one transaction, no
versioned objects. ``path.py`` runs it as processes:

    python benchmarks/naive.py conductor CONFIG_FILE
    python benchmarks/naive.py agent CONFIG_FILE MIGRATIONS INTERVAL
"""

from migprog import concurrency

concurrency.choose()

import dataclasses  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
import uuid  # noqa: E402
from typing import Any  # noqa: E402

import futurist  # noqa: E402
import oslo_messaging  # noqa: E402
from oslo_messaging._drivers import amqpdriver  # noqa: E402
from sqlalchemy import orm, select  # noqa: E402

from migprog import conf, context, objects, rpc  # noqa: E402
from migprog.core.forecast.verdict import Verdict  # noqa: E402
from migprog.core.forecast.verdict_reason import VerdictReason  # noqa: E402
from migprog.core.instant import to_store  # noqa: E402
from migprog.core.messages import Report  # noqa: E402
from migprog.core.status import Phase, Status  # noqa: E402
from migprog.db import models  # noqa: E402

TOPIC = "naive-conductor"
_INSTANTS = {"started_at", "sampled_at", "ended_at"}
# The library as it comes, as everybody else has it.
amqpdriver.ACK_REQUEUE_EVERY_SECONDS_MIN = rpc.LIBRARY_POLL_SECONDS


class Conductor:
    """One migration and its server, found, changed and saved."""

    target = oslo_messaging.Target(version="1.0")

    def __init__(self, store: objects.Store) -> None:
        self._engine = store.engine
        self.saved = 0

    def save(self, ctxt: Any, host: str, report: dict[str, Any]) -> dict[str, Any]:
        now = to_store(time.time())
        values = {
            name: to_store(value) if name in _INSTANTS else value for name, value in report.items()
        }
        with orm.Session(self._engine) as session:
            migration = session.scalar(
                select(models.Migration).where(models.Migration.uuid == report["uuid"])
            )
            if migration is None:
                migration = models.Migration(source_compute=host, source_node=host, created_at=now)
                session.add(migration)
            for name, value in values.items():
                setattr(migration, name, value)
            migration.last_reported_at = migration.updated_at = now
            server = session.get(models.Server, report["server_uuid"])
            if server is None:
                server = models.Server(uuid=report["server_uuid"], created_at=now)
                session.add(server)
            server.name, server.host = report["server_name"], host
            server.project_id, server.user_id = report["project_id"], report["user_id"]
            server.progress, server.sampled_at = report["percent"], values["sampled_at"]
            server.migration_uuid = report["uuid"]
            server.migration_started_at, server.updated_at = values["started_at"], now
            session.commit()
        self.saved += 1
        return {"updated_at": str(now)}

    def count(self, ctxt: Any) -> int:
        """How many were saved so far."""
        return self.saved


def _report(started_at: float, sequence: int, name: str) -> Report:
    gib = 2**30
    return Report(
        uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        server_uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        server_name=name,
        project_id="5687f19a76474e23aad7ad57bf4f9841",
        user_id="a3c341fb155b433590468220131f7103",
        sequence=sequence,
        status=Status.RUNNING,
        phase=Phase.MEMORY_ITERATIONS,
        verdict=Verdict.CONVERGING,
        verdict_reason=VerdictReason.REMAINING_MEMORY_SHRINKS,
        verdict_message="the last iterations began with 53, 51 MiB to send",
        percent=sequence % 100,
        eta_seconds=60.5,
        eta_low_seconds=40.5,
        eta_high_seconds=90.5,
        started_at=started_at,
        sampled_at=round(time.time(), 3),
        memory_total_bytes=8 * gib,
        memory_processed_bytes=sequence * 104_857_601,
        memory_remaining_bytes=8 * gib - sequence * 4097,
        memory_iteration=sequence // 5,
        throughput_bytes_per_second=104_857_601,
        dirty_bytes_per_second=52_428_801,
        iteration_start_remaining_bytes=gib,
    )


class _Agent(threading.Thread):
    """Of one migration: each interval a call, and no look at it before there is an answer."""

    def __init__(self, client: Any, name: str, interval: float, first_at: float) -> None:
        super().__init__(daemon=True)
        self._client, self._interval, self._next_at = client, interval, first_at
        self._server_name = name
        self._started_at = round(time.time(), 3)

    def run(self) -> None:
        sequence = 0
        while True:
            time.sleep(max(0.0, self._next_at - time.monotonic()))
            self._next_at = max(self._next_at + self._interval, time.monotonic())
            sequence += 1
            report = _report(self._started_at, sequence, self._server_name)
            self._client.call(
                context.for_service(),
                "save",
                host="naive",
                report={k: v for k, v in dataclasses.asdict(report).items() if v is not None},
            )


def main() -> None:
    role, config_file, *rest = sys.argv[1:]
    config = conf.load(["--config-file", config_file], "naive")
    transport = rpc.transport(config)
    if role == "conductor":
        endpoint = Conductor(objects.connect(config))
        server = rpc.server(transport, TOPIC, "naive", [endpoint])
        if not concurrency.is_green():
            # This, too, as everybody else has it.
            server._executor_cls = futurist.ThreadPoolExecutor
        server.start()
    else:
        client = rpc.client(transport, TOPIC, "1.0", 60.0)
        count, interval = int(rest[0]), float(rest[1])
        begin = time.monotonic() + 1
        for number in range(count):
            _Agent(client, f"server-{number}", interval, begin + interval * number / count).start()
    print('{"ready": true}', flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
