# SPDX-License-Identifier: Apache-2.0
"""Runs a service in the foreground of its process until it is told to stop.

Not oslo.service's launcher: under its threading backend (4.8) SIGHUP ends the worker and forks
a new one, and an agent that starts anew loses the track of what it watches. Here SIGHUP reads the
configuration again and the service goes on. More conductors or APIs are more processes.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from oslo_config import cfg

from migprog import concurrency, conf, exception, outages

LOG = logging.getLogger(__name__)
# What is just starting is let come to its end, so that it can be stopped in good order.
_START_SECONDS = 1.0
# After so long it is said what a stop waits for, and then it is given up: a party that is away can
# hold it up for ever. systemd would kill us after 90 seconds.
_SAY_SECONDS = 2.0
_STOP_SECONDS = 20.0

# Where the service that runs is told of what must stop it.
_failures: list[concurrency.Inbox] = []


class Service(Protocol):
    """What :func:`run` runs. Connections are opened in ``start``, never in a constructor."""

    def start(self) -> None:
        """Begin to serve and return. May raise :class:`exception.MigprogError`."""

    def stop(self) -> None:
        """End in good order: what is at hand is finished, connections are closed.

        It is called after a start that failed halfway, too.
        """

    def reload(self, conf: cfg.ConfigOpts) -> None:
        """Take up the mutable options of a configuration that was read again and is sound."""


def main(
    prog: str,
    make: Callable[[cfg.ConfigOpts], Service],
    cli_opts: Sequence[cfg.Opt] = (),
) -> NoReturn:
    """Run the service that ``make`` makes of the configuration, and exit.

    What stops it is told in one line: it is for the operator.
    """
    try:
        with conf.references_explained(cfg.CONF):
            config = conf.load(sys.argv[1:], prog, cli_opts=cli_opts)
            run(config, make(config))
    except exception.MigprogError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        _end(1)
    # All that matters is stopped. Libraries wait for seconds for idle threads of theirs.
    _end(0)


def fail(error: exception.MigprogError) -> None:
    """Have the process's service stopped because of ``error``, which :func:`run` then raises.

    For what is found out after the start. Any thread may call this; outside of :func:`run` it does
    nothing.
    """
    if _failures:
        _failures[-1].put(error)


def run(config: cfg.ConfigOpts, service: Service) -> None:
    """Start the service; return when SIGTERM or SIGINT came and it has stopped.

    Raises what its start raises.
    """
    if concurrency.is_green():
        LOG.info("running on eventlet: %s", concurrency.why_green())
    news = concurrency.Inbox()
    news.wake_on_signals()
    _failures.append(news)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: news.put(received))

    def start() -> None:
        try:
            service.start()
        except Exception as error:
            news.put(error)

    # A start may wait for a broker that is away; signals are heard all the same.
    starting = threading.Thread(target=start, name="start", daemon=True)
    starting.start()
    try:
        _serve(config, service, news)
    finally:
        _failures.remove(news)
        starting.join(_START_SECONDS)
        if starting.is_alive():
            LOG.warning("stopping before the start was through%s", _waiting_for())
            _end(0)
        else:
            _stop(service)


def _stop(service: Service) -> None:
    stopping = threading.Thread(target=service.stop, name="stop", daemon=True)
    stopping.start()
    stopping.join(_SAY_SECONDS)
    if stopping.is_alive():
        LOG.info(
            "still stopping, for %.0f s at most%s", _STOP_SECONDS - _SAY_SECONDS, _waiting_for()
        )
        stopping.join(_STOP_SECONDS - _SAY_SECONDS)
    if stopping.is_alive():
        LOG.warning("not everything could be stopped in good order; ending all the same")
        _end(1)


def _waiting_for() -> str:
    """What is likely to hold us up, for the end of a line."""
    parties = [str(party) for party in outages.holding_up()]
    return f"; waiting for: {', '.join(parties)}" if parties else "; work at hand is finished"


def _end(status: int) -> NoReturn:
    """End at once: the libraries' own clean-up at the exit would wait for the same thing."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


def _serve(config: cfg.ConfigOpts, service: Service, news: concurrency.Inbox) -> None:
    while True:
        for received in news.get_all(timeout_seconds=3600):
            if isinstance(received, Exception):
                raise received
            if received != signal.SIGHUP:
                LOG.info("%s: stopping", signal.Signals(received).name)
                return
            _reload(config, service)


def _reload(config: cfg.ConfigOpts, service: Service) -> None:
    try:
        config.mutate_config_files()
        conf.validate(config)
        service.reload(config)
    except (exception.ConfigError, cfg.Error, ValueError) as error:
        LOG.error("SIGHUP: the configuration is not taken up: %s", error)
    else:
        LOG.info("SIGHUP: configuration read again")
