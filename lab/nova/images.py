# SPDX-License-Identifier: Apache-2.0
"""The images and flavours of the lab: guests that dirty their memory at a chosen rate.

An image's kernel is the lab's guest with its parameters; its disk holds nothing to boot from.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.hosts import Guest
from lab.hosts.guest import WORDS_PER_PAGE, assemble
from lab.nova.cloud_client import Cloud

MIB = 2**20
# Flavours, by memory in MiB. Their disks are as large as the image.
FLAVORS = {"lab.256": 256, "lab.384": 384}


@dataclass(frozen=True, slots=True)
class Image:
    """What a server booted from it does; MiB, and MiB/s dirtied."""

    fill: int
    working_set: int
    pace: float
    disk: int = 1

    def guest(self, name: str) -> Guest:
        return Guest(
            name=name,
            memory_mib=min(FLAVORS.values()),
            fill_mib=self.fill,
            working_set_mib=self.working_set,
            segments=((1000, self.pace),),
            # As software does: it wakes seldom, and writes whole pages.
            timer_hz=20,
            words_per_page=WORDS_PER_PAGE,
        )


IMAGES = {
    "quiet": Image(fill=200, working_set=8, pace=0.5),
    # Converges within half a minute at 12 MiB/s.
    "steady": Image(fill=230, working_set=60, pace=5),
    # Never does.
    "busy": Image(fill=230, working_set=120, pace=30),
    "disk": Image(fill=200, working_set=8, pace=0.5, disk=150),
    "small": Image(fill=60, working_set=8, pace=0.5),
}


def upload(cloud: Cloud, directory: Path) -> None:
    """Register all images and flavours in Glance and Nova."""
    program = assemble(directory)
    for name, image in IMAGES.items():
        kernel = _upload(cloud, f"{name}-kernel", program + image.guest(name).parameters(), {})
        block = os.urandom(MIB) if image.disk > 1 else bytes(MIB)
        _upload(cloud, name, block * image.disk, {"kernel_id": kernel})
    for name, memory in FLAVORS.items():
        body = {"name": name, "ram": memory, "disk": 0, "vcpus": 1}
        cloud.nova("POST", "/flavors", {"flavor": body})


def _upload(cloud: Cloud, name: str, data: bytes, properties: dict[str, Any]) -> str:
    body = {"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    made: str = cloud.glance("POST", "/v2/images", body | properties)["id"]
    cloud.glance("PUT", f"/v2/images/{made}/file", data)
    return made
