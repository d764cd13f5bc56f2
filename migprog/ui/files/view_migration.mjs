// SPDX-License-Identifier: Apache-2.0
// One migration: as it is, how it came there, what may be done; after its end the post-mortem.

import * as actions from "./actions.mjs";
import * as advice from "./advice.mjs";
import { Chart } from "./chart.mjs";
import { html } from "./html.mjs";
import { Bar, Fact, Host, Percent, Verdict } from "./parts.mjs";
import { PostMortem } from "./post_mortem.mjs";
import * as record from "./record.mjs";
import * as place from "./place.mjs";
import { adviceAndActions } from "./steering.mjs";
import { bytes, clock, dateAndClock, duration, epoch, printable, time } from "./words.mjs";

const BACK = { now: "all migrations", hosts: "hosts", ended: "ended migrations" };
const POWERS_OF_2 = Array.from({ length: 50 }, (_, power) => 2 ** power);

export function Migration({ app }) {
  const { detail, now } = app;
  if (!detail?.record) {
    return html`<h2 tabindex="-1">Migration</h2><p class="nothing">${detail?.error ?? "Asking the API …"}</p>`;
  }
  const of = detail.record;
  return html`
    <p class="back"><a href=${place.of(app.from)}>← ${BACK[app.from.view]}</a></p>
    <h2 tabindex="-1" class="name"><bdi>${record.name(of)}</bdi></h2>
    <${Head} of=${of} app=${app} />
    ${detail.summary && !of.in_progress ? html`<${PostMortem} summary=${detail.summary} points=${detail.points} record=${of} now=${now} />` : null}
    <${Charts} detail=${detail} />
    <${Disks} disks=${of.disks} />
    <${Advice} of=${of} now=${now} />
    <${Facts} of=${of} app=${app} />`;
}

