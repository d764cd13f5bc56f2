# SPDX-License-Identifier: Apache-2.0
"""A real nginx and HAProxy with the files that we give to operators; their addresses alone, and
where the certificate is, are of the test."""

import contextlib
import pathlib
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from lab.parts import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("nginx", "haproxy")

# What Debian's own file has around ours; the folders, which are root's there, are the test's.
_NGINX = """
daemon off;
{user}
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    include {file};
}}
"""


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate and its key; ``pem`` has both, in HAProxy's way."""

    key: pathlib.Path
    certificate: pathlib.Path
    pem: pathlib.Path

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


def certificate(directory: pathlib.Path) -> Certificate:
    """Make a self-signed certificate of 127.0.0.1 in ``directory``."""
    made = Certificate(*(directory / f"cloud.{end}" for end in ("key", "crt", "pem")))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=cloud"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(made.key), "-out", str(made.certificate)),
        ],
        check=True,
        capture_output=True,
    )
    made.pem.write_text(made.certificate.read_text() + made.key.read_text())
    return made


@dataclass(frozen=True)
class Proxy:
    """The ports at which the proxy answers for Nova and for migprog's API."""

    name: str
    nova_port: int
    migprog_port: int


@contextlib.contextmanager
def running(
    name: str,
    directory: pathlib.Path,
    nova_port: int,
    migprog_port: int,
    tls: Certificate,
    *,
    acting: bool = False,
) -> Iterator[Proxy]:
    """``acting``: with the lines for where migprog may act."""
    proxy = Proxy(name, *processes.free_ports(2))
    command = configure(proxy, directory, nova_port, migprog_port, tls, acting=acting)
    with processes.running(command, directory) as program:
        processes.wait_for_port(proxy.nova_port, 20, program)
        yield proxy
        program.check()


def configure(
    proxy: Proxy,
    directory: pathlib.Path,
    nova_port: int,
    migprog_port: int,
    tls: Certificate,
    *,
    acting: bool = False,
    root: pathlib.Path = ROOT,
) -> list[str]:
    """Write a proxy's configuration, from the file of the checkout in ``root``; the command that
    runs it."""
    places = {
        "192.0.2.11:8774": f"127.0.0.1:{nova_port}",
        "192.0.2.12:8790": f"127.0.0.1:{migprog_port}",
        "listen 8774": f"listen 127.0.0.1:{proxy.nova_port}",
        "listen 8790": f"listen 127.0.0.1:{proxy.migprog_port}",
        "bind :8774": f"bind 127.0.0.1:{proxy.nova_port}",
        "bind :8790": f"bind 127.0.0.1:{proxy.migprog_port}",
        "/etc/nginx/tls/cloud.pem": str(tls.certificate),
        "/etc/nginx/tls/cloud.key": str(tls.key),
        "/etc/haproxy/tls/cloud.pem": str(tls.pem),
    }
    (given,) = (root / "etc" / proxy.name).glob("migprog.*")
    text = given.read_text()
    for theirs, ours in places.items():
        text = text.replace(theirs, ours)
    if acting:
        text = text.replace("#act# ", "")
    file = directory / given.name
    file.write_text(text)
    if proxy.name == "haproxy":
        return ["haproxy", "-db", "-f", str(file)]
    whole = directory / "nginx.conf"
    user = "user root;" if directory.owner() == "root" else ""
    whole.write_text(_NGINX.format(directory=directory, file=file, user=user))
    return ["nginx", "-c", str(whole), "-e", "stderr"]
