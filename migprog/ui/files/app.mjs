// SPDX-License-Identifier: Apache-2.0
// The page: what it knows, what it asks the API for, and when it is drawn.

import { changes } from "./announce.mjs";
import * as actions from "./actions.mjs";
import { Api, Refused, migrationPath } from "./api.mjs";
import { Detail } from "./detail.mjs";
import { EndedSource } from "./ended_source.mjs";
import { HostsSource } from "./hosts_source.mjs";
import { html, render } from "./html.mjs";
import { follow } from "./news.mjs";
import * as place from "./place.mjs";
import { isInTrouble } from "./record.mjs";
import { NOTHING_KNOWN, expire, take } from "./state.mjs";
import { Shell } from "./shell.mjs";

const TICK_MS = 1000;
// A screen reader announces changes at most this often.
const SAY_MS = 5000;

export class App {
  /** `root`: the element to draw in; `said`: the live region; `withToken`: whether a token is
   *  needed; `byPassword`: whether a password may be passed on for one. */
  constructor(api, root, said, { withToken, byPassword }) {
    this.api = api;
    this.withToken = withToken;
    this.byPassword = byPassword;
    this.state = NOTHING_KNOWN;
    this.place = place.read(location.hash);
    this.now = api.now();
    this.rights = null;
    this.signIn = { why: null, isBusy: false };
    this.detail = null;
    this.ended = new EndedSource(api, () => this.draw());
    this.hosts = new HostsSource(api, () => this.draw());
    this.question = null;
    // What came of actions, by the migration's number; null: that is not known yet.
    this.outcomes = new Map();
    // The place that led to the migration that is shown.
    this.from = place.read("");
    this.#root = root;
    this.#said = said;
  }

  #root;
  #said;
  #isAsked = false;
  #following = null;
  #unsaid = [];
  // How far each place was scrolled when it was left.
  #scrolled = new Map();

  start() {
    globalThis.history.scrollRestoration = "manual";
    addEventListener("hashchange", () => this.#moved());
    // The fragment of the address is taken.
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      document.getElementById("main")?.focus();
    });
    document.addEventListener("visibilitychange", () => this.#tick());
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.#say(), SAY_MS);
    if (!this.withToken) this.#enter();
    this.draw();
  }

  get isSignedIn() {
    return this.rights !== null;
  }

  /** Draw soon; several calls make one drawing. */
  draw() {
    document.title = this.#title();
    if (this.#isAsked) return;
    this.#isAsked = true;
    const now = () => {
      this.#isAsked = false;
      this.now = this.api.now();
      render(html`<${Shell} app=${this} />`, this.#root);
    };
    // A hidden page has no frames.
    if (!document.hidden) requestAnimationFrame(now);
    else this.#isAsked = false;
  }

  /** For who looks at another page meanwhile. */
  #title() {
    const bad = this.state.sorted.filter(isInTrouble).length;
    const said = !this.isSignedIn ? "Sign in" : this.state.outage !== null ? "▲ no answer" : bad ? `▲ ${bad} in trouble` : "";
    return [said, "Live migrations"].filter(Boolean).join(" - ");
  }

  // Signing in.

  signInByToken(token) {
    this.api.token = token;
    return this.#enter();
  }

  async signInByPassword(values) {
    this.signIn = { why: null, isBusy: true };
    this.draw();
    try {
      const { token } = await this.api.post("ui/login", values);
      this.api.token = token;
    } catch (error) {
      this.signIn = { why: error.message, isBusy: false };
      return this.draw();
    }
    return this.#enter();
  }

  signOut(why = null) {
    this.#following?.abort();
    this.api.token = null;
    this.rights = null;
    this.signIn = { why, isBusy: false };
    // After an expired token the same user signs in again: keep the state.
    if (why === null) this.#forget();
    this.draw();
  }

  /** Another user must not see what this one saw. */
  #forget() {
    this.state = NOTHING_KNOWN;
    this.detail = this.question = null;
    this.from = place.read("");
    this.outcomes.clear();
    this.#scrolled.clear();
    this.ended = new EndedSource(this.api, () => this.draw());
    this.hosts = new HostsSource(this.api, () => this.draw());
    this.#unsaid = [];
    this.#said.textContent = "";
  }

