# SPDX-License-Identifier: Apache-2.0
"""The median as ``statistics`` has it, whose fractions and decimals are 0.2 MiB of an agent."""

from collections.abc import Collection


def median(values: Collection[float]) -> float:
    """Return the middle one of the values, or the mean of both in the middle; there is one."""
    in_order, middle = sorted(values), len(values) // 2
    if len(values) % 2:
        return in_order[middle]
    return (in_order[middle - 1] + in_order[middle]) / 2
