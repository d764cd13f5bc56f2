# SPDX-License-Identifier: Apache-2.0
"""The host's sender and its thread. They begin once libvirt has said what the host is called."""

import threading
from collections.abc import Callable, Mapping

from migprog.compute.reporting.outbox import Outbox
from migprog.compute.reporting.sender import Address, HostStats, Sender
from migprog.core.forecast.expectation import Expectation
from migprog.core.schedule import Rules
from migprog.metrics import agent as metrics
from migprog.rpc.conductor import ConductorAPI

_STOP_SECONDS = 5.0
_CUT_OFF_SECONDS = 0.5


class SenderThread:
    """``key`` and ``rules`` are the sender's, before it begins and after. For the arguments see
    :class:`Sender`. Used by the agent's loop alone, and stopped once that has ended."""

    def __init__(
        self,
        outbox: Outbox,
        conductor: ConductorAPI,
        rules: Rules,
        key: str | None,
        on_destinations: Callable[[Mapping[str, str]], None],
        on_expected: Callable[[Mapping[str, Expectation]], None] = lambda found: None,
    ) -> None:
        self._outbox = outbox
        self._conductor = conductor
        self._rules = rules
        self._key = key
        self._on_destinations = on_destinations
        self._on_expected = on_expected
        self._sender: Sender | None = None
        self._thread: threading.Thread | None = None
        self._node = ""

    @property
    def has_begun(self) -> bool:
        return self._sender is not None

    @property
    def key(self) -> str | None:
        return self._key

    def use_key(self, key: str) -> None:
        self._key = key
        if self._sender is not None:
            self._sender.key = key

    def use_rules(self, rules: Rules) -> None:
        self._rules = rules
        if self._sender is not None:
            self._sender.rules = rules
            metrics.interval(self._node, self._sender.flow_control.interval_seconds)

    @property
    def rules_in_force(self) -> Rules:
        """The rules with the interval that the conductors bear."""
        if self._sender is None:
            return self._rules
        return self._sender.flow_control.rules(self._rules)

    def begin(self, address: Address, loop_age_seconds: Callable[[], float | None]) -> Sender:
        """Start to send as the host of ``address``, unless it has begun; return the sender."""
        if self._sender is not None:
            return self._sender
        sender = Sender(
            *(self._outbox, self._conductor, address, self._rules),
            on_destinations=self._on_destinations,
            loop_age_seconds=loop_age_seconds,
            on_expected=self._on_expected,
        )
        sender.key = self._key
        name = f"sender {address.node}"
        thread = threading.Thread(target=sender.run, name=name, daemon=True)
        thread.start()
        self._sender, self._thread, self._node = sender, thread, address.node
        metrics.interval(address.node, self._rules.report_interval_seconds)
        return sender

    def tell(self, host_stats: HostStats) -> None:
        """Send this with the next heartbeat."""
        if self._sender is not None:
            self._sender.host_stats = host_stats

    def stop(self, *, cut_off: bool) -> None:
        """End, and try once more to send what was not sent yet; not if the conductors are
        ``cut_off``."""
        if self._sender is None or self._thread is None:
            return
        self._sender.stop()
        self._thread.join(_CUT_OFF_SECONDS if cut_off else _STOP_SECONDS)
        if not (cut_off or self._thread.is_alive() or self._outbox.empty):
            self._sender.send()
