# SPDX-License-Identifier: Apache-2.0
"""Reads the API five times a second, as a web page would."""

import threading
import time
from typing import Any, Self

import requests

from lab.faults.ground_truth import Seen

_EVERY_SECONDS = 0.2
_PATIENCE_SECONDS = 20.0
# The newest; more than are on their way at once.
_LIMIT = 60


class ApiReader:
    """Reads while the block lasts."""

    def __init__(self, api: str) -> None:
        self._url = f"{api}/migrations"
        self._seen: list[Seen] = []
        self._last: list[Seen] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        self._thread.join()

    def take(self) -> list[Seen]:
        """Return the answers since the last call, and the last answer before them."""
        with self._lock:
            taken, self._seen = self._last + self._seen, []
        self._last = [each for each in taken if each.percents][-1:]
        return taken

    def _run(self) -> None:
        session = requests.Session()
        while not self._ending.wait(_EVERY_SECONDS):
            seen = self._look(session)
            with self._lock:
                self._seen.append(seen)

    def _look(self, session: requests.Session) -> Seen:
        asked_at = time.time()
        try:
            answer = session.get(self._url, params={"limit": _LIMIT}, timeout=_PATIENCE_SECONDS)
        except requests.RequestException:
            return Seen(asked_at, time.time(), None)
        records: list[dict[str, Any]] = []
        if answer.status_code == requests.codes.ok:
            records = answer.json()["migrations"]
        percents = {record["uuid"]: record["percent"] for record in records}
        return Seen(asked_at, time.time(), answer.status_code, percents)
