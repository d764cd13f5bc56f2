// SPDX-License-Identifier: Apache-2.0
// What is known of hosts besides their migrations: the agents, and the drain of one host.

import { plan } from "./plan.mjs";

const AGENTS_SECONDS = 60, DRAIN_SECONDS = 5;
const now = () => performance.now() / 1000;

export class HostsSource {
  // Null: not known yet.
  agents = null;
  agentsError = null;
  drain = null;
  drainError = null;
  plan = null;
  #api;
  #draw;
  #agentsAt = -Infinity;
  #drainAt = -Infinity;

  constructor(api, draw) {
    this.#api = api;
    this.#draw = draw;
  }

  /** Ask for the agents, unless that was a moment ago. */
  async loadAgents() {
    if (now() - this.#agentsAt < AGENTS_SECONDS) return;
    this.#agentsAt = now();
    try {
      const found = [];
      let marker = null;
      do {
        const page = await this.#api.get("agents", marker === null ? {} : { marker });
        found.push(...page.agents);
        marker = page.agents_links ? page.agents.at(-1).host : null;
      } while (marker !== null);
      this.agents = found;
      this.agentsError = null;
    } catch (error) {
      this.agentsError = `The agents are not known: ${error.message}`;
      // What they were a while ago would say that hosts are safe.
      this.agents = this.agents?.map((agent) => ({ ...agent, silent: true })) ?? null;
    }
    this.#draw();
  }

  async loadDrain(host) {
    this.#drainAt = now();
    try {
      this.drain = (await this.#api.get(`hosts/${encodeURIComponent(host)}/drain`)).drain;
      this.drainError = null;
    } catch (error) {
      this.drainError = `The drain is not known: ${error.message}`;
    }
    this.#draw();
    this.plan = await plan(this.#api, host);
    this.#draw();
  }

  /** Ask for the drain of a host again if news touches it. */
  follow(news, host) {
    const touches = (record) => record.source_compute === host || record.dest_compute === host;
    const isLater = now() - this.#drainAt > DRAIN_SECONDS;
    if (isLater && [...news.migrations, ...news.ended].some(touches)) this.loadDrain(host);
  }
}
