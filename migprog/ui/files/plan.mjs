// SPDX-License-Identifier: Apache-2.0
// The plan of a host's drain, as the host's page shows it.

import { html } from "./html.mjs";
import { Fact } from "./parts.mjs";
import { clock, duration, epoch, printable } from "./words.mjs";

const VERSION = "migration-progress 1.7";
const MOST = 100;
const TONES = { done: "good", failed: "bad", stays: "unsure", gone: "unsure" };

/** The plan of a host; null where there is none to be seen. */
export async function plan(api, host) {
  try {
    return (await api.get(`hosts/${encodeURIComponent(host)}/drain-plan`, {}, { version: VERSION })).drain_plan;
  } catch {
    return null;
  }
}

/** The servers of a plan, each with what is to be said of it. */
export const rows = (plan) => [
  ...plan.moves.map((move) => ({ ...move, said: `${span(move)}, at most ${move.beside} at once` })),
  ...plan.stays.map((stay) => ({ ...stay, said: stay.message })),
  ...plan.unplanned.map((each) => ({ ...each, state: "not planned", said: each.message })),
];

const after = (seconds) => (seconds === null ? "?" : duration(seconds));
const span = (move) => `${after(move.starts_seconds)} to ${after(move.ends_seconds)}`;

/** By how much a drain is late or early, in words. */
export const late = ({ late_seconds: seconds }) =>
  seconds === null ? null : `${duration(Math.abs(seconds))} ${seconds < 0 ? "early" : "late"}`;

export function Plan({ app, host }) {
  const found = app.hosts.plan;
  if (found?.host !== host) return null;
  const all = rows(found);
  const at = (instant) => (instant === null ? "?" : clock(epoch(instant), app.now));
  const range = found.ends_at_latest === null ? " at the earliest" : ` (${at(found.ends_at_earliest)} to ${at(found.ends_at_latest)})`;
  return html`
    <section class="card" aria-labelledby="plan">
      <h3 id="plan">Plan</h3>
      <dl class="facts">
        <${Fact} name=${found.begun_at ? "Ends" : "Would end"}>${found.ends_at ? at(found.ends_at) + range : "not known"}<//>
        <${Fact} name="By the plan">${late(found) ?? "not begun"}<//>
        <${Fact} name="Two at once">${found.usual_seconds === null ? "would not end" : duration(found.usual_seconds)}<//>
      </dl>
      <p class="said">${printable(found.message)}</p>
      <ol class="few plan">${all.slice(0, MOST).map((each) => html`
        <li key=${each.server_uuid}><bdi class="server">${printable(each.server_name || each.server_uuid)}</bdi>
          <span class="verdict ${TONES[each.state] ?? "plain"}">${each.state}</span>
          <span class="why">${printable(each.said)}</span></li>`)}</ol>
      ${all.length > MOST ? html`<p class="faint">${all.length - MOST} more</p>` : null}
    </section>`;
}
