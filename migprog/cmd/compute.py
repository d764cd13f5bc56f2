# SPDX-License-Identifier: Apache-2.0
"""``migprog-compute``: the agent of one hypervisor."""

from migprog import concurrency
from migprog.cmd import extras

concurrency.choose()
extras.require("migprog-compute", "libvirt", "libvirt")

from typing import NoReturn  # noqa: E402

from oslo_config import cfg  # noqa: E402

from migprog import service  # noqa: E402


def main() -> NoReturn:
    service.main(
        "migprog-compute",
        "Watch the live migrations of this hypervisor's libvirt, and report them to "
        "migprog-conductor. Run one on each hypervisor.",
        _service,
    )


def _service(config: cfg.ConfigOpts) -> service.Service:
    # Not at the top: --help, --version and a wrong option need none of it.
    from migprog.cmd.with_metrics import WithMetrics
    from migprog.compute.service import ComputeService
    from migprog.conf.bind import metrics_address

    return WithMetrics(
        ComputeService(config, service.fail),
        metrics_address(config.compute),
        "[compute] metrics_bind_port",
    )
