// SPDX-License-Identifier: Apache-2.0
// The hosts: what migrates from and to each, whether it may be restarted, and when it will be empty.

import * as hosts from "./hosts.mjs";
import { html } from "./html.mjs";
import { List } from "./list.mjs";
import { Bar, Fact, Host, Percent, Search, Server, Verdict } from "./parts.mjs";
import { Plan } from "./plan.mjs";
import * as record from "./record.mjs";
import { bytes, clock, count, duration, epoch, printable, time } from "./words.mjs";

const SIGNS = { yes: "●", no: "▲", unknown: "◆" };
const TONES = { yes: "good", no: "bad", unknown: "unsure" };
const WORDS = { yes: "safe to restart", no: "do not restart", unknown: "not known" };

export function Hosts({ app }) {
  const [host] = app.place.path;
  return host ? html`<${OneHost} app=${app} host=${host} />` : html`<${AllHosts} app=${app} />`;
}

const isKnown = (state) => state.takenAt !== null && state.outage === null && !state.truncated;

function AllHosts({ app }) {
  const { state, now } = app;
  const { agents, agentsError } = app.hosts;
  const text = (app.place.query.text ?? "").trim().toLowerCase();
  const rows = hosts
    .listed(state.sorted, agents ?? [], isKnown(state), now)
    .filter((row) => row.host.toLowerCase().includes(text));
  const safe = rows.filter((row) => row.answer === "yes").length;
  return html`
    <h2 tabindex="-1" class="hidden">Hosts</h2>
    <dl class="totals">
      <div><dt>Hosts</dt><dd>${rows.length}</dd></div>
      <div><dt>Safe to restart</dt><dd>${safe}</dd></div>
      <div><dt>With migrations</dt><dd>${rows.filter((row) => row.touching.length).length}</dd></div>
    </dl>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Search} label="Search" value=${app.place.query.text ?? ""} onInput=${(value) => app.filter({ text: value })} />
    </form>
    ${agentsError ? html`<p class="nothing">${agentsError}</p>` : null}
    ${rows.length && (agents !== null || agentsError)
      ? html`<${List} kind="hosts" label="Hosts" items=${rows} id=${(row) => row.host} headings=${["Host", "Restart", "Migrations", "The last ends", "Servers"]} row=${(row) => html`<${Row} of=${row} now=${now} />`} />`
      : html`<p class="nothing">${agents === null ? "Asking the API …" : text ? "No host matches." : "No host is known."}</p>`}`;
}

const Restart = ({ of }) =>
  html`<span class="verdict ${TONES[of.answer]}"><span class="sign" aria-hidden="true">${SIGNS[of.answer]}</span>${WORDS[of.answer]}</span>`;

function Row({ of, now }) {
  return html`
    <span role="cell" class="who"><span class="server"><${Host} name=${of.host} linked=${true} /></span></span>
    <span role="cell" class="what"><${Restart} of=${of} /><span class="faint why">${of.why}</span></span>
    <span role="cell" class="number">${of.off} leaving, ${of.to} arriving</span>
    <span role="cell" class="number"><span class="narrow">last ends </span>${of.lastEndsAt === null ? (of.touching.length ? "not known" : "–") : clock(of.lastEndsAt, now)}</span>
    <span role="cell" class="number">${of.agent?.servers == null ? "–" : html`${of.agent.servers}<span class="narrow"> servers</span>, ${bytes(of.agent.servers_memory_bytes ?? 0)}`}</span>`;
}

// The sections of a host's page, in their order.
const SECTIONS = [Safe, Drain, Plan, Touching];

function OneHost({ app, host }) {
  const { state, now } = app;
  const { agents } = app.hosts;
  const agent = agents === null ? null : agents.find((each) => each.host === host);
  const found = hosts.restart(state.sorted, host, agent, isKnown(state), now);
  return html`
    <p class="back"><a href="#/hosts">← all hosts</a></p>
    <h2 tabindex="-1" class="name"><bdi>${printable(host)}</bdi></h2>
    ${SECTIONS.map((Section) => html`<${Section} key=${Section.name} app=${app} agent=${agent} found=${found} host=${host} />`)}`;
}

function Safe({ app, agent, found }) {
  return html`
    <section class="card head ${TONES[found.answer]}" aria-label="Restart">
      <div class="line"><${Restart} of=${found} /><span>${found.why}</span></div>
      <dl class="facts">
        <${Fact} name="The last ends">${found.lastEndsAt === null ? (found.touching.length ? "not known" : "–") : `${clock(found.lastEndsAt, app.now)}, in ${duration(found.lastEndsAt - app.now)}`}<//>
        <${Fact} name="Servers">${agent?.servers ?? "–"}<//>
        <${Fact} name="Their memory">${agent?.servers_memory_bytes == null ? "–" : bytes(agent.servers_memory_bytes)}<//>
        <${Fact} name="Agent">${agent ? `${printable(agent.version ?? "?")}, last report ${time(Math.max(0, app.now - epoch(agent.last_reported_at)))} ago` : "none known"}<//>
      </dl>
    </section>`;
}

function Drain({ app, host }) {
  const drain = app.hosts.drain?.host === host ? app.hosts.drain : null;
  if (!drain) return app.hosts.drainError ? html`<p class="nothing">${app.hosts.drainError}</p>` : null;
  const range = drain.eta_low_seconds == null ? "" : ` (${time(drain.eta_low_seconds)} to ${time(drain.eta_high_seconds)})`;
  return html`
    <section class="card" aria-labelledby="drain">
      <h3 id="drain">Drain</h3>
      <dl class="facts">
        <${Fact} name="Empty in">${drain.eta_seconds == null ? "not known" : `${time(drain.eta_seconds)}${range}`}<//>
        <${Fact} name="Left to go">${drain.servers == null ? "–" : count(drain.servers, "server")}<//>
        <${Fact} name="Rate">${drain.transfer_rate?.bytes_per_second == null ? "–" : `${bytes(drain.transfer_rate.bytes_per_second)}/s`}<//>
      </dl>
      ${drain.eta_message ? html`<p class="said">${printable(drain.eta_message)}</p>` : null}
    </section>`;
}

function Touching({ app, found }) {
  if (!found.touching.length) return null;
  return html`
    <section class="card" aria-labelledby="touching">
      <h3 id="touching">Migrations</h3>
      <ul class="few">${found.touching.slice(0, 100).map((each) => html`
        <li key=${each.id}><${Server} of=${each} /> <${Verdict} of=${each} now=${app.now} />
          <${Bar} of=${each} now=${app.now} solid=${app.state.solid.get(each.id)} /><${Percent} of=${each} />
          <span class="faint route">${record.route(each)}</span>
          <span>${record.leftText(record.left(each, app.now)) || "not known"}</span></li>`)}</ul>
      ${found.touching.length > 100 ? html`<p class="faint">${found.touching.length - 100} more</p>` : null}
    </section>`;
}
