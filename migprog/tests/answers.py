# SPDX-License-Identifier: Apache-2.0
"""Every answer that a test gets is compared with the OpenAPI document."""

import functools
import gzip
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import jsonschema

from migprog.api import app, openapi
from migprog.api.nova import app as nova
from migprog.api.resource import Application

# Of what is broken on purpose. No document has it: it is nobody's wish.
_BROKEN = 500


@functools.cache
def document() -> dict[str, Any]:
    return openapi.build([*app.ROUTES.items(), *nova.routes()], 1000)


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """What addresses look like, those with the fewest names first."""
    in_order = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), path) for path in in_order]


def operation(method: str, path: str) -> dict[str, Any] | None:
    """What the document has of a request; None: nothing."""
    for pattern, template in _paths():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = document()["paths"][template].get(method.lower())
            return found
    return None


@functools.cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    whole = json.loads(schema) | {"components": document()["components"]}
    return jsonschema.Draft202012Validator(whole)


def check(method: str, path: str, code: int, body: bytes) -> None:
    """Raises :class:`AssertionError` when an answer is not as documented."""
    documented = operation(method, path)
    if documented is None or code == _BROKEN:
        return
    what = f"{method} {path}: {code}"
    assert str(code) in documented["responses"], f"{what} is not documented"
    content = documented["responses"][str(code)].get("content")
    if content is None:
        assert not body, f"{what} has a body: {body[:200]!r}"
        return
    schema = json.dumps(content["application/json"]["schema"], sort_keys=True)
    for error in _validator(schema).iter_errors(json.loads(body)):
        raise AssertionError(f"{what}: {error.message[:500]} at {error.json_path}")


def checked(application: Application) -> Application:
    """The same application; its answers are compared."""

    def asked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        codes: list[int] = []
        codings: list[str] = []

        def start(status: str, headers: Any, *more: Any) -> Any:
            codes.append(int(status[:3]))
            codings.append(dict(headers).get("content-encoding", ""))
            return start_response(status, headers, *more)

        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
        body = b"".join(application(environ, start))
        text = gzip.decompress(body) if codings[-1] == "gzip" and body else body
        check(method, path, codes[-1], text)
        return [body]

    return asked
