# SPDX-License-Identifier: Apache-2.0
"""The live view as lines of rich text. Pure: a fleet, an instant and a size in, lines out.

Only the lines that fit are made. Names and messages are never read as markup.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from rich.text import Text

from migprog.cli import advice, layout, record, text
from migprog.cli.fleet import Fleet, Totals
from migprog.cli.record import Record, Trouble
from migprog.core.forecast.verdict import Verdict

VERDICT_STYLES: Mapping[str, str] = {
    Verdict.CONVERGING.value: "green",
    Verdict.SWITCHING_OVER.value: "green",
    Verdict.NOT_CONVERGING.value: "bold red",
    Verdict.STALLED.value: "bold red",
    Verdict.POST_COPY_PAUSED.value: "bold white on red",
    Verdict.POST_COPY.value: "cyan",
    Verdict.ENDED.value: "dim",
}
_STALE = "bright_black"
_TROUBLE_NAMES: Mapping[Trouble, str] = {
    Trouble.POST_COPY_PAUSED: "post-copy-paused",
    Trouble.STALLED: "stalled",
    Trouble.NOT_CONVERGING: "not-converging",
}
_BAR = ("━", "─", "╌")
_BAR_ASCII = ("#", "-", ".")
_BAR_STYLES = ("green", "color(65)", "bright_black")
_BAR_STYLES_BAD = ("red", "color(131)", "bright_black")


@dataclass(frozen=True, slots=True)
class Frame:
    """What a view is drawn for. ``now``: the API's clock; ``zone``: of the clock times shown.

    ``scope``: which migrations are shown; ``outage``: why the API does not answer, None: it does;
    ``taken_at``: when the API said what is shown.
    """

    columns: int
    lines: int
    now: float
    zone: tzinfo
    scope: str
    taken_at: float
    outage: str | None = None
    encoding: str = "utf-8"


def lines(fleet: Fleet, frame: Frame) -> Iterator[Text]:
    """Return the lines of the view, at most ``frame.lines``, each of at most ``frame.columns``
    cells."""
    head = list(_head(fleet, frame))
    widths = layout.widths(frame.columns)
    head.append(_headings(widths))
    room = frame.lines - len(head)
    body, shown = _body(fleet.records, frame, widths, room)
    if shown < len(fleet.records) or fleet.truncated:
        body, shown = _body(fleet.records, frame, widths, room - 1)
        body.append(_footer(fleet, shown))
    elif not fleet.records:
        body = [Text("no migration is in progress", style="dim")]
    for line in (*head, *body)[: max(0, frame.lines)]:
        yield _finished(line, frame)


def _finished(line: Text, frame: Frame) -> Text:
    line.truncate(frame.columns, overflow="ellipsis")
    line.no_wrap = True
    encoded = text.encodable(line.plain, frame.encoding)
    if encoded != line.plain:
        line.plain = encoded
    return line


def _head(fleet: Fleet, frame: Frame) -> Iterator[Text]:
    now = datetime.fromtimestamp(frame.now, UTC)
    clock = now.astimezone(frame.zone).strftime("%H:%M:%S %Z").rstrip()
    title = f"migrations of {text.printable(frame.scope)}"
    yield Text(text.fit(title, max(0, frame.columns - len(clock) - 1)) + " " + clock, style="bold")
    yield summary(fleet.totals, now, frame.zone)
    if frame.outage is not None:
        yield outage_line(frame)


def outage_line(frame: Frame) -> Text:
    """Return the line that says how old the figures are while the API does not answer."""
    taken = datetime.fromtimestamp(frame.taken_at, UTC).astimezone(frame.zone)
    return Text(
        f"The figures are {text.duration(frame.now - frame.taken_at)} old "
        f"(from {taken:%H:%M:%S}): {text.printable(frame.outage)}",
        style="bold white on red",
    )


def summary(totals: Totals, now: datetime, zone: tzinfo) -> Text:
    """Return the totals in a line."""
    line = Text(f"{totals.in_progress} in progress")
    bad = [
        f"{count} {_TROUBLE_NAMES[kind]}"
        for kind in sorted(totals.by_trouble)
        if (count := totals.by_trouble[kind]) and kind in _TROUBLE_NAMES
    ]
    if bad:
        line.append(f", {totals.in_trouble} in trouble", style="bold red")
        line.append(f" ({', '.join(bad)})", style="red")
    if totals.stale:
        line.append(f", {totals.stale} stale", style=_STALE)
    if totals.in_progress:
        line.append(f", {text.size(totals.sent_bytes_per_second)}/s")
    if totals.last_ends_at is not None:
        ends = datetime.fromtimestamp(totals.last_ends_at, UTC)
        line.append(f", the last ends {text.clock(ends, now, zone)}")
    if totals.ended:
        line.append(f", {totals.ended} just ended", style="dim")
    return line


def _headings(widths: Mapping[str, int]) -> Text:
    headings = {each.name: each for each in layout.COLUMNS}
    cells = [
        text.fit(headings[name].heading, wide, right=headings[name].right)
        for name, wide in widths.items()
    ]
    return Text((" " * layout.GAP).join(cells), style="dim")


def _footer(fleet: Fleet, shown: int) -> Text:
    hidden = fleet.records[shown:]
    more = "or more " if fleet.truncated else ""
    bad = sum(record.trouble(each) < Trouble.STALE for each in hidden)
    troubled = f", {bad} of them in trouble" if bad else ""
    return Text(f"… {len(hidden)} {more}not shown{troubled}", style="dim")


def _body(
    records: Sequence[Record], frame: Frame, widths: Mapping[str, int], room: int
) -> tuple[list[Text], int]:
    """Return the lines of as many migrations as have room, and how many these are."""
    made: list[Text] = []
    for shown, each in enumerate(records):
        rows = [row(each, frame, widths)]
        said = advice.line(each, frame.now)
        if said is not None:
            style = _STALE if each.get("stale") else "yellow"
            rows.append(Text("  └ " + text.fit(said, frame.columns - 4).rstrip(), style=style))
        if len(made) + len(rows) > room:
            # Where there is room for a row alone, it goes without its advice.
            if not made and room >= 1:
                return rows[:room], 1
            return made, shown
        made += rows
    return made, len(records)


def row(each: Record, frame: Frame, widths: Mapping[str, int]) -> Text:
    """Return the line of a migration."""
    is_grey = bool(each.get("stale")) or not each.get("in_progress")
    line = Text()
    for number, (name, wide) in enumerate(widths.items()):
        if number:
            line.append(" " * layout.GAP)
        if name == "bar":
            _append_bar(line, each, frame, wide, is_grey)
            continue
        column = _COLUMNS[name]
        shown = text.fit(_CELLS[name](each, frame, wide), wide, right=column.right)
        line.append(shown, style=_style(name, each, is_grey))
    return line


_COLUMNS = {each.name: each for each in layout.COLUMNS}


def _style(name: str, each: Record, is_grey: bool) -> str:
    if name == "phase" and record.trouble(each) is Trouble.ENDED_BADLY:
        return "red"
    if is_grey:
        return _STALE
    if name == "verdict":
        return VERDICT_STYLES.get(each.get("verdict") or "", "")
    return ""


def _append_bar(line: Text, each: Record, frame: Frame, wide: int, is_grey: bool) -> None:
    percent = each.get("percent")
    ascii_only = text.encodable("━", frame.encoding) == "?"
    characters = _BAR_ASCII if ascii_only else _BAR
    bad = record.trouble(each) < Trouble.STALE
    styles: tuple[str, ...] = _BAR_STYLES_BAD if bad else _BAR_STYLES
    if is_grey:
        styles = (_STALE,) * 3
    low, high = record.progress_range(each, frame.now) or (percent or 0.0, percent or 0.0)
    parts = layout.bar(low, high, wide)
    cells = zip(characters, (parts.sure, parts.likely, parts.rest), styles, strict=True)
    for character, count, style in cells:
        line.append(character * count, style=style)


def _percent(each: Record, _frame: Frame, _wide: int) -> str:
    return "" if each.get("percent") is None else f"{each['percent']}%"


def _left(each: Record, frame: Frame, wide: int) -> str:
    shown = record.left(each, frame.now)
    with_range = record.left_text(shown, with_range=True)
    return with_range if len(with_range) <= wide else record.left_text(shown)


def _ends(each: Record, frame: Frame, _wide: int) -> str:
    if not each.get("in_progress"):
        at = text.epoch(each["ended_at"]) if each.get("ended_at") else None
    else:
        left = record.left(each, frame.now)
        at = None if left is None else left.ends_at
    if at is None:
        return ""
    now = datetime.fromtimestamp(frame.now, UTC)
    return text.clock(datetime.fromtimestamp(at, UTC), now, frame.zone)


def _rate(name: str, each: Record) -> str:
    rate = each.get(name)
    return "" if rate is None or not each.get("in_progress") else text.size(rate)


_CELLS = {
    "server": lambda each, _frame, _wide: record.name(each),
    "route": lambda each, _frame, _wide: record.route(each),
    "percent": _percent,
    "left": _left,
    "ends": _ends,
    "sent": lambda each, _frame, _wide: _rate("throughput_bytes_per_second", each),
    "dirty": lambda each, _frame, _wide: _rate("dirty_bytes_per_second", each),
    "phase": lambda each, _frame, wide: record.phase(each, short=wide < 22),
    "verdict": lambda each, frame, _wide: record.verdict(each, frame.now),
}
