# SPDX-License-Identifier: Apache-2.0
"""Certificates of an authority of our own, for servers and clients on the loopback."""

import pathlib
from dataclasses import dataclass

import trustme


@dataclass(frozen=True, slots=True)
class Tls:
    """Files: the authority's certificate, and one of its certificates with its key."""

    ca: str
    certificate: str
    key: str


class Authority:
    """Keeps what it makes in ``directory``, where everybody may read."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o755)
        self._ca = trustme.CA()
        self.certificate = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.certificate)

    def issue(self, name: str, identity: str = "127.0.0.1") -> Tls:
        """One for an address or a host name."""
        issued = self._ca.issue_cert(identity)
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        pathlib.Path(certificate).write_bytes(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )
        issued.private_key_pem.write_to_path(key)
        return Tls(str(self.certificate), str(certificate), str(key))
