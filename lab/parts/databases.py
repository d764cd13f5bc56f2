# SPDX-License-Identifier: Apache-2.0
"""A MariaDB and a PostgreSQL on free ports, which end with the process that started them."""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa

from lab.parts import processes
from migprog.tests.functional.tls import Tls

_START_SECONDS = 180.0
_SEARCH_PATH = os.pathsep.join(
    [
        *sorted(map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin")), reverse=True),
        *("/usr/sbin", "/usr/bin", os.environ.get("PATH", "")),
    ]
)


@dataclass(frozen=True)
class Server:
    """A running database server."""

    admin_url: str
    program: processes.Program
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_database(self) -> str:
        """Create an empty database; return its URL, as for ``[database] connection``."""
        name = f"migprog{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        url = sa.make_url(self.admin_url).set(database=name)
        return url.render_as_string(hide_password=False)

    def drop_database(self, name: str) -> None:
        """Drop a database and disconnect its clients, so that its name is free."""
        force = " WITH (FORCE)" if self.admin_url.startswith("postgresql") else ""
        self.execute(f"DROP DATABASE {name}{force}")

    def start_again(self) -> None:
        """Start the killed server again, and wait until it serves."""
        self.program.start()
        _wait_until_ready(self.admin_url, self.program)

    def execute(self, statement: str) -> None:
        """Run a statement as the administrator, outside of any transaction."""
        engine = sa.create_engine(self.admin_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
        engine.dispose()


@contextlib.contextmanager
def mariadb(durable: bool = False, tls: Tls | None = None) -> Iterator[Server]:
    """Run a MariaDB; only a ``durable`` one keeps, when it is killed, all that it acknowledged.
    With ``tls`` it accepts only TLS."""
    install = _find("mariadb-install-db", "mariadb-server-core")
    server = _find("mariadbd", "mariadb-server-core")
    with tempfile.TemporaryDirectory(prefix="migprog-mariadb-") as directory:
        (port,) = processes.free_ports(1)
        # Debian's package of the server's core has no user for it; alone in its folder, and on
        # the loopback only, it may be whoever runs the tests.
        ours = ["--no-defaults", f"--datadir={directory}/data", f"--user={_user_name()}"]
        # One that starts removes the temporary tables of others from a folder that they share.
        pathlib.Path(directory, "tmp").mkdir()
        ours.append(f"--tmpdir={directory}/tmp")
        _run(install, *ours, "--auth-root-authentication-method=normal", "--skip-test-db")
        command = [
            *(server, *ours, f"--port={port}", "--bind-address=127.0.0.1"),
            *(f"--socket={directory}/socket", f"--pid-file={directory}/pid"),
            *("--skip-name-resolve", f"--innodb-flush-log-at-trx-commit={int(durable)}"),
            *("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=64M"),
        ]
        url = f"mysql+pymysql://root@127.0.0.1:{port}/"
        if tls is not None:
            command += [f"--ssl-cert={tls.certificate}", f"--ssl-key={tls.key}"]
            command.append("--require-secure-transport=ON")
            url += f"?ssl_ca={tls.ca}"
        with processes.running(command, directory) as program:
            _wait_until_ready(url, program)
            yield Server(url, program)


@contextlib.contextmanager
def postgresql(tls: Tls | None = None) -> Iterator[Server]:
    """Run a PostgreSQL, which refuses to run as root; with ``tls`` it accepts only TLS."""
    initdb = _find("initdb", "postgresql-15")
    server = _find("postgres", "postgresql-15")
    with tempfile.TemporaryDirectory(prefix="migprog-postgresql-") as directory:
        as_user = []
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
            # The wish to die with the parent does not outlast a change of user.
            as_user = [_find("setpriv", "util-linux"), "--reuid=postgres", "--regid=postgres"]
            as_user += ["--clear-groups", "--pdeathsig=KILL"]
        data = f"{directory}/data"
        options = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]
        _run(*as_user, initdb, *options, data)
        (port,) = processes.free_ports(1)
        command = [*as_user, server, "-D", data, "-h", "127.0.0.1", "-p", str(port), "-F"]
        command += ["-c", f"unix_socket_directories={directory}"]
        url = f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
        if tls is not None:
            # It must be the key's owner.
            key = shutil.copy(tls.key, f"{directory}/key.pem")
            pathlib.Path(key).chmod(0o600)
            shutil.chown(key, *(("postgres", "postgres") if as_user else (_user_name(),)))
            command += ["-c", "ssl=on", "-c", f"ssl_cert_file={tls.certificate}"]
            command += ["-c", f"ssl_key_file={key}"]
            hba = pathlib.Path(data, "pg_hba.conf")
            hba.write_text("hostssl all all 127.0.0.1/32 trust\n")
            url += f"?sslmode=verify-full&sslrootcert={tls.ca}"
        with processes.running(command, directory) as program:
            _wait_until_ready(url, program)
            yield Server(url, program)
            # What SIGTERM asks for would wait for its clients.
            program.process.send_signal(signal.SIGINT)


RUN: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
    "mariadb": mariadb,
    "postgresql": postgresql,
}


def _user_name() -> str:
    return "root" if os.geteuid() == 0 else pathlib.Path.home().owner()


def _find(program: str, package: str) -> str:
    path = shutil.which(program, path=_SEARCH_PATH)
    if path is None:
        raise RuntimeError(f"{program} is missing: install the package {package}")
    return path


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{command!r} failed:\n{done.stdout}{done.stderr}")


def _wait_until_ready(url: str, program: processes.Program) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)

    def answers() -> bool:
        program.check()
        with contextlib.suppress(sa.exc.OperationalError), engine.connect():
            return True
        return False

    processes.wait_for(answers, _START_SECONDS, "the database to answer")
