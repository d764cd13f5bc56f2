# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ on free ports, which ends with the process that started it."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lab.parts import processes
from migprog.tests.functional.tls import Tls

# Debian's /usr/sbin/rabbitmq-server changes to the rabbitmq user and its own folders.
_SERVER = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_SECONDS = 180.0


@dataclass(frozen=True)
class Broker:
    """A running RabbitMQ: its transport URL, and the environment for rabbitmqctl."""

    url: str
    environment: Mapping[str, str]
    port: int
    program: processes.Program

    def control(self, *command: str) -> None:
        """Run a command of rabbitmqctl, such as stop_app, which stops serving."""
        subprocess.run(
            ["rabbitmqctl", *command], env=self.environment, check=True, capture_output=True
        )

    def start_again(self) -> None:
        """Start the killed RabbitMQ again, and wait until it serves."""
        self.program.start()
        processes.wait_for_port(self.port, _START_SECONDS, self.program)


# TLS only, and only clients with a certificate of the same authority.
_TLS = """
listeners.tcp = none
listeners.ssl.default = 127.0.0.1:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""


@contextlib.contextmanager
def rabbitmq(tls: Tls | None = None) -> Iterator[Broker]:
    """Run a RabbitMQ; with ``tls`` it accepts only TLS."""
    if not _SERVER.exists():
        raise RuntimeError(f"{_SERVER} is missing: install the package rabbitmq-server")
    with tempfile.TemporaryDirectory(prefix="migprog-rabbitmq-") as directory:
        port, distribution_port, epmd_port = processes.free_ports(3)
        environment = os.environ | {
            # Debian's rabbitmqctl changes to that user and its folders as well.
            "PATH": f"{_SERVER.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": directory,
            "RABBITMQ_NODENAME": f"migprog-{port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
            "RABBITMQ_LOG_BASE": f"{directory}/log",
            "RABBITMQ_CONF_ENV_FILE": f"{directory}/none",
            "RABBITMQ_CONFIG_FILE": f"{directory}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
            # A port mapper of its own, in this process group: Erlang's usual one would stay.
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        if tls is None:
            # These add a listener to those of the file.
            environment |= {
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(port),
            }
        else:
            text = _TLS.format(port=port, **dataclasses.asdict(tls))
            pathlib.Path(directory, "rabbitmq.conf").write_text(text)
        with (
            processes.running(["epmd", "-port", str(epmd_port)], directory, environment),
            processes.running([str(_SERVER)], directory, environment) as server,
        ):
            processes.wait_for_port(port, _START_SECONDS, server)
            try:
                yield Broker(f"rabbit://guest:guest@127.0.0.1:{port}/", environment, port, server)
            finally:
                # An orderly shutdown is not needed, and takes seconds.
                server.kill()
