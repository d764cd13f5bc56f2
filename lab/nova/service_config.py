# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the OpenStack services, as sections of options."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Sections = dict[str, dict[str, Any]]
DATABASES = ("glance", "neutron", "nova", "nova_api", "nova_cell0", "placement")


@dataclass(frozen=True)
class Places:
    """Where the parts of the lab are: URLs of the broker, the database server and Keystone, the
    password of all services, the state directory and the environment with the services in it."""

    broker: str
    database: str
    keystone: str
    password: str
    directory: Path
    environment: Path

    def connection(self, name: str) -> str:
        """Return the URL of a database, as for ``[database] connection``."""
        return f"{self.database.removesuffix('/')}/{name}?charset=utf8mb4"

    def login(self, user: str) -> dict[str, str]:
        """Return the options with which a service gets a token as ``user``."""
        return {
            "auth_type": "password",
            "auth_url": self.keystone,
            "username": user,
            "password": self.password,
            "user_domain_id": "default",
            "project_name": "service",
            "project_domain_id": "default",
        }

    def authtoken(self, user: str) -> dict[str, str]:
        """Return the section [keystone_authtoken] of the API of ``user``."""
        return self.login(user) | {"www_authenticate_uri": self.keystone}


def text(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the sections as the text of a file."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for name, options in sections.items()
    )


def write(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a configuration file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(sections))
    return path


def with_options(sections: Sections, options: Iterable[str]) -> Sections:
    """Return the sections with further options, each ``SECTION.NAME=VALUE``."""
    changed = {name: dict(values) for name, values in sections.items()}
    for option in options:
        name, separator, value = option.partition("=")
        section, dot, key = name.partition(".")
        if not (separator and dot):
            raise ValueError(f"{option!r} must be SECTION.NAME=VALUE")
        changed.setdefault(section, {})[key] = value
    return changed


def placement(places: Places) -> Sections:
    return {
        "DEFAULT": {"use_stderr": True},
        "api": {"auth_strategy": "keystone"},
        "placement_database": {"connection": places.connection("placement")},
        "keystone_authtoken": places.authtoken("placement"),
    }


def glance(places: Places) -> Sections:
    images = places.directory / "images"
    paste = places.environment / "etc/glance/glance-api-paste.ini"
    return {
        "DEFAULT": {"use_stderr": True, "enabled_backends": "local:file"},
        "database": {"connection": places.connection("glance")},
        "glance_store": {"default_backend": "local"},
        "local": {"filesystem_store_datadir": images},
        "os_glance_staging_store": {"filesystem_store_datadir": images / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": images / "tasks"},
        "keystone_authtoken": places.authtoken("glance"),
        "paste_deploy": {"flavor": "keystone", "config_file": paste},
        # A guest's kernel and a disk of random bytes are no format that Glance knows.
        "image_format": {"require_image_format_match": False, "gpt_safety_checks_nonfatal": "mbr"},
    }


def neutron(places: Places) -> Sections:
    """The API alone: no agent of Neutron's runs, and no server has a port."""
    return {
        "DEFAULT": {
            "use_stderr": True,
            "core_plugin": "ml2",
            # Without their tables in its model, Neutron lists no ports.
            "service_plugins": "router,port_forwarding",
            "transport_url": places.broker,
            "api_paste_config": places.environment / "etc/neutron/api-paste.ini",
            "state_path": places.directory / "neutron",
            "notify_nova_on_port_status_changes": False,
            "notify_nova_on_port_data_changes": False,
        },
        "ml2": {"type_drivers": "local", "tenant_network_types": "local", "mechanism_drivers": ""},
        "database": {"connection": places.connection("neutron")},
        "keystone_authtoken": places.authtoken("neutron"),
        "oslo_concurrency": {"lock_path": places.directory / "neutron/lock"},
        "placement": places.login("placement"),
    }


def nova(places: Places) -> Sections:
    """nova-api, nova-conductor and nova-scheduler."""
    return _nova(places, places.directory / "nova") | {
        "api_database": {"connection": places.connection("nova_api")},
        "database": {"connection": places.connection("nova")},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1},
        "wsgi": {"api_paste_config": places.environment / "etc/nova/api-paste.ini"},
        "oslo_policy": {"policy_file": places.directory / "etc/nova/policy.yaml"},
    }


def nova_compute(places: Places, address: str, uri: str) -> Sections:
    """A host's nova-compute; ``uri`` has ``%s`` for the name of another host, whose libvirt it
    then is."""
    state = Path("/var/lib/nova")
    sections = _nova(places, state)
    sections["DEFAULT"] |= {
        "debug": True,
        "my_ip": address,
        "compute_driver": "libvirt.LibvirtDriver",
        "max_concurrent_live_migrations": 2,
        "cpu_allocation_ratio": 32,
        "resume_guests_state_on_host_boot": False,
    }
    helper = f"{places.environment}/bin/privsep-helper --config-file /etc/nova/nova.conf"
    return sections | {
        "libvirt": {
            "virt_type": "qemu",
            "cpu_mode": "none",
            "hw_machine_type": "x86_64=pc",
            "images_type": "flat",
            "live_migration_uri": uri,
            "live_migration_bandwidth": 12,
        },
        # It is this machine at both ends.
        "workarounds": {
            "disable_deep_image_inspection": True,
            "skip_cpu_compare_on_dest": True,
            "skip_cpu_compare_at_startup": True,
            "skip_hypervisor_version_check_on_lm": True,
        },
        "nova_sys_admin": {"helper_command": helper},
        "privsep_osbrick": {"helper_command": helper},
    }


def _nova(places: Places, state: Path) -> Sections:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "transport_url": places.broker,
            "state_path": state,
            # For a machine that is busy with more than this.
            "rpc_response_timeout": 120,
            "service_down_time": 120,
            # A service that starts again is seen to be up with its next report.
            "report_interval": 2,
        },
        "api": {"auth_strategy": "keystone"},
        "keystone_authtoken": places.authtoken("nova"),
        "service_user": places.login("nova") | {"send_service_user_token": True},
        "placement": places.login("placement"),
        "neutron": places.login("nova"),
        "vnc": {"enabled": False},
        "oslo_concurrency": {"lock_path": state / "lock"},
    }
