// SPDX-License-Identifier: Apache-2.0
// Small things that several views show.

import { html } from "./html.mjs";
import * as place from "./place.mjs";
import * as record from "./record.mjs";
import { printable } from "./words.mjs";

// A sign for each tone: colour is never the only difference.
const SIGNS = { bad: "▲", unsure: "◆", good: "●", plain: "○" };

export function Verdict({ of, now }) {
  const tone = record.tone(of);
  return html`<span class="verdict ${tone}"><span class="sign" aria-hidden="true">${SIGNS[tone]}</span>${record.verdict(of, now)}</span>`;
}

/** The progress: what is sure, what may be by the range of the end, and a mark at the percentage. */
export function Bar({ of, now, solid }) {
  const { percent } = of;
  const range = record.progressRange(of, now);
  const sure = Math.min(solid ?? percent ?? 0, percent ?? 0);
  const likely = Math.max(range ? range[1] : (percent ?? 0), percent ?? 0);
  const known = percent !== null && percent !== undefined;
  return html`
    <span class="bar ${record.tone(of)} ${of.in_progress ? "" : "over"}" role="progressbar"
          aria-valuemin="0" aria-valuemax="100" aria-valuenow=${known ? percent : undefined}
          aria-label=${`Progress of ${record.name(of)}`}>
      <span class="likely" style=${{ width: `${likely.toFixed(2)}%` }}></span>
      <span class="sure" style=${{ width: `${(of.in_progress ? sure : (percent ?? 0)).toFixed(2)}%` }}></span>
      ${known && of.in_progress ? html`<span class="mark" style=${{ left: `${percent}%` }}></span>` : null}
    </span>`;
}

export const Percent = ({ of }) =>
  html`<span class="percent">${of.percent === null || of.percent === undefined ? "–" : `${of.percent}%`}</span>`;

export const Server = ({ of }) =>
  html`<a class="server" href=${place.ofMigration(of)}><bdi>${record.name(of)}</bdi></a>`;

export const Host = ({ name, linked }) =>
  name ? (linked ? html`<a href=${place.ofHost(name)}><bdi>${printable(name)}</bdi></a>` : html`<bdi>${printable(name)}</bdi>`) : html`<span class="faint">–</span>`;

/** A choice of a filter. `options`: values, or [value, text]. */
export function Choice({ label, value, all, options, onChange }) {
  const listed = options.map((each) => (Array.isArray(each) ? each : [each, printable(each)]));
  if (value && !listed.some(([each]) => each === value)) listed.push([value, printable(value)]);
  return html`
    <label class="choice">${label}
      <select value=${value} onChange=${(event) => onChange(event.target.value)}>
        <option value="">${all}</option>
        ${listed.map(([each, text]) => html`<option key=${each} value=${each} selected=${each === value}>${text}</option>`)}
      </select>
    </label>`;
}

export const Search = ({ value, onInput, label }) =>
  html`<label class="choice grow">${label}
    <input type="search" value=${value} spellcheck="false" autocomplete="off" maxlength="200"
           onInput=${(event) => onInput(event.target.value)} /></label>`;

export const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
