# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.compute.libvirt.callbacks import qemu_migration_status


@pytest.mark.parametrize(
    ("details", "status"),
    [
        ('{"status":"active"}', "active"),
        ("{}", None),
        ("[]", None),
        ("no", None),
        (None, None),
        ('{"status":{}}', None),
    ],
)
def test_qemus_word(details, status):
    assert qemu_migration_status(details) == status
