// SPDX-License-Identifier: Apache-2.0
// What is around each view: the way to the others, the clock, whether the API answers.

import { Confirm } from "./confirm.mjs";
import { Component, html } from "./html.mjs";
import { Ended } from "./view_ended.mjs";
import { Hosts } from "./view_hosts.mjs";
import { Migration } from "./view_migration.mjs";
import { Now } from "./view_now.mjs";
import { SignIn } from "./view_sign_in.mjs";
import { clock, duration, printable } from "./words.mjs";

// Longer than any request for news takes.
const SILENT_SECONDS = 60;
const SHOWN = { now: Now, hosts: Hosts, ended: Ended, migration: Migration };

/** Shows what has gone wrong in the page itself, rather than nothing. */
export class Shell extends Component {
  state = { error: null };

  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render({ app }, { error }) {
    if (error) return html`<main><p class="nothing">The page has failed: ${String(error)}. Load it again.</p></main>`;
    const View = SHOWN[app.place.view];
    return html`
      <${Head} app=${app} />
      <${Outage} app=${app} />
      <main id="main" tabindex="-1">
        ${app.isSignedIn
          ? html`<${View} app=${app} />`
          : app.withToken
            ? html`<${SignIn} byPassword=${app.byPassword} ...${app.signIn} onToken=${(token) => app.signInByToken(token)} onPassword=${(values) => app.signInByPassword(values)} />`
            : html`<p class="nothing">${app.signIn.why ?? "Asking the API …"}</p>`}
      </main>
      ${app.question ? html`<${Confirm} key=${app.question.action} ...${app.question} onAnswer=${(isWanted) => app.answer(isWanted)} />` : null}`;
  }
}

function Head({ app }) {
  const { state, now, rights } = app;
  const views = [["now", "Now"], ...(rights?.hosts ? [["hosts", "Hosts"]] : []), ["ended", "Ended"]];
  return html`
    <header class="top">
      <h1>Live migrations</h1>
      ${app.isSignedIn ? html`
        <nav aria-label="Views">${views.map(([view, text]) => html`
          <a key=${view} href=${`#/${view}`} aria-current=${app.place.view === view ? "page" : undefined}>${text}${view === "now" && state.takenAt !== null ? html` <span class="badge">${state.records.size}</span>` : null}</a>`)}
        </nav>` : null}
      <div class="right">
        ${app.isSignedIn && state.takenAt !== null ? html`<${Link} state=${state} now=${now} />` : null}
        <time class="clock" title="The API's clock">${clock(now, now)}</time>
        ${app.isSignedIn && app.withToken ? html`<button type="button" class="quiet" onClick=${() => app.signOut()}>Sign out</button>` : null}
      </div>
    </header>`;
}

/** How the page gets its news. */
function Link({ state, now }) {
  if (state.outage !== null || now - state.takenAt > SILENT_SECONDS) return html`<span class="link bad">▲ ${duration(now - state.takenAt)} old</span>`;
  return state.isPolling ? html`<span class="link">◆ every 5 s</span>` : html`<span class="link good">● live</span>`;
}

function Outage({ app }) {
  const { state, now } = app;
  if (!app.isSignedIn || state.outage === null) return null;
  const old = state.takenAt === null ? "Nothing is known yet" : `The figures are ${duration(now - state.takenAt)} old (from ${clock(state.takenAt, now)})`;
  return html`<p class="outage"><b>${old}:</b> ${printable(state.outage)}. Trying again.</p>`;
}
