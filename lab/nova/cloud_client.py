# SPDX-License-Identifier: Apache-2.0
"""A client of the lab's cloud: of Nova, of migprog, and of their common endpoint."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from lab.nova.description import Description

T = TypeVar("T")
LATEST = "latest"
_SECONDS = 60


class Refused(RuntimeError):
    """A service answered with an error; ``code`` is its status."""

    def __init__(self, what: str, answer: requests.Response) -> None:
        super().__init__(f"{what}: {answer.status_code} {answer.text[:500]}")
        self.code = answer.status_code


class Cloud:
    """Requests in the name of ``user``: ``admin`` or ``demo``. May be used by several threads."""

    def __init__(self, lab: Description, user: str = "admin") -> None:
        self.lab = lab
        self._user = user
        self._local = threading.local()
        self._lock = threading.Lock()
        self._token = ""

    def nova(
        self,
        method: str,
        path: str,
        body: Any = None,
        version: str = LATEST,
        by: str | None = None,
    ) -> Any:
        """Send Nova a request, by the proxy ``by`` if given. None: an empty answer."""
        base = self.lab.nova if by is None else self.lab.proxies[by]
        return self.ask(method, base + path, body, {"OpenStack-API-Version": f"compute {version}"})

    def glance(self, method: str, path: str, body: Any) -> Any:
        return self.ask(method, self.lab.glance + path, body)

    def migprog(self, path: str, version: str = LATEST) -> Any:
        """Send migprog a request; below /v2.1 with that microversion of Nova's."""
        headers = {"OpenStack-API-Version": f"compute {version}"}
        return self.ask("GET", self.lab.migprog + path, None, headers)

    def ask(self, method: str, url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        """Return an answer's document. Raises :class:`Refused`."""
        is_data = isinstance(body, bytes)
        kind = {"Content-Type": "application/octet-stream"} if is_data else {}
        answer = self._session.request(
            method,
            url,
            data=body if is_data else None,
            json=None if is_data else body,
            headers={"X-Auth-Token": self.token(), **kind, **(headers or {})},
            timeout=_SECONDS,
            # Given with the session, the environment would override it.
            verify=self.lab.certificate or True,
        )
        if answer.status_code >= 400:
            raise Refused(f"{method} {url}", answer)
        is_document = answer.content and "json" in answer.headers.get("content-type", "")
        return answer.json() if is_document else None

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session

    def token(self) -> str:
        """Return a token of the user, in the project of the same name."""
        with self._lock:
            if not self._token:
                domain = {"id": "default"}
                user = {"name": self._user, "domain": domain, "password": self.lab.password}
                identity = {"methods": ["password"], "password": {"user": user}}
                scope = {"project": {"name": self._user, "domain": domain}}
                answer = requests.post(
                    f"{self.lab.keystone}/auth/tokens",
                    json={"auth": {"identity": identity, "scope": scope}},
                    timeout=_SECONDS,
                )
                answer.raise_for_status()
                self._token = answer.headers["X-Subject-Token"]
            return self._token


def wait_for(what: str, condition: Callable[[], T], seconds: float, pause: float = 0.5) -> T:
    """Wait until the condition is true. Raises :class:`TimeoutError`."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(pause)
