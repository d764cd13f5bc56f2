# SPDX-License-Identifier: Apache-2.0
"""Which of nova-compute's options interfere with steering that acts."""

from collections.abc import Mapping

from migprog.core.steering import nova_schedule
from migprog.core.steering.nova_schedule import NovaOptions

# Nova's second step must come later than any migration lasts.
LONG_SECONDS = 86_400
_LEAST_GIB = nova_schedule.data_gib(None)


def read_options(section: Mapping[str, str]) -> NovaOptions:
    """Return Nova's options by nova.conf's section ``[libvirt]``, with Nova's defaults.

    Raises :class:`ValueError`, with the option, for one that Nova would refuse.
    """
    found: dict[str, int | str | bool] = {}
    for field, default in NovaOptions()._asdict().items():
        name = f"live_migration_{field}"
        if name in section:
            found[field] = _value(name, section[name], default)
    return NovaOptions(**found)  # type: ignore[arg-type]


def _value(name: str, text: str, default: int | str | bool) -> int | str | bool:
    if isinstance(default, bool):
        return text.strip().lower() in ("1", "true", "yes", "on")
    if isinstance(default, str):
        return text.strip()
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name}: {text!r} must be a whole number") from None


def conflicts(options: NovaOptions) -> list[str]:
    """Return what interferes, each as the option, its value, and what it should be."""
    found = []
    second = nova_schedule.downtime_steps(options, _LEAST_GIB)[1]
    if second.after_seconds < LONG_SECONDS:
        found.append(
            f"live_migration_downtime_delay is {options.downtime_delay}: from "
            f"{second.after_seconds} s on, Nova sets the downtime limit step by step, and lowers "
            f"one that steering has raised; set it to {LONG_SECONDS // int(_LEAST_GIB)} or more"
        )
    if options.completion_timeout:
        found.append(
            f"live_migration_completion_timeout is {options.completion_timeout}: after "
            f"{nova_schedule.completion_timeout_seconds(options, _LEAST_GIB)} s or more Nova "
            f"would {options.timeout_action} what steering judges otherwise; set it to 0"
        )
    return found
