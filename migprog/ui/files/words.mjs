// SPDX-License-Identifier: Apache-2.0
// Texts for people, in the words of the command line. Pure.

const MINUTE = 60, HOUR = 3600, DAY = 86400;
const UNITS = ["", "K", "M", "G", "T", "P", "E"];
const MOST_CHARACTERS = 2000;
// Of marks upon one character: more would be drawn over the lines above and below.
const MOST_MARKS = 2;
const PLAIN = /^[ -~]{0,2000}$/;

/** A text in which nothing is invisible, breaks the line or turns its direction: "?" instead. */
export function printable(given) {
  const text = String(given).slice(0, 2 * MOST_CHARACTERS);
  if (PLAIN.test(text)) return text;
  const shown = [];
  let marks = 0;
  for (const character of [...text].slice(0, MOST_CHARACTERS)) {
    marks = /\p{M}/u.test(character) ? marks + 1 : 0;
    if (marks > MOST_MARKS) continue;
    shown.push(character !== " " && /[\p{C}\p{Z}]/u.test(character) ? "?" : character);
  }
  return shown.join("");
}

/** The nearest whole number; of two equally near ones the even one. */
export function round(value) {
  const whole = Math.floor(value);
  const rest = value - whole;
  if (rest !== 0.5) return Math.round(value);
  return whole % 2 ? whole + 1 : whole;
}

const two = (number) => String(number).padStart(2, "0");

/** Seconds as "12s", "3m12s", "1h04m", "2d03h" or "120d". */
export function duration(seconds) {
  const whole = Math.max(0, round(seconds));
  if (whole < MINUTE) return `${whole}s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m${two(whole % MINUTE)}s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h${two(Math.floor((whole % HOUR) / MINUTE))}m`;
  if (whole < 100 * DAY) return `${Math.floor(whole / DAY)}d${two(Math.floor((whole % DAY) / HOUR))}h`;
  return `${Math.min(Math.floor(whole / DAY), 99999)}d`;
}

/** Bytes such as "117M" or "3.5G", in powers of 1,024. */
export function size(count) {
  let value = Number(count), unit = 0;
  while (round(value) >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return (unit && value < 9.95 ? value.toFixed(1) : String(round(value))) + UNITS[unit];
}

/** Bytes with their unit in full: "117 MiB". */
export function bytes(count) {
  const short = size(count);
  const unit = short.at(-1);
  return /[A-Z]/.test(unit) ? `${short.slice(0, -1)} ${unit}iB` : `${short} B`;
}

/** An instant of the API as seconds since the epoch; NaN if it is none. */
export function epoch(instant) {
  return Date.parse(instant) / 1000;
}

/** The clock time of an instant, in seconds since the epoch; its month and day if it is a day away.
 *  `zone`: its name, by default the browser's. */
export function clock(at, now, zone = undefined) {
  const options = Math.abs(at - now) < DAY
    ? { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }
    : { month: "2-digit", day: "2-digit" };
  const parts = {};
  for (const { type, value } of formatter(options, zone).formatToParts(at * 1000)) parts[type] = value;
  return parts.hour === undefined
    ? `${parts.month}-${parts.day}`
    : `${parts.hour}:${parts.minute}:${parts.second}`;
}

/** Date and clock time of an instant. */
export function dateAndClock(at, zone = undefined) {
  const options = { year: "numeric", month: "2-digit", day: "2-digit" };
  const parts = {};
  for (const { type, value } of formatter(options, zone).formatToParts(at * 1000)) parts[type] = value;
  return `${parts.year}-${parts.month}-${parts.day} ${clock(at, at, zone)}`;
}

const formatters = new Map();

function formatter(options, timeZone) {
  const key = `${Object.keys(options)} ${timeZone}`;
  let found = formatters.get(key);
  if (!found) formatters.set(key, (found = new Intl.DateTimeFormat("en", { ...options, timeZone })));
  return found;
}

/** Seconds with the precision that short times need: "42 ms", "1.2 s", "58 s", "3 min 12 s". */
export function time(seconds) {
  const milliseconds = round(1000 * seconds), tenths = round(10 * seconds), whole = round(seconds);
  if (milliseconds < 1000) return `${milliseconds} ms`;
  if (tenths < 100) return `${(tenths / 10).toFixed(1)} s`;
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${two(whole % MINUTE)} s`;
  return `${Math.floor(whole / HOUR)} h ${two(Math.floor((whole % HOUR) / MINUTE))} min`;
}

/** "1 server", "3 servers". */
export function count(number, noun, nouns = `${noun}s`) {
  return `${number} ${number === 1 ? noun : nouns}`;
}
