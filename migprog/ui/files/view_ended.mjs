// SPDX-License-Identifier: Apache-2.0
// The migrations that have ended, and how long they took by pair of hosts.

import * as distribution from "./distribution.mjs";
import * as fleet from "./fleet.mjs";
import { html } from "./html.mjs";
import { List } from "./list.mjs";
import { Choice, Search, Server, Verdict } from "./parts.mjs";
import * as record from "./record.mjs";
import { count, dateAndClock, epoch, printable, time } from "./words.mjs";

const HEADINGS = ["Server", "Outcome", "Ended", "Took", "Downtime"];
const OUTCOMES = ["completed", "failed", "cancelled", "unknown"];
const MOST_PAIRS = 12, MOST_DOTS = 150;

export function Ended({ app }) {
  const { ended, now } = app;
  const { query } = app.place;
  const shown = fleet.selected(ended.records, { text: ended.isByServer ? "" : query.text });
  const pairs = distribution.byPair(shown, MOST_PAIRS);
  const set = (name) => (value) => app.filter({ [name]: value });
  return html`
    <h2 tabindex="-1" class="hidden">Ended</h2>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Search} label="Search (or a server's UUID)" value=${query.text ?? ""} onInput=${set("text")} />
      <${Choice} label="Outcome" all="all outcomes" value=${query.status ?? ""} options=${OUTCOMES} onChange=${set("status")} />
      ${app.rights?.hosts ? html`<${Choice} label="Host" all="all hosts" value=${query.host ?? ""} options=${fleet.choices(ended.records).hosts} onChange=${set("host")} />` : null}
    </form>
    ${pairs.length ? html`<${Pairs} pairs=${pairs} />` : null}
    ${ended.error ? html`<p class="nothing">${ended.error}</p>` : null}
    ${shown.length
      ? html`<${List} kind="ended" label="Ended migrations" items=${shown} id=${(each) => each.id} headings=${HEADINGS} row=${(each) => html`<${Row} of=${each} now=${now} />`} />`
      : html`<p class="nothing">${ended.isLoading ? "Asking the API …" : nothing(ended)}</p>`}
    <p class="more">${shown.length ? `${count(shown.length, "migration")} of the newest ${ended.records.length} ` : ""}
      ${ended.marker ? html`<button type="button" disabled=${ended.isLoading} onClick=${() => ended.more()}>Load older ones</button>` : null}</p>`;
}

const nothing = ({ marker, records }) =>
  marker ? `None of the newest ${records.length} matches.` : records.length ? "No migration that has ended matches." : "No migration has ended.";

function Row({ of, now }) {
  const seconds = distribution.took(of);
  const why = of.status === "completed" ? "" : printable(of.error ?? of.verdict_message ?? "");
  return html`
    <span role="cell" class="who"><${Server} of=${of} /><span class="faint route">${record.route(of)}</span></span>
    <span role="cell" class="what"><${Verdict} of=${of} now=${now} /><span class="faint why" title=${why}>${why}</span></span>
    <span role="cell" class="number ended-at">${of.ended_at ? dateAndClock(epoch(of.ended_at)) : "not known"}</span>
    <span role="cell" class="number"><span class="narrow">took </span>${seconds === null ? "–" : time(seconds)}</span>
    <span role="cell" class="number"><span class="narrow">downtime </span>${of.downtime_seconds == null ? "–" : time(of.downtime_seconds)}</span>`;
}

/** A strip for each pair: a dot for each migration, a box from quartile to quartile. */
function Pairs({ pairs }) {
  const { place, ticks } = distribution.scale(pairs);
  const x = (seconds) => `${(2 + 96 * place(seconds)).toFixed(2)}%`;
  const span = (low, high) => `${Math.max(0.5, 96 * (place(high) - place(low))).toFixed(2)}%`;
  return html`
    <details class="card pairs" open=${innerWidth > 760}>
      <summary><h3>How long they took, by pair of hosts</h3></summary>
      <ul>${pairs.map((pair) => html`
        <li key=${`${pair.source}\n${pair.destination}`}>
          <span class="pair"><bdi>${printable(pair.source)}</bdi> → <bdi>${printable(pair.destination)}</bdi></span>
          <svg role="img" height="22" aria-label=${`${count(pair.values.length, "migration")}, median ${time(pair.median)}, half of them between ${time(pair.low)} and ${time(pair.high)}`}>
            <rect class="box" x=${x(pair.low)} width=${span(pair.low, pair.high)} y="3" height="16" rx="3" />
            ${sample(pair.values).map((value, at) => html`<circle key=${at} class="dot" cx=${x(value)} cy="11" r="3" />`)}
            <line class="median" x1=${x(pair.median)} x2=${x(pair.median)} y1="1" y2="21" />
          </svg>
          <span class="faint">${pair.values.length} × ${time(pair.median)}${pair.downtime === null ? "" : `, downtime ${time(pair.downtime)}`}</span>
        </li>`)}</ul>
      <div class="scale" aria-hidden="true"><span></span><svg height="16">${ticks.map(([tick, text]) => html`<text key=${tick} x=${x(tick)} y="12" text-anchor="middle">${text}</text>`)}</svg><span></span></div>
    </details>`;
}

const sample = (values) =>
  values.length <= MOST_DOTS ? values : values.filter((_, at) => at % Math.ceil(values.length / MOST_DOTS) === 0);
