# SPDX-License-Identifier: Apache-2.0
"""Draw what was reported of one migration, beside what really happened.

matplotlib is needed only for drawing: it is in the extra ``plot``.
"""

import itertools
import os
from collections.abc import Sequence
from typing import Any

from migprog import exception
from migprog.core.forecast.verdict import Verdict
from migprog.recording import displayed_percent
from migprog.recording.format import Recording
from migprog.recording.ground_truth import GroundTruth
from migprog.recording.replay import Line, Replayed

_TRUTH, _SAID, _ACTION, _ITERATION = "#444444", "#1f6fb4", "#b02418", "#c8c8c8"
_NOVA = "#e08214"
_COLOURS = {
    Verdict.STARTING: "#e3e3e3",
    Verdict.COPYING: "#c6dbef",
    Verdict.CONVERGING: "#a1d99b",
    Verdict.NOT_CONVERGING: "#f4a582",
    Verdict.STALLED: "#e9d35b",
    Verdict.SWITCHING_OVER: "#bcbddc",
    Verdict.POST_COPY: "#9ecae1",
    Verdict.POST_COPY_PAUSED: "#d6604d",
    Verdict.ENDED: "#8c8c8c",
}
# Ranges may be very wide; values beyond this share of the whole are cut.
_HEADROOM = 1.5
# An action after this share of the whole has its text on its left.
_LATE = 0.8
# Names in the file do not differ from run to run, and text stays text.
_SVG: dict[Any, Any] = {"svg.hashsalt": "migprog", "svg.fonttype": "none"}
_UNITS = ((7200.0, 3600.0, "hours"), (300.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))


class CannotDraw(exception.MigprogError):
    """matplotlib is missing, or the picture cannot be written."""


