// SPDX-License-Identifier: Apache-2.0
// The migrations in progress, and those that have just ended.

import * as advice from "./advice.mjs";
import * as fleet from "./fleet.mjs";
import { html } from "./html.mjs";
import { List } from "./list.mjs";
import { Bar, Choice, Percent, Search, Server, Verdict } from "./parts.mjs";
import * as record from "./record.mjs";
import { clock, epoch, printable, size } from "./words.mjs";

const HEADINGS = ["Server", "Progress", "Time left", "Ends", "Verdict"];

// A page is drawn each second, and a list changes less often.
const selected = fleet.remembered(fleet.selected);
const choicesOf = fleet.remembered(fleet.choices);
const totalsOf = fleet.remembered(fleet.totals);

export function Now({ app }) {
  const { state, place } = app;
  const filter = place.query;
  const shown = selected(state.sorted, filter);
  const choices = choicesOf(state.sorted);
  const set = (name) => (value) => app.filter({ [name]: value });
  return html`
    <h2 class="hidden" tabindex="-1">Now</h2>
    <${Totals} records=${shown} now=${app.now} truncated=${state.truncated} />
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Search} label="Search" value=${filter.text ?? ""} onInput=${set("text")} />
      ${choices.hosts.length || filter.host ? html`<${Choice} label="Host" all="all hosts" value=${filter.host ?? ""} options=${choices.hosts} onChange=${set("host")} />` : null}
      <${Choice} label="Project" all="all projects" value=${filter.project ?? ""} options=${choices.projects} onChange=${set("project")} />
      <${Choice} label="Verdict" all="all verdicts" value=${filter.verdict ?? ""} onChange=${set("verdict")}
        options=${[["trouble", "in trouble"], ["stale", "stale"], ...choices.verdicts]} />
    </form>
    ${shown.length
      ? html`<${List} kind="now" label="Migrations" items=${shown} id=${(each) => each.id} headings=${HEADINGS} row=${(each) => html`<${Row} of=${each} app=${app} />`} />`
      : html`<p class="nothing">${state.takenAt === null ? "Asking the API …" : state.sorted.length ? "No migration matches the filter." : "No migration is in progress."}</p>`}`;
}

function Totals({ records, now, truncated }) {
  const found = totalsOf(records);
  const kinds = [
    [found.postCopyPaused, "post-copy-paused"], [found.stalled, "stalled"], [found.notConverging, "not-converging"],
  ].filter(([number]) => number);
  const words = kinds.map(([number, word]) => (kinds.length > 1 ? `${number} ${word}` : word)).join(", ");
  return html`
    <dl class="totals">
      <div><dt>In progress</dt><dd>${found.inProgress}${truncated ? " or more" : ""}</dd></div>
      <div class=${found.inTrouble ? "bad" : ""}><dt>In trouble</dt><dd>${found.inTrouble}${words ? html` <small>${words}</small>` : null}</dd></div>
      ${found.stale ? html`<div class="unsure"><dt>Stale</dt><dd>${found.stale}</dd></div>` : null}
      <div><dt>Sent</dt><dd>${size(found.sent)}/s</dd></div>
      <div><dt>The last ends</dt><dd>${found.lastEndsAt === null ? (found.inProgress ? "not known" : "–") : clock(found.lastEndsAt, now)}</dd></div>
      ${found.ended ? html`<div><dt>Just ended</dt><dd>${found.ended}</dd></div>` : null}
    </dl>`;
}

function Row({ of, app }) {
  const { now, state } = app;
  const left = record.left(of, now);
  const endsAt = of.in_progress ? (left?.endsAt ?? null) : of.ended_at ? epoch(of.ended_at) : null;
  const said = advice.line(of, now);
  const about = said ?? printable(of.verdict_message ?? "");
  return html`
    <span role="cell" class="who ${of.stale ? "old" : ""}"><${Server} of=${of} /><span class="faint route">${record.route(of)}</span></span>
    <span role="cell" class="how ${of.stale ? "old" : ""}"><${Bar} of=${of} now=${now} solid=${state.solid.get(of.id)} /><${Percent} of=${of} /></span>
    <span role="cell" class="left"><span>${record.leftText(left, true) || (of.in_progress ? "not known" : "")}</span></span>
    <span role="cell" class="ends">${endsAt === null ? "" : html`<span class="narrow">${of.in_progress ? "ends" : "ended"} </span>${clock(endsAt, now)}`}</span>
    <span role="cell" class="what"><${Verdict} of=${of} now=${now} /></span>
    <span role="cell" class="advice ${said ? record.tone(of) : "faint"}" title=${about}><${Phase} of=${of} />${about}</span>`;
}

function Phase({ of }) {
  if (!of.in_progress) return null;
  const rates = of.stale || of.throughput_bytes_per_second == null ? "" : `, ${size(of.throughput_bytes_per_second)}/s`;
  return html`<span class="phase">${record.phase(of)}${rates} · </span>`;
}

