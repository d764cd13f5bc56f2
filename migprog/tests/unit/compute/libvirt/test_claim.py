# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import uuid

import pytest

from migprog.compute.libvirt.claim import Claim, identity

HOST = "<capabilities><host><uuid>6f0c8a52-2d1e-4f37-9c07-4b6a4d0c7b11</uuid></host></capabilities>"
OTHER = HOST.replace("6f0c", "7f0c")


def test_two_uris_of_one_libvirt_are_one_hypervisor():
    plain = identity("qemu:///system", "QEMU", HOST)
    assert identity("qemu+unix:///system?socket=/run/libvirt/libvirt-sock", "QEMU", HOST) == plain
    assert identity("qemu+tls://node.example/system", "QEMU", HOST) == plain


@pytest.mark.parametrize(
    ("uri", "driver", "capabilities"),
    [
        ("qemu:///system", "QEMU", OTHER),
        ("qemu:///session", "QEMU", HOST),
        ("ch:///system", "CH", HOST),
        # That does not say which host it is.
        ("qemu:///system", "QEMU", "<capabilities/>"),
        ("qemu:///system", "QEMU", ""),
    ],
)
def test_another_host_driver_or_user_is_another_hypervisor(uri, driver, capabilities):
    assert identity(uri, driver, capabilities) != identity("qemu:///system", "QEMU", HOST)


def test_libvirt_without_a_host_uuid_is_claimed_by_its_uri():
    assert identity("test:///a", "Test", "") != identity("test:///b", "Test", "")


def test_claim_has_one_holder_until_it_is_released():
    name = str(uuid.uuid4())
    first, second = Claim(), Claim()
    assert first.take(name) is None
    assert first.take(name) is None
    assert second.take(name) == f"process {os.getpid()} of user {os.getuid()}"
    assert second.take(name + "2") is None
    second.release()
    first.release()
    assert second.take(name) is None
    second.release()


HOLDER = """
import sys
from migprog.compute.libvirt.claim import Claim
claim = Claim()
print(claim.take(sys.argv[1]), flush=True)
sys.stdin.read()
"""


def test_a_claim_ends_with_its_process_however_that_ends():
    name = str(uuid.uuid4())
    command = [sys.executable, "-W", "ignore", "-c", HOLDER, name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "None\n"
        claim = Claim()
        assert claim.take(name) == f"process {holder.pid} of user {os.getuid()}"
        holder.kill()
        holder.wait()
    assert claim.take(name) is None
    claim.release()