def draw(path: str, recording: Recording, replayed: Replayed, truth: GroundTruth | None) -> None:
    """Draw a picture in the format of ``path``'s suffix. Raises :class:`CannotDraw`.

    From top to bottom: the percentage, and what Nova's would be; the time left with its range;
    the verdict. The same recording and code give the same SVG, byte by byte.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CannotDraw(f"--plot: {error}: pip install 'migprog[plot]'") from error
    lines = replayed.lines
    end = truth.end if truth else max((line.t for line in lines), default=1.0)
    unit_seconds, unit = next((u, name) for least, u, name in _UNITS if end >= least)
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    percent, eta, verdict = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [5, 6, 1]}
    )
    _draw_percent(percent, lines, truth, unit_seconds)
    if truth is not None:
        _draw_nova(percent, recording, truth, unit_seconds)
    _draw_eta(eta, lines, truth, unit_seconds)
    eta.set_ylim(0, _HEADROOM * end / unit_seconds)
    _draw_verdicts(verdict, lines, end, unit_seconds)
    _mark(percent, eta, recording, truth, end, unit_seconds)
    for axes, label in ((percent, "percent"), (eta, f"{unit} left")):
        axes.set_ylabel(label)
        axes.grid(axis="y", alpha=0.25)
        axes.legend(loc="best", fontsize=9, framealpha=0.9)
    verdict.set_xlabel(f"{unit} since the start")
    verdict.set_xlim(0, 1.02 * end / unit_seconds)
    title = str(recording.header.get("scenario") or os.path.basename(recording.name))
    figure.suptitle(f"{title}: {_outcome(truth, unit_seconds, unit)}", fontsize=13)
    try:
        with rc_context(_SVG):
            figure.savefig(path, dpi=120, metadata={"Date": None} if path.endswith(".svg") else {})
    except (OSError, ValueError) as error:
        raise CannotDraw(f"--plot: {path}: {error}") from error


def _outcome(truth: GroundTruth | None, unit_seconds: float, unit: str) -> str:
    if truth is None:
        return "its end is not recorded"
    outcome = "completed" if truth.completed else "failed"
    return f"{outcome} after {truth.end / unit_seconds:.1f} {unit}"


def _draw_percent(axes: Any, lines: Sequence[Line], truth: GroundTruth | None, unit: float) -> None:
    if truth is not None and truth.completed:
        label = "share of the time that had passed"
        axes.plot([0, truth.end / unit], [0, 100], "--", color=_TRUTH, label=label)
    times, percents = _known(lines, "percent", unit)
    axes.step(times, percents, where="post", color=_SAID, linewidth=2, label="percent reported")
    axes.set_ylim(0, 103)


def _draw_nova(axes: Any, recording: Recording, truth: GroundTruth, unit: float) -> None:
    percents = displayed_percent.novas_progress(recording, truth.end)
    times = [number * displayed_percent.READ_SECONDS / unit for number in range(len(percents))]
    label = "Nova's progress, every 5 s"
    axes.step(times, percents, where="post", color=_NOVA, linewidth=1.2, label=label)


def _draw_eta(axes: Any, lines: Sequence[Line], truth: GroundTruth | None, unit: float) -> None:
    if truth is not None and truth.completed:
        whole = truth.end / unit
        axes.plot([0, whole], [whole, 0], "--", color=_TRUTH, label="time that was left")
    times, low = _known(lines, "eta_low_seconds", unit)
    _, high = _known(lines, "eta_high_seconds", unit)
    low, high = ([seconds / unit for seconds in values] for values in (low, high))
    axes.fill_between(times, low, high, color=_SAID, alpha=0.2, linewidth=0, label="80 % range")
    times, eta = _known(lines, "eta_seconds", unit)
    axes.plot(
        times, [s / unit for s in eta], ".-", color=_SAID, markersize=4, label="time left reported"
    )


def _known(lines: Sequence[Line], name: str, unit: float) -> tuple[list[float], list[float]]:
    """Return times and values; NaN for an unknown value leaves a gap."""
    values = [getattr(line, name) for line in lines]
    nan = float("nan")
    return [line.t / unit for line in lines], [nan if v is None else v for v in values]


def _draw_verdicts(axes: Any, lines: Sequence[Line], end: float, unit: float) -> None:
    """Draw a band of colours; each span that is wide enough is labelled with its verdict."""
    spans = [(verdict, list(of)) for verdict, of in itertools.groupby(lines, lambda o: o.verdict)]
    starts = [of[0].t for _, of in spans]
    untils = [*starts[1:], max(end, lines[-1].t if lines else 0.0)]
    for (verdict, _), start, until in zip(spans, starts, untils, strict=True):
        if verdict is None:
            continue
        axes.axvspan(start / unit, until / unit, color=_COLOURS[Verdict(verdict)], linewidth=0)
        if until - start > 0.011 * len(verdict) * end:
            middle = (start + until) / 2 / unit
            axes.text(middle, 0.5, verdict, ha="center", va="center", fontsize=9)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("verdict")


def _mark(
    percent: Any, eta: Any, recording: Recording, truth: GroundTruth | None, end: float, unit: float
) -> None:
    """Mark iteration starts, and actions on the migration."""
    iteration_starts = (
        [iteration_start.t for iteration_start in truth.iteration_starts] if truth else []
    )
    for axes in (percent, eta):
        for index, t in enumerate(iteration_starts):
            label = "start of an iteration" if index == 0 else None
            axes.axvline(t / unit, color=_ITERATION, linewidth=1, zorder=0, label=label)
    for row in recording.rows:
        if row["kind"] != "action":
            continue
        for axes in (percent, eta):
            axes.axvline(row["t"] / unit, color=_ACTION, linewidth=1.2, linestyle=":")
        text = f" {row.get('action', '')} {row.get('arg') or ''} "
        is_late = row["t"] > _LATE * end
        eta.text(
            row["t"] / unit,
            0.97 * eta.get_ylim()[1],
            text,
            color=_ACTION,
            ha="right" if is_late else "left",
            va="top",
            fontsize=9,
            clip_on=True,
        )