function Head({ of, app }) {
  const { now, state, rights } = app;
  const left = record.left(of, now);
  const said = advice.line(of, now);
  const started = epoch(of.started_at);
  return html`
    <section class="card head ${record.tone(of)}" aria-label="State">
      <div class="line"><${Verdict} of=${of} now=${now} />
        <span class="faint">${record.route(of)}${of.in_progress ? ` · ${record.phase(of)}` : ""}</span></div>
      <div class="line big"><${Bar} of=${of} now=${now} solid=${state.solid.get(of.id)} /><${Percent} of=${of} /></div>
      <dl class="facts">
        ${of.in_progress
          ? html`<${Fact} name="Time left">${record.leftText(left, true) || "not known"}<//>
                 <${Fact} name="Ends">${left ? clock(left.endsAt, now) : "not known"}<//>
                 <${Fact} name="Running for">${time(Math.max(0, now - started))}<//>`
          : html`<${Fact} name="Took">${of.total_seconds == null ? "not known" : time(of.total_seconds)}<//>
                 <${Fact} name="Downtime">${of.downtime_seconds == null ? "not known" : time(of.downtime_seconds)}<//>
                 <${Fact} name="Ended">${of.ended_at ? dateAndClock(epoch(of.ended_at)) : "not known"}<//>`}
        <${Fact} name="Started">${dateAndClock(started)}<//>
      </dl>
      <p class="said">${said ?? printable(of.verdict_message ?? "")}</p>
      <${Buttons} of=${of} app=${app} rights=${rights} />
    </section>`;
}

/** The actions that the user has the right to; those that the state does not permit say why. */
function Buttons({ of, app, rights }) {
  const outcome = app.outcomes.get(of.id);
  const said = outcome === null ? "Asking the agent …" : outcome;
  if (!of.in_progress || !rights?.actions) return said ? html`<p class="done" role="status">${said}</p>` : null;
  const offered = [
    [actions.ABORT, rights.abort, "Abort …"],
    [actions.FORCE_COMPLETE, rights.force_complete, "Force complete …"],
  ].filter(([, may]) => may);
  return html`
    <div class="buttons">
      ${offered.map(([action, , text]) => {
        const why = actions.refusal(action, of);
        return html`<button key=${action} type="button" disabled=${Boolean(why) || outcome === null} title=${why ?? ""} onClick=${() => app.ask(action, of)}>${text}</button>`;
      })}
      ${said ? html`<span class="done" role="status">${said}</span>` : null}
    </div>`;
}

function Charts({ detail }) {
  const { series, record: of } = detail;
  if (!series || series.rates[0].length < 2) return null;
  const whole = !of.in_progress;
  const top = topOf(series.forecasts);
  return html`
    <section class="charts" aria-label="Charts">
      <${Chart} title="Memory that remains" data=${series.remaining} format=${bytes} axis=${bytes} steps=${POWERS_OF_2}
        summary=${`${of.memory_remaining_bytes == null ? "not known" : bytes(of.memory_remaining_bytes)} now, iteration ${of.memory_iteration ?? "not known"}`}
        series=${[{ label: "remains", color: "--series-1" }, { label: "at iteration starts", color: "--series-2", points: true }]} />
      <${Chart} title="Transfer rate against dirty rate" data=${series.rates} format=${(value) => `${bytes(value)}/s`} axis=${(value) => `${bytes(value)}/s`} steps=${POWERS_OF_2}
        summary=${`${rate(of.throughput_bytes_per_second)} sent, ${rate(of.dirty_bytes_per_second)} dirtied`}
        series=${[{ label: "sent", color: "--series-1" }, { label: "dirtied by the guest", color: "--series-2", dash: [6, 4] }]} />
      <${Chart} key=${whole ? "whole" : "part"} title=${whole ? "Time left: forecast, and what came true" : "Time left: forecast and its range"}
        data=${whole ? series.forecasts : series.forecasts.filter((_, at) => at !== 4)} format=${time} axis=${duration} most=${top}
        summary=${of.in_progress ? `${of.eta_seconds == null ? "not known" : time(of.eta_seconds)} by the latest report` : "it has ended"}
        series=${[
          { label: "forecast", color: "--series-1" }, { label: "lowest", color: "--series-1", band: true }, { label: "highest", color: "--series-1", band: true },
          ...(whole ? [{ label: "came true", color: "--series-3" }] : []),
          { label: "by Nova's figures", color: "--series-2", dash: [2, 4] },
        ]} />
    </section>`;
}

const rate = (value) => (value == null ? "not known" : `${bytes(value)}/s`);

/** The top of the scale of forecasts: three times what matters, though single ranges may be wider. */
function topOf([, eta, low, , truth]) {
  const known = [...eta, ...low, ...truth].filter((value) => value !== null);
  return known.length ? Math.max(1, 1.6 * Math.max(...known)) : undefined;
}

function Disks({ disks }) {
  if (!disks?.length) return null;
  return html`
    <section class="card" aria-labelledby="disks">
      <h3 id="disks">Disks</h3>
      <ul class="disks">${disks.map((disk) => {
        const share = disk.total_bytes ? (100 * disk.processed_bytes) / disk.total_bytes : 100;
        return html`<li key=${disk.name}><b><bdi>${printable(disk.name)}</bdi></b>
          <span class="bar plain" aria-hidden="true"><span class="sure" style=${{ width: `${Math.min(100, share).toFixed(1)}%` }}></span></span>
          <span>${bytes(disk.processed_bytes)} of ${bytes(disk.total_bytes)}, ${bytes(disk.remaining_bytes)} remain</span></li>`;
      })}</ul>
    </section>`;
}

function Advice({ of, now }) {
  const rows = adviceAndActions(of);
  if (!rows.length) return null;
  return html`
    <section class="card" aria-labelledby="advice">
      <h3 id="advice">Advice and actions</h3>
      <div class="scrolled" tabindex="0" role="group" aria-labelledby="advice"><table>
        <thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">By whom</th><th scope="col">State</th><th scope="col">In hindsight</th></tr></thead>
        <tbody>${rows.map((each, at) => html`
          <tr key=${at}><td>${each.at ? clock(epoch(each.at), now) : "–"}</td>
            <td>${printable(each.what)}</td><td>${each.by}</td><td>${printable(each.state ?? "")}</td>
            <td>${printable(each.score_message ?? "–")}</td></tr>`)}</tbody>
      </table></div>
    </section>`;
}

function Facts({ of, app }) {
  const linked = app.rights?.hosts;
  const seconds = (value) => (value == null ? "–" : time(value));
  const amount = (value) => (value == null ? "–" : bytes(value));
  return html`
    <section class="card" aria-labelledby="facts">
      <h3 id="facts">Figures</h3>
      <dl class="facts all">
        <${Fact} name="From"><${Host} name=${of.source_compute} linked=${linked} /><//>
        <${Fact} name="To"><${Host} name=${of.dest_compute} linked=${linked} /><//>
        <${Fact} name="Memory">${amount(of.memory_total_bytes)}<//>
        <${Fact} name="Memory that remains">${amount(of.memory_remaining_bytes)}<//>
        <${Fact} name="Sent on the wire">${amount(of.memory_processed_bytes)}<//>
        <${Fact} name="Iteration">${of.memory_iteration ?? "–"}<//>
        <${Fact} name="Downtime limit">${seconds(of.downtime_limit_seconds)}<//>
        <${Fact} name="Downtime needed">${seconds(of.downtime_needed_seconds)}<//>
        <${Fact} name="Bandwidth needed">${of.bandwidth_needed_bytes_per_second == null ? "–" : rate(of.bandwidth_needed_bytes_per_second)}<//>
        <${Fact} name="Guest slowed by">${of.cpu_throttle_percent ? `${of.cpu_throttle_percent} %` : "–"}<//>
        <${Fact} name="Last report">${dateAndClock(epoch(of.last_reported_at))}<//>
        <${Fact} name="Error">${of.error ? printable(of.error) : "–"}<//>
        <${Fact} name="Server"><code>${printable(of.server_uuid)}</code><//>
        <${Fact} name="Migration"><code>${printable(of.uuid)}</code><//>
        <${Fact} name="In Nova"><code>${of.nova_uuid ? printable(of.nova_uuid) : "–"}</code><//>
        <${Fact} name="Project"><code>${printable(of.project_id ?? "–")}</code><//>
      </dl>
    </section>`;
}
