# SPDX-License-Identifier: Apache-2.0
"""keystonemiddleware with deadlines and a bound on the requests that wait for Keystone."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from keystonemiddleware import opts as keystone_opts
from oslo_config import cfg

from migprog import exception, http_calls, outages
from migprog.api import errors
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import Failure
from migprog.api.resource import Application

LOG = logging.getLogger(__name__)

_GROUP = "keystone_authtoken"
# What Keystone's failure means, for the log.
_FOLLOWS = "requests with tokens that are not known yet are answered 503"
# The library's defaults are no timeout and 3 retries: a hanging Keystone would block it forever.
DEFAULTS = {"http_connect_timeout": 5, "http_request_max_retries": 1}
_TURN_SECONDS = 1.0
# keystoneauth's delay before its second attempt.
RETRY_SECONDS = 0.5


class _Busy(exceptions.ConnectFailure):
    """Too many requests wait for Keystone already."""


class Turns:
    """Lets some requests at a time query Keystone, and some more wait a moment for their turn.

    Others fail at once: so a hanging Keystone leaves threads for requests with cached tokens. Each
    query has a deadline, even if Keystone keeps sending.
    """

    def __init__(self, threads: int, deadline_seconds: float) -> None:
        self._calls = http_calls.Calls("Keystone", deadline_seconds, threads)
        self._places = threading.BoundedSemaphore(max(1, 3 * threads // 4))
        self._turns = threading.BoundedSemaphore(max(1, threads // 2))
        self._mine = threading.local()

    def run(self, ask: Callable[[], Any]) -> Any:
        """Return what ``ask`` returns. Raises :class:`keystoneauth1.exceptions.ConnectFailure`."""
        # To validate a token the middleware may have to fetch its own.
        if getattr(self._mine, "has", False):
            return ask()

        def ask_in_turn() -> Any:
            self._mine.has = True
            return ask()

        with self._one():
            try:
                return self._calls.run(ask_in_turn)
            except TimeoutError as error:
                raise exceptions.ConnectFailure(str(error)) from error

    @contextlib.contextmanager
    def _one(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise _Busy("too many requests wait for Keystone")
        try:
            if not self._turns.acquire(timeout=_TURN_SECONDS):
                raise _Busy("too many requests wait for Keystone")
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()


def authenticated(conf: cfg.ConfigOpts, app: Application, threads: int = 16) -> Application:
    """Return ``app`` behind keystonemiddleware, with its ``[keystone_authtoken]`` options.

    ``threads``: requests served at a time; half of them may wait for Keystone.
    Raises :class:`exception.ConfigError` if options are missing.
    """
    for group, options in keystone_opts.list_auth_token_opts():
        conf.register_opts(options, group)
    for name, value in DEFAULTS.items():
        conf.set_default(name, value, _GROUP)
    try:
        protected = _Bounded(
            app, {"oslo_config_config": conf}, Turns(threads, deadline_seconds(conf))
        )
    except (exceptions.ClientException, cfg.Error, TypeError, ValueError) as error:
        raise exception.ConfigError(f"[keystone_authtoken] {error}") from error
    settings = conf[_GROUP]
    if not (settings.auth_type or settings.auth_section):
        raise exception.ConfigError(
            "[keystone_authtoken] auth_type: is not set, and [api] auth_strategy is keystone"
        )
    interface, region = settings.interface, settings.region_name

    def answered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer: Iterable[bytes] = protected(environ, start_response)
            return answer
        except exceptions.EndpointNotFound as error:
            # The middleware looks Keystone up in the catalog, and does not catch this.
            LOG.error(
                "cannot validate tokens: Keystone's catalog has no identity endpoint for "
                "[keystone_authtoken] interface = %s, region_name = %s: %s; requests are answered "
                "503; correct these options or the catalog",
                *(interface, region, error),
            )
            message = "Cannot check the token: Keystone's catalog has no endpoint for it."
        except exceptions.ClientException as error:
            # For the address of Keystone in a 401 the middleware queries Keystone outside of its
            # own error handling.
            protected.keystone.failed(str(error)[:300])
            message = "The Keystone service is temporarily unavailable."
        failure = Failure.of(ErrorCode.KEYSTONE_UNAVAILABLE, message)
        return errors.respond(failure, environ)(environ, start_response)

    return answered


def deadline_seconds(conf: cfg.ConfigOpts) -> float:
    """Return the deadline for validating a token, with all attempts and migprog's own login."""
    settings = conf[_GROUP]
    attempts = 1 + int(settings.http_request_max_retries)
    return attempts * float(settings.http_connect_timeout) + RETRY_SECONDS * (attempts - 1)


class _Bounded(auth_token.AuthProtocol):
    """keystonemiddleware whose queries to Keystone all take their turn.

    If it has no token of its own, keystoneauth lets one thread at a time fetch it, under a lock.
    A query takes its turn before that, or all threads would wait for the lock.
    """

    def __init__(self, app: Application, conf: dict[str, Any], turns: Turns) -> None:
        self._turns = turns
        self._logging_in = threading.Lock()
        self.keystone = outages.party(LOG, "Keystone", _FOLLOWS, outages.CHECK_KEYSTONE)
        super().__init__(app, conf)

    def _create_identity_server(self) -> Any:
        server = super()._create_identity_server()
        verify = server.verify_token

        def in_turn(*arguments: Any, **more: Any) -> Any:
            def ask() -> Any:
                self._log_in()
                return verify(*arguments, **more)

            return self._asked(lambda: self._turns.run(ask))

        server.verify_token = in_turn
        return server

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """Return Keystone's answer about a token; failures are logged as those of one party."""
        try:
            answer = ask()
        except _Busy:
            raise
        except auth_token.ksm_exceptions.InvalidToken:
            self.keystone.worked()
            raise
        except (RecursionError, ValueError) as error:
            self.keystone.failed(f"cannot read its answer: {type(error).__name__}")
            raise auth_token.ksm_exceptions.ServiceError(str(error)) from error
        except Exception as error:
            self.keystone.failed(str(error)[:300])
            raise
        self.keystone.worked()
        return answer

    def _log_in(self) -> None:
        """Fetch migprog's own token, or fail soon.

        In keystoneauth all threads that need a token wait until one has fetched it; if that fails,
        the next thread tries, and the last one waits for all before it.
        """
        if self._auth is None:
            return
        if not self._logging_in.acquire(timeout=_TURN_SECONDS):
            raise _Busy("another request is logging in at Keystone")
        try:
            self._session.get_token(self._auth)
        except (exceptions.ConnectFailure, exceptions.DiscoveryFailure):
            raise
        except exceptions.ClientException:
            # A refusal: the middleware handles and logs it.
            LOG.debug("cannot log in at Keystone", exc_info=True)
        finally:
            self._logging_in.release()

    def _create_session(self, **options: Any) -> Any:
        session = super()._create_session(**options)
        request = session.request

        def in_turn(*arguments: Any, **more: Any) -> Any:
            return self._turns.run(lambda: request(*arguments, **more))

        session.request = in_turn
        http_calls.mount(session.session)
        return session
