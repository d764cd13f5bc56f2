# SPDX-License-Identifier: Apache-2.0
"""Each number is libvirt's own."""

import libvirt
import pytest

from migprog.core import libvirt_abi

EVENTS = ("STARTED", "SUSPENDED", "RESUMED", "STOPPED")


def libvirts(name):
    """Return libvirt's number, or numbers, by our name of them."""
    if name.startswith("ERR_"):
        return getattr(libvirt, f"VIR_{name}")
    if name.startswith("OPERATION_"):
        return getattr(libvirt, f"VIR_DOMAIN_JOB_{name}")
    if name.startswith("JOB_"):
        return getattr(libvirt, f"VIR_DOMAIN_{name}")
    event, _, _detail = name.partition("_")
    assert event in EVENTS
    number = getattr(libvirt, f"VIR_DOMAIN_EVENT_{event}")
    return number if name == event else (number, getattr(libvirt, f"VIR_DOMAIN_EVENT_{name}"))


@pytest.mark.parametrize(
    "name", [name for name in vars(libvirt_abi) if name.isupper() and name != "GONE"]
)
def test_number_is_that_of_libvirt(name):
    assert getattr(libvirt_abi, name) == libvirts(name)
