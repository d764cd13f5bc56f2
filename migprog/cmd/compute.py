# SPDX-License-Identifier: Apache-2.0
"""``migprog-compute``: the agent of one hypervisor."""

from migprog import concurrency

concurrency.choose()

import sys  # noqa: E402

from oslo_config import cfg  # noqa: E402

from migprog import conf, exception, rpc, service  # noqa: E402
from migprog.compute.manager import ComputeManager, Settings  # noqa: E402
from migprog.conductor import rpcapi  # noqa: E402
from migprog.core import throttle  # noqa: E402


def settings(config: cfg.ConfigOpts, libvirt_uri: str | None = None) -> Settings:
    """The agent's options as values."""
    group = config.compute
    return Settings(
        libvirt_uri=libvirt_uri or group.libvirt_uri,
        host=group.host,
        my_ip=group.my_ip,
        poll_interval_seconds=group.poll_interval,
        scan_interval_seconds=group.scan_interval,
        libvirt_timeout_seconds=group.libvirt_timeout,
        rules=throttle.Rules(group.report_interval, group.heartbeat_interval),
    )


class ComputeService:
    """The agent behind ``transport_url``'s broker."""

    def __init__(self, config: cfg.ConfigOpts) -> None:
        self._config = config

    def start(self) -> None:
        self._transport = rpc.transport(self._config)
        conductor = rpcapi.ConductorAPI(self._transport, self._config.compute.rpc_timeout)
        self._manager = ComputeManager(settings(self._config), conductor)
        self._manager.start()

    def stop(self) -> None:
        self._manager.stop()
        self._transport.cleanup()

    def reload(self, config: cfg.ConfigOpts) -> None:
        self._manager.reload(settings(config))


def main() -> None:
    try:
        config = conf.load(sys.argv[1:], "migprog-compute")
        service.run(config, ComputeService(config))
    except exception.MigprogError as error:
        raise SystemExit(f"migprog-compute: {error}") from error
