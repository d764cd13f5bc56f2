# SPDX-License-Identifier: Apache-2.0
"""A service together with the metrics of its process, where those are configured."""

from oslo_config import cfg

from migprog import httpd, metrics, service
from migprog.conf.listen import Address

# Prometheus asks now and then; a client that sends nothing holds one of them for some seconds.
_THREADS = 4


class WithMetrics:
    """Serves metrics at ``address`` (None: nowhere), which ``option`` says, as long as a service
    runs: from before its start, as that may wait, to after its stop."""

    def __init__(self, of: service.Service, address: Address | None, option: str) -> None:
        self._service = of
        self._server = None
        if address is not None:
            self._server = httpd.Server(metrics.application, *address, _THREADS, option)

    def start(self) -> None:
        if self._server is not None:
            self._server.start()
        self._service.start()

    def stop(self) -> None:
        self._service.stop()
        if self._server is not None:
            self._server.stop()

    def reload(self, conf: cfg.ConfigOpts) -> None:
        self._service.reload(conf)
