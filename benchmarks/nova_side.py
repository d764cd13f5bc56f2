# SPDX-License-Identifier: Apache-2.0
"""Nova's half of ``beside_nova.py``; runs in an environment with Nova 34, without migprog.

    nova_side.py make CONFIG_FILE COUNT     make migrations; print their ids
    nova_side.py save CONFIG_FILE IDS       save progress of all, each in a thread, without a pause

``save`` answers each line of its input with the number of updates so far. An update is what
nova-compute does for a migration each 5 seconds: ``save_stats``, with Nova's objects, by remote
calls to its conductor.
"""

import itertools
import json
import sys
import threading
from types import SimpleNamespace
from typing import Any

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import nova.conf  # noqa: E402
from nova import config, context, objects  # noqa: E402
from nova.compute import power_state, task_states, vm_states  # noqa: E402
from nova.network import model  # noqa: E402
from nova.objects import base  # noqa: E402
from oslo_utils import uuidutils  # noqa: E402

GIB = 2**30
# What Glance's common images have.
_IMAGE = {
    "container_format": "bare",
    "disk_format": "qcow2",
    "hw_cdrom_bus": "sata",
    "hw_disk_bus": "virtio",
    "hw_machine_type": "q35",
    "hw_rng_model": "virtio",
    "hw_video_model": "virtio",
    "hw_vif_model": "virtio",
    "min_disk": "20",
    "min_ram": "0",
    "os_type": "linux",
    "owner_specified.openstack.object": "images/debian-12",
}


def main() -> None:
    what, config_file, argument = sys.argv[1:]
    config.parse_args(["nova-side", "--config-file", config_file])
    objects.register_all()
    if what == "make":
        from nova.db.main import api

        api.configure(nova.conf.CONF)
        compute_id = _host()
        print(json.dumps([_made(number, compute_id) for number in range(int(argument))]))
    else:
        from nova import conductor
        from nova.conductor import rpcapi

        # A call that comes before it serves is lost.
        conductor.API().wait_until_ready(_context())
        base.NovaObject.indirection_api = rpcapi.ConductorAPI()
        _save(json.loads(argument))


def _context() -> Any:
    """As of a request of an operator."""
    return context.RequestContext(
        user_id=uuidutils.generate_uuid(dashed=False),
        project_id=uuidutils.generate_uuid(dashed=False),
        is_admin=True,
        roles=["admin", "member", "reader"],
        auth_token="x" * 180,
    )


def _host() -> int:
    """Make the host that all servers run on; return its id."""
    its = _context()
    service = objects.Service(its, host="source", binary="nova-compute", topic="compute")
    service.create()
    host = objects.ComputeNode(
        its,
        uuid=uuidutils.generate_uuid(),
        service_id=service.id,
        host="source",
        hypervisor_hostname="source",
        hypervisor_type="QEMU",
        hypervisor_version=8002000,
        vcpus=64,
        vcpus_used=0,
        memory_mb=262144,
        memory_mb_used=0,
        local_gb=1000,
        local_gb_used=0,
        cpu_info="{}",
    )
    host.create()
    return int(host.id)


def _made(number: int, compute_id: int) -> tuple[str, int]:
    """Make a server and its migration in the database; return their ids."""
    its = _context()
    flavor = objects.Flavor(
        its,
        id=1,
        flavorid="1",
        name="m1.medium",
        memory_mb=4096,
        vcpus=2,
        root_gb=40,
        ephemeral_gb=0,
        swap=0,
        rxtx_factor=1.0,
        vcpu_weight=0,
        disabled=False,
        is_public=True,
        extra_specs={},
        description=None,
        created_at=None,
        updated_at=None,
        deleted_at=None,
        deleted=False,
    )
    port = model.VIF(
        id=uuidutils.generate_uuid(),
        address=f"fa:16:3e:00:00:{number:02x}",
        type="ovs",
        network=model.Network(
            id=uuidutils.generate_uuid(),
            bridge="br-int",
            label="private",
            subnets=[
                model.Subnet(cidr="10.0.0.0/24", ips=[model.FixedIP(address=f"10.0.0.{number}")])
            ],
        ),
    )
    server = objects.Instance(
        its,
        uuid=uuidutils.generate_uuid(),
        display_name=f"server {number}",
        user_id=its.user_id,
        project_id=its.project_id,
        host="source",
        node="source",
        launched_on="source",
        compute_id=compute_id,
        instance_type_id=1,
        vm_state=vm_states.ACTIVE,
        task_state=task_states.MIGRATING,
        progress=0,
        power_state=power_state.RUNNING,
        memory_mb=4096,
        vcpus=2,
        root_gb=40,
        ephemeral_gb=0,
        system_metadata={f"image_{name}": value for name, value in _IMAGE.items()},
        flavor=flavor,
        old_flavor=None,
        new_flavor=None,
        pci_requests=objects.InstancePCIRequests(requests=[]),
    )
    server.create()
    cache = objects.InstanceInfoCache.get_by_instance_uuid(its, server.uuid)
    cache.network_info = model.NetworkInfo([port])
    cache.save()
    migration = objects.Migration(
        its,
        instance_uuid=server.uuid,
        source_compute="source",
        source_node="source",
        dest_compute="destination",
        dest_node="destination",
        dest_compute_id=compute_id,
        old_instance_type_id=1,
        new_instance_type_id=1,
        status="running",
        migration_type="live-migration",
        hidden=False,
    )
    migration.create()
    return server.uuid, migration.id


def _save(ids: list[tuple[str, int]]) -> None:
    from nova.virt.libvirt.migration import save_stats

    its = _context()
    saved = [0] * len(ids)
    wanted = ["system_metadata", "metadata", "info_cache", "security_groups", "numa_topology"]

    def save(place: int, server: Any, migration: Any) -> None:
        for number in itertools.count(1):
            # All figures change each time, as those of a migration with its disks.
            save_stats(server, migration, _figures(number), number % 100)
            saved[place] += 1

    for place, (uuid, number) in enumerate(ids):
        server = objects.Instance.get_by_uuid(its, uuid, expected_attrs=wanted)
        migration = objects.Migration.get_by_id(its, number)
        threading.Thread(target=save, args=(place, server, migration), daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps(sum(saved)), flush=True)


def _figures(number: int) -> SimpleNamespace:
    """What ``save_stats`` reads of libvirt's job statistics."""
    memory, disk = number * 2**20, number * 2**16
    return SimpleNamespace(
        memory_total=64 * GIB,
        memory_processed=memory,
        memory_remaining=64 * GIB - memory,
        disk_total=40 * GIB,
        disk_processed=disk,
        disk_remaining=40 * GIB - disk,
    )


if __name__ == "__main__":
    main()
