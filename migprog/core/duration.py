# SPDX-License-Identifier: Apache-2.0
"""How long something lasts, for people: in messages, sentences and log lines.

A time that an option sets is written in seconds, as in the configuration. Columns of a table have
:func:`migprog.cli.text.duration`, which is shorter.
"""

_MINUTE, _HOUR = 60, 3600


def describe(seconds: float) -> str:
    """Return ``42 ms``, ``1.2 s``, ``58 s``, ``3 min 12 s`` or ``1 h 04 min``."""
    milliseconds, tenths, whole = round(1000 * seconds), round(10 * seconds), round(seconds)
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if tenths < 100:
        return f"{tenths / 10:.1f} s"
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
