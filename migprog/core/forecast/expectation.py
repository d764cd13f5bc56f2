# SPDX-License-Identifier: Apache-2.0
"""What is expected of a migration that has just begun, before its own counters show it.

A conductor makes it of what was measured of the server, of its last migration, and of what
migrations between the same hosts have shown; an agent gets it with the answer to its first report.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from migprog.core import fields
from migprog.core.forecast.dirty_curve import DirtyCurve

# So many curves stand for all that fit; an answer with more is not read.
CURVES, MAX_CURVES = 9, 32
# More digits say nothing.
_DIGITS = 4
_CURVE_VALUES = 3


class Expectation(NamedTuple):
    """``bytes_per_second`` of the guest is the transfer rate; 80 % are between it divided by, and
    multiplied by, 1 + ``spread``. ``overhead_seconds`` is what a migration takes beside the
    transfer. ``curves`` are equally probable; none where the guest is not known. None: not known.
    """

    bytes_per_second: float | None = None
    spread: float | None = None
    overhead_seconds: float | None = None
    curves: tuple[DirtyCurve, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return plain values; a curve without an end of its first piece has None there."""
        return {
            "bytes_per_second": _short(self.bytes_per_second),
            "spread": _short(self.spread),
            "overhead_seconds": _short(self.overhead_seconds),
            "curves": [
                [_short(each.bytes_per_second), _short(each.knee_seconds), _short(each.bend)]
                for each in self.curves
            ],
        }

    @classmethod
    def from_wire(cls, wire: Any) -> Self | None:
        """Read it; None where it is not as expected: a migration is forecast without it, too."""
        if not isinstance(wire, Mapping):
            return None
        curves = wire.get("curves") or ()
        try:
            if not isinstance(curves, list | tuple) or len(curves) > MAX_CURVES:
                return None
            return cls(
                bytes_per_second=_positive(wire.get("bytes_per_second")),
                spread=_number(wire.get("spread")),
                overhead_seconds=_number(wire.get("overhead_seconds")),
                curves=tuple(_curve(each) for each in curves),
            )
        except ValueError:
            return None


def _short(value: float | None) -> float | None:
    if value is None or math.isinf(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not 0 <= value <= fields.MAX_COUNT:
        raise ValueError(f"must be from 0 to {fields.MAX_COUNT}")
    return float(value)


def _positive(value: Any) -> float | None:
    number = _number(value)
    if number == 0:
        raise ValueError("must be more than 0")
    return number


def _curve(value: Any) -> DirtyCurve:
    if not isinstance(value, list | tuple) or len(value) != _CURVE_VALUES:
        raise ValueError("must be a list of three numbers")
    pace, knee, bend = map(_positive, value)
    return DirtyCurve(pace or 0.0, math.inf if knee is None else knee, max(1.0, bend or 1.0))
