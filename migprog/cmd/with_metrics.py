# SPDX-License-Identifier: Apache-2.0
"""A service together with the metrics of its process, if configured."""

from oslo_config import cfg

from migprog import httpd, metrics, service, systemd
from migprog.conf.bind import Address

# Scrapes are rare; a silent client occupies a connection for some seconds.
_THREADS = 4


class WithMetrics:
    """Serves metrics at ``address``, the value of ``option`` (None: nowhere), while a service runs.

    It listens before the service starts, which may take long, until after it has stopped.
    """

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

    def status(self) -> systemd.Status:
        return self._service.status()
