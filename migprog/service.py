# SPDX-License-Identifier: Apache-2.0
"""Run a service in the foreground of its process until it is stopped.

oslo.service's launcher is not used: under its threading backend (4.8) SIGHUP ends the worker and
forks a new one, and a restarted agent would lose track of what it watches. Here SIGHUP reads the
configuration again and the service continues. To run more conductors or APIs, run more processes.
"""

import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from oslo_config import cfg

from migprog import concurrency, conf, exception, outages, systemd

LOG = logging.getLogger(__name__)
# How long a stop waits for a start in progress, so that it can clean up after it.
_START_SECONDS = 1.0
# A stop that takes longer says what it waits for, and later gives up: an unavailable party can hold
# it up without end. systemd would send SIGKILL after 90 seconds.
_SAY_SECONDS = 2.0
_STOP_SECONDS = 20.0

# The running service's inbox for errors that must stop it.
_failures: list[concurrency.Inbox] = []


class Service(Protocol):
    """What :func:`run` runs. Open connections in ``start``, never in the constructor."""

    def start(self) -> None:
        """Start to serve and return. May raise :class:`exception.MigprogError`."""

    def stop(self) -> None:
        """Finish the work in progress, close connections and return.

        It is also called after a start that failed halfway.
        """

    def reload(self, conf: cfg.ConfigOpts) -> None:
        """Apply the mutable options of a configuration that was read again and is valid."""

    def status(self) -> systemd.Status:
        """Return what the service does, for its unit; callable at any time, and never blocks."""


def main(
    prog: str,
    description: str,
    make: Callable[[cfg.ConfigOpts], Service],
    cli_opts: Sequence[cfg.Opt] = (),
) -> NoReturn:
    """Run the service that ``make`` creates from the configuration, and exit.

    ``--help`` begins with ``description``. An error that stops the service is printed as one line.
    """
    # A watchdog ends a process that hangs with SIGABRT: this prints where each thread is.
    faulthandler.enable()
    try:
        with conf.references_explained(cfg.CONF):
            config = conf.load(sys.argv[1:], prog, cli_opts=cli_opts, description=description)
            run(config, _made(make, config))
    except exception.MigprogError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        _end(1)
    # The service is stopped. Without this, libraries wait seconds for their idle threads.
    _end(0)


def _made(make: Callable[[cfg.ConfigOpts], Service], config: cfg.ConfigOpts) -> Service:
    """Return the service. What it imports stays: to look for garbage in it takes a seventh of the
    start, and time again in each full collection."""
    gc.disable()
    try:
        return make(config)
    finally:
        gc.freeze()
        gc.enable()


def fail(error: exception.MigprogError) -> None:
    """Stop this process's service because of ``error``, which :func:`run` then raises.

    For errors after the start. Thread-safe; without a running service it does nothing.
    """
    if _failures:
        _failures[-1].put(error)


def run(config: cfg.ConfigOpts, service: Service) -> None:
    """Start the service; return after SIGTERM or SIGINT, once it has stopped.

    Raises what its start raises.
    """
    if concurrency.is_green():
        LOG.info("running on eventlet: %s", concurrency.why_green())
    notifier = systemd.Notifier()
    inbox = concurrency.Inbox()
    inbox.wake_on_signals()
    _failures.append(inbox)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: inbox.put(received))

    def start() -> None:
        try:
            service.start()
        except Exception as error:
            inbox.put(error)

    # A start may wait for an unavailable broker; signals must be handled meanwhile.
    starting = threading.Thread(target=start, name="start", daemon=True)
    starting.start()
    try:
        _serve(config, service, inbox, notifier)
    finally:
        notifier.stopping()
        _failures.remove(inbox)
        starting.join(_START_SECONDS)
        if starting.is_alive():
            LOG.warning(
                "stopped before the start was complete%s; the process ends now, nothing "
                "was served; check what it waited for",
                _waiting_for(),
            )
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
        LOG.warning(
            "stop not complete after %.0f s%s; the process ends now and drops unfinished work, "
            "except what an agent has in its state directory; check what it waited for",
            *(_STOP_SECONDS, _waiting_for()),
        )
        _end(1)


def _waiting_for() -> str:
    """Return what probably delays the stop, as the end of a log line."""
    return _parties() or "; finishing work in progress"


def _parties() -> str:
    """Return the parties that this process may be waiting for, as the end of a line."""
    parties = [str(party) for party in outages.holding_up()]
    return f"; waiting for: {', '.join(parties)}" if parties else ""


def _end(status: int) -> NoReturn:
    """End the process at once: the libraries' clean-up at exit could hang as well."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


def _serve(
    config: cfg.ConfigOpts,
    service: Service,
    inbox: concurrency.Inbox,
    notifier: systemd.Notifier,
) -> None:
    def status() -> systemd.Status:
        now = service.status()
        return systemd.Status(now.serves, f"{now.text}{_parties()}")

    while True:
        notifier.look(status)
        for received in inbox.get_all(timeout_seconds=notifier.seconds):
            if isinstance(received, Exception):
                raise received
            if received != signal.SIGHUP:
                LOG.info("%s: stopping", signal.Signals(received).name)
                return
            with notifier.reloading():
                _reload(config, service)


def _reload(config: cfg.ConfigOpts, service: Service) -> None:
    try:
        config.mutate_config_files()
        conf.validate(config)
        service.reload(config)
    except (exception.ConfigError, cfg.Error, ValueError) as error:
        LOG.error(
            "SIGHUP: the configuration is not applied: %s; the former one stays in force; correct "
            "it and send SIGHUP again",
            error,
        )
    else:
        LOG.info("SIGHUP: configuration read again, mutable options applied")
