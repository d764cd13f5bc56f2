// SPDX-License-Identifier: Apache-2.0
// One migration as it is followed: its record, its history, and after its end its post-mortem.

import { Refused, migrationPath } from "./api.mjs";
import * as history from "./history.mjs";

export class Detail {
  record = null;
  points = [];
  series = null;
  summary = null;
  error = null;
  #api;
  #draw;
  // Whether it is to be asked for again.
  #isAskedFor = false;

  /** `record`: what is known already, or null. `draw` is called when more is known. */
  constructor(api, server, id, record, draw) {
    this.#api = api;
    this.#draw = draw;
    this.server = server;
    this.id = id;
    this.record = record;
  }

  async load() {
    this.#isAskedFor = false;
    try {
      const path = migrationPath(this.server, this.id);
      this.record ??= (await this.#api.get(path)).migration;
      await this.#loadHistory();
    } catch (error) {
      if (!this.record) this.error = error.message;
      // A refusal (4xx) repeats: do not ask again.
      this.#isAskedFor = !(error instanceof Refused && error.status < 500);
    }
    this.#draw();
  }

  /** Take what news has of it; ask again for what has not been answered. */
  async follow(news) {
    const is = (each) => each.id === this.record?.id;
    const found = [...news.migrations, ...news.ended].find(is);
    if (found) {
      this.record = found;
      this.points = history.extended(this.points, found);
      this.#makeSeries();
      this.#draw();
    }
    if (this.#isAskedFor || (found && !found.in_progress)) await this.load();
  }

  async #loadHistory() {
    const path = migrationPath(this.server, this.id);
    const found = await this.#api.get(`${path}/history`);
    this.points = history.extended(found.history, this.record);
    this.#makeSeries();
    if (!this.record.in_progress) this.summary = (await this.#api.get(`${path}/summary`)).summary;
  }

  #makeSeries() {
    this.series = {
      rates: history.rates(this.points, this.record),
      remaining: history.remaining(this.points, this.record),
      forecasts: history.forecasts(this.points, this.record),
    };
  }
}
