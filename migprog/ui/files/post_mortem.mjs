// SPDX-License-Identifier: Apache-2.0
// What a migration's record says after its end: where the time went, what would have helped, how
// good the forecast was, who did what.

import { novasView } from "./history.mjs";
import { html } from "./html.mjs";
import { operator } from "./steering.mjs";
import { clock, epoch, printable, time } from "./words.mjs";

const SENTENCES = [["outcome", "Outcome"], ["time", "Where the time went"], ["measures", "What would have helped"], ["forecast", "How good the forecast was"], ["actions", "Who did what"]];

export function PostMortem({ summary, points, record, now }) {
  const said = SENTENCES.filter(([key]) => summary.sentences?.[key]);
  const byNova = novasView(points, record, time);
  return html`
    <section class="card post-mortem" aria-labelledby="post-mortem">
      <h3 id="post-mortem">Post-mortem</h3>
      <dl class="sentences">
        ${said.map(([key, title]) => html`<div key=${key}><dt>${title}</dt><dd>${sentence(summary.sentences[key])}</dd></div>`)}
        ${byNova ? html`<div><dt>What Nova would have said</dt><dd>${sentence(byNova)}</dd></div>` : null}
      </dl>
      <${Phases} shares=${summary.phases} />
      <${Checks} of=${record} />
      <${Actions} actions=${summary.actions} now=${now} />
    </section>`;
}

function sentence(text) {
  const shown = printable(text);
  return `${shown.charAt(0).toUpperCase()}${shown.slice(1)}.`;
}

/** The phases as parts of one bar, and in words. */
function Phases({ shares }) {
  const whole = shares.reduce((sum, share) => sum + share.seconds, 0);
  if (!whole) return null;
  return html`
    <div class="phases">
      <div class="phase-bar" aria-hidden="true">
        ${shares.map((share) => html`<span key=${share.phase} class="phase-${share.phase}" style=${{ width: `${((100 * share.seconds) / whole).toFixed(2)}%` }}></span>`)}
      </div>
      <ul class="legend">
        ${shares.map((share) => html`<li key=${share.phase}><span class="swatch phase-${share.phase}" aria-hidden="true"></span>${printable(share.phase)} <b>${time(share.seconds)}</b></li>`)}
      </ul>
    </div>`;
}

function Checks({ of }) {
  const checks = (of.calibration ?? []).filter((check) => check.eta_seconds != null);
  if (!checks.length) return null;
  return html`
    <table>
      <caption>Forecasts against what came true</caption>
      <thead><tr><th scope="col">When</th><th scope="col">Time left, as forecast</th><th scope="col">Error</th><th scope="col">Within its range</th></tr></thead>
      <tbody>${checks.map((check) => html`
        <tr key=${check.at_percent}>
          <th scope="row">at ${check.at_percent} %</th>
          <td>${time(check.eta_seconds)}</td>
          <td>${check.error_seconds == null ? "–" : `${check.error_seconds > 0 ? "+" : check.error_seconds < 0 ? "−" : ""}${time(Math.abs(check.error_seconds))}`}</td>
          <td>${check.in_range == null ? "–" : check.in_range ? "yes" : "no"}</td>
        </tr>`)}</tbody>
    </table>`;
}

function Actions({ actions, now }) {
  if (!actions?.length) return null;
  return html`
    <table>
      <caption>Actions</caption>
      <thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">By whom</th></tr></thead>
      <tbody>${actions.map((action, at) => html`
        <tr key=${at}><td>${action.at ? clock(epoch(action.at), now) : "–"}</td>
          <td>${printable(action.action)}${action.failed ? ", which libvirt refused" : ""}</td>
          <td>${action.by === "operator" ? operator(action.user_id) : printable(action.by ?? "not recorded")}</td></tr>`)}</tbody>
    </table>`;
}
