# SPDX-License-Identifier: Apache-2.0
"""The tables of all OpenStack services, made once and then kept as a dump in the cache."""

from pathlib import Path

import sqlalchemy as sa

from lab.nova import environments, service_config
from lab.nova.progress_lines import step
from lab.nova.service_config import Places
from lab.nova.subprocesses import run
from lab.parts import databases

# Nova fills these in from its own configuration, whatever the ports of a lab are.
_CELL_BROKER = "{scheme}://{username}:{password}@{hostname}:{port}/{path}"
_CELL_DATABASE = "{scheme}://{username}@{hostname}:{port}/%s?{query}"


def prepare(server: databases.Server, places: Places, cache: Path) -> None:
    """Create all databases with their tables, from the dump if there is one."""
    for name in service_config.DATABASES:
        server.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    pins = environments.fingerprint(environments.REQUIREMENTS, environments.CONSTRAINTS)
    dump = cache / f"schema-{pins}.sql"
    if dump.exists():
        with step("loading the tables of all services"):
            run(["mariadb", *_client(places)], text=dump.read_text())
        return
    with step(
        "making the tables of all services, about two minutes; the next time they are loaded"
    ):
        for command in _commands(places):
            run(command)
    made = dump.with_suffix(".new")
    made.write_text(
        run(["mariadb-dump", *_client(places), "--databases", *service_config.DATABASES])
    )
    made.rename(dump)


def _commands(places: Places) -> list[list[str | Path]]:
    binaries, etc = places.environment / "bin", places.directory / "etc"
    nova: list[str | Path] = [binaries / "nova-manage", "--config-file", etc / "nova/nova.conf"]
    cell0, cell1 = _CELL_DATABASE % "nova_cell0", _CELL_DATABASE % "nova"
    return [
        [*_manage(places, "placement-manage", "placement/placement.conf"), "db", "sync"],
        [*_manage(places, "glance-manage", "glance/glance-api.conf"), "db_sync"],
        [*_manage(places, "neutron-db-manage", "neutron/neutron.conf"), "upgrade", "heads"],
        [*nova, "api_db", "sync"],
        [*nova, "cell_v2", "map_cell0", "--database_connection", cell0],
        [
            *(*nova, "cell_v2", "create_cell", "--name", "cell1"),
            *("--database_connection", cell1, "--transport-url", _CELL_BROKER),
        ],
        [*nova, "db", "sync"],
    ]


def _manage(places: Places, name: str, file: str) -> list[str | Path]:
    return [places.environment / "bin" / name, "--config-file", places.directory / "etc" / file]


def _client(places: Places) -> list[str]:
    url = sa.make_url(places.database)
    return ["--no-defaults", "--host=127.0.0.1", f"--port={url.port}", f"--user={url.username}"]
