# SPDX-License-Identifier: Apache-2.0
"""A process with some of the idle hosts, which only send heartbeats:
``python -m migprog.loadtest.idle``.

The heartbeats are made and sent by the agent's own sender; one loop runs all hosts, instead of a
thread for each. The process writes ``{"ready": true}``, reads its :class:`plan.IdleShare` as one
line, connects its hosts, and writes ``{"idle": N}``. Each further line ``count`` has it write what
it has counted, until a line ``end``.
"""

from migprog import concurrency

concurrency.choose()

import gc  # noqa: E402
import heapq  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

from migprog import conf, rpc  # noqa: E402
from migprog.compute.reporting.outbox import Outbox  # noqa: E402
from migprog.compute.reporting.sender import Address, Enabled, HostStats, Sender  # noqa: E402
from migprog.core.messages import Batch  # noqa: E402
from migprog.core.schedule import Rules  # noqa: E402
from migprog.loadtest.child import put_line  # noqa: E402
from migprog.loadtest.plan import IdleShare, Load  # noqa: E402
from migprog.rpc import compute  # noqa: E402
from migprog.rpc.conductor import ConductorAPI  # noqa: E402

# What Nova runs on a host, in number and bytes: it changes the size of the message.
_STATS = HostStats(0, servers=24, servers_memory_bytes=192 * 2**30)
_KEY = "0123456789abcdef" * 4
_AGAIN_SECONDS = 1.0
# For one measurement.
_MAX_LATE_BEATS = 100_000


class Beats:
    """Sends the heartbeats of ``senders`` in one loop, the first ones spread over an interval."""

    def __init__(self, senders: Sequence[Sender], heartbeat_seconds: float) -> None:
        self._senders = senders
        self._apart_seconds = heartbeat_seconds / max(1, len(senders))
        self._lock = threading.Lock()
        self._sent = self._failed = 0
        self._late_seconds: list[float] = []
        self._ending = threading.Event()

    def run(self) -> None:
        """Send until :meth:`end`."""
        begin = time.monotonic()
        # In order, so it is a heap.
        schedule = [(begin + n * self._apart_seconds, n) for n in range(len(self._senders))]
        while not self._ending.is_set():
            due, number = schedule[0]
            now = time.monotonic()
            if now < due:
                self._ending.wait(due - now)
                continue
            sender = self._senders[number]
            is_sent = sender.send()
            self._count(is_sent, now - due)
            after_seconds = sender.beats_in(now) if is_sent else _AGAIN_SECONDS
            heapq.heapreplace(schedule, (now + after_seconds, number))

    def end(self) -> None:
        self._ending.set()

    def counted(self) -> dict[str, Any]:
        """Return the heartbeats sent and failed since the start, and how late each of those since
        the last call was, in seconds."""
        with self._lock:
            late, self._late_seconds = self._late_seconds, []
            return {"sent": self._sent, "failed": self._failed, "late": late}

    def _count(self, is_sent: bool, late_seconds: float) -> None:
        with self._lock:
            self._sent += is_sent
            self._failed += not is_sent
            if len(self._late_seconds) < _MAX_LATE_BEATS:
                self._late_seconds.append(round(late_seconds, 4))


class Hosts:
    """The idle hosts of one share, with the connections that it asks for."""

    def __init__(self, share: IdleShare) -> None:
        words = [word for path in share.config_files for word in ("--config-file", path)]
        self._config = conf.load(words, "migprog-loadtest")
        self._load = share.load
        self._shared = None if share.load.idle_connections else self._conductor(self._transport())
        # Those that take requests; kept, or they would be collected.
        self._servers: list[Any] = []
        self.senders = [self._connected(name) for name in share.host_names]

    def _connected(self, name: str) -> Sender:
        load, conductor = self._load, self._shared
        transport = None
        if conductor is None:
            transport = self._transport()
            conductor = self._conductor(transport)
        sender = make_sender(name, conductor, load)
        if load.idle_connections >= 2:
            conductor.report(Batch(host=name, node=name).to_wire(), acknowledged=True)
        if load.idle_connections >= 3:
            server = rpc.server(transport, compute.TOPIC, name, [object()])
            server.start()
            self._servers.append(server)
            sender.set_enabled(Enabled(actions=True))
        return sender

    def _transport(self) -> Any:
        return rpc.transport(self._config)

    def _conductor(self, transport: Any) -> ConductorAPI:
        return ConductorAPI(transport, self._config.compute.rpc_timeout)


def make_sender(name: str, conductor: ConductorAPI, load: Load) -> Sender:
    """Return the sender of an idle host."""
    rules = Rules(load.interval_seconds, load.heartbeat_seconds)
    sender = Sender(Outbox(), conductor, Address(name, name, None), rules)
    sender.host_stats, sender.key = _STATS, _KEY
    return sender


def _raise_open_files() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    _raise_open_files()
    put_line(ready=True)
    share = IdleShare.from_json(sys.stdin.readline())
    hosts = Hosts(share)
    beats = Beats(hosts.senders, share.load.heartbeat_seconds)
    # As an agent does (migprog/service.py): what stays is not searched for garbage.
    gc.freeze()
    put_line(idle=len(hosts.senders))
    threading.Thread(target=beats.run, name="idle hosts", daemon=True).start()
    for line in sys.stdin:
        if line.strip() != "count":
            break
        put_line(beats=beats.counted())
    beats.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