  async #enter() {
    this.signIn = { why: null, isBusy: true };
    this.draw();
    try {
      const rights = await this.api.get("ui/access");
      const who = `${rights.user_id} ${rights.project_id}`;
      if (this.#who !== who) this.#forget();
      this.#who = who;
      this.rights = rights;
      this.signIn = { why: null, isBusy: false };
      this.#follow();
      this.#moved();
    } catch (error) {
      this.signIn = { why: reason(error), isBusy: false };
      if (!this.withToken && !(error instanceof Refused)) setTimeout(() => this.#enter(), 2000);
    }
    this.draw();
  }

  #who = null;

  // The list of migrations in progress.

  #follow() {
    this.#following?.abort();
    this.#following = new AbortController();
    follow(this.api, this.#following.signal, {
      known: () => this.state,
      onNews: (news) => {
        this.#become(take(this.state, news, this.api.now()));
        this.#pass(news);
      },
      onOutage: (why) => this.#become({ ...this.state, outage: why }),
      onUnauthorized: () => this.signOut("The token has expired or is not valid. Sign in again; what is known is kept."),
    });
  }

  /** Let what else is shown know of news. */
  #pass(news) {
    const { view, path } = this.place;
    this.detail?.follow(news);
    if (view === "hosts" && path[0] && this.rights.drain) this.hosts.follow(news, path[0]);
    for (const record of news.ended) {
      this.ended.add(record);
      this.outcomes.delete(record.id);
    }
  }

  #become(state) {
    const said = changes(this.state, state);
    if (said) this.#unsaid.push(said);
    this.state = state;
    this.draw();
  }

  #tick() {
    if (document.hidden) return;
    this.state = expire(this.state, this.api.now());
    if (this.isSignedIn && this.place.view === "hosts") this.#loadHosts();
    this.draw();
  }

  #say() {
    if (!this.#unsaid.length) return;
    this.#said.textContent = this.#unsaid.splice(0).slice(-3).join(" ");
  }

  // Where one is.

  #moved() {
    const before = this.place;
    this.place = place.read(location.hash);
    if (!this.isSignedIn) return this.draw();
    const { view, path } = this.place;
    if (view === "migration") this.#openMigration(path[0] ?? "", path[1] ?? "");
    else this.detail = null;
    if (view === "hosts") this.#loadHosts();
    if (view === "hosts" && path[0] && this.rights.drain) this.hosts.loadDrain(path[0]);
    // What has ended since is asked for again.
    if (view === "ended" && before.view !== "ended") this.ended.renew();
    if (view === "ended") this.ended.load(this.place.query);
    this.draw();
    if (before.view === view && before.path.join() === path.join()) return;
    this.question = null;
    if (view === "migration" && before.view !== view) this.from = before;
    const left = place.of(before), here = place.of(this.place);
    this.#scrolled.set(left, scrollY);
    requestAnimationFrame(() => {
      scrollTo(0, (view !== "migration" && this.#scrolled.get(here)) || 0);
      // On return, focus the link that was followed.
      const link = [...document.querySelectorAll(".list a, .few a")].find((each) => each.hash === left);
      (link ?? document.querySelector("main h2"))?.focus({ preventScroll: true });
    });
  }

  /** Change the filter of the present view; it is part of its address. */
  filter(values) {
    const query = { ...this.place.query, ...values };
    replaceFragment(place.write(this.place.view, this.place.path, query));
    this.place = place.read(location.hash);
    if (this.place.view === "ended") this.ended.load(this.place.query);
    this.draw();
  }

  #loadHosts() {
    if (this.rights.agents) this.hosts.loadAgents();
  }

  // One migration.

  #openMigration(server, id) {
    if (this.detail?.server === server && this.detail.id === id) return;
    const number = Number(id);
    const known = this.state.records.get(number)
      ?? this.state.ended.find(([, record]) => record.id === number)?.[1];
    this.detail = new Detail(this.api, server, id, known ?? null, () => this.draw());
    this.detail.load();
  }

  /** Ask whether an action is wanted. */
  ask(action, record) {
    this.question = { action, record, ...actions.confirmation(action, record) };
    this.draw();
  }

  async answer(isWanted) {
    const { question } = this;
    if (!question) return;
    this.question = null;
    this.draw();
    if (!isWanted) return;
    const { action, record: { id, server_uuid: server } } = question;
    const path = migrationPath(server, id);
    this.outcomes.set(id, null);
    try {
      if (action === actions.ABORT) await this.api.delete(path);
      else await this.api.post(`${path}/action`, { force_complete: null });
      this.outcomes.set(id, "Requested. The record shows what comes of it.");
    } catch (error) {
      this.outcomes.set(id, `Not done: ${error.message}`);
    }
    this.draw();
  }
}

const replaceFragment = (fragment) => globalThis.history.replaceState(null, "", fragment);

const reason = (error) => (error instanceof Refused && error.status === 401 ? "The token is not valid." : error.message);

const page = document.documentElement.dataset;
const app = new App(
  new Api(new URL("../", document.baseURI)),
  document.getElementById("page"),
  document.getElementById("said"),
  { withToken: page.auth === "keystone", byPassword: page.passwordLogin === "true" },
);
app.start();
