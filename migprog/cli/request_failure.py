# SPDX-License-Identifier: Apache-2.0
"""Why a request failed, in a line for people. Pure."""

from migprog.cli import text

_MOST_CAUSES = 20


def reason(error: BaseException) -> str:
    """Return what failed, and the first cause of it, without what libraries say in between."""
    said = str(error)
    cause = _first_cause(error)
    if cause is error:
        return text.printable(said)
    why = (isinstance(cause, OSError) and cause.strerror) or str(cause)
    # As keystoneauth has it: what failed, a colon, and a chain of exceptions.
    what = said.partition(": ")[0]
    return text.printable(f"{what}: {why}" if why and why not in what else said)


def _first_cause(error: BaseException) -> BaseException:
    for _ in range(_MOST_CAUSES):
        before = error.__cause__ or error.__context__
        if before is None:
            break
        error = before
    return error
