// SPDX-License-Identifier: Apache-2.0
// The migrations that have ended, the newest first, page by page.

const PAGE_LIMIT = 200, MOST = 2000;
const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

export class EndedSource {
  records = [];
  // Of the last one of the last page; null: there is no further page.
  marker = null;
  isLoading = false;
  // Whether they are of the one server whose UUID is searched for.
  isByServer = false;
  error = null;
  #api;
  #draw;
  #query = {};
  // What was asked for; null: it is to be asked for again.
  #asked = null;

  constructor(api, draw) {
    this.#api = api;
    this.#draw = draw;
  }

  /** Have the first page asked for again. */
  renew() {
    this.#asked = null;
  }

  /** Ask for what a query selects: `status`, `host`, and `text` if it is the UUID of a server. */
  load(query) {
    const server = UUID.test((query.text ?? "").trim()) ? query.text.trim() : "";
    const wanted = { in_progress: "false", limit: String(PAGE_LIMIT) };
    if (query.status) wanted.status = query.status;
    if (query.host) wanted.host = query.host;
    if (server) wanted.server_uuid = server;
    if (JSON.stringify(wanted) === JSON.stringify(this.#asked)) return;
    this.#query = query;
    this.isByServer = Boolean(server);
    Object.assign(this, { records: [], marker: null });
    this.#asked = wanted;
    return this.#page(wanted, {});
  }

  /** Ask for the next page. */
  more() {
    if (!this.isLoading && this.marker) return this.#page(this.#asked, { marker: this.marker });
  }

  /** A migration that has just ended joins those that are shown, if they are of all hosts. */
  add(record) {
    const { status, host } = this.#query;
    if (this.#asked === null || this.isByServer || host || (status && status !== record.status)) return;
    if (this.records.some((each) => each.id === record.id)) return;
    this.records = [record, ...this.records].slice(0, MOST);
  }

  async #page(asked, more) {
    Object.assign(this, { isLoading: true, error: null });
    this.#draw();
    let found = null, error = null;
    try {
      found = await this.#api.get("migrations", { ...asked, ...more });
    } catch (failure) {
      error = failure.message;
    }
    // Something else was asked for meanwhile.
    if (this.#asked !== asked) return;
    this.isLoading = false;
    if (found) {
      const known = new Set(this.records.map((record) => record.id));
      this.records = [...this.records, ...found.migrations.filter((record) => !known.has(record.id))];
      const isMore = found.migrations_links && this.records.length < MOST;
      this.marker = isMore ? found.migrations.at(-1).uuid : null;
    } else {
      this.error = error;
      this.#asked = null;
    }
    this.#draw();
  }
}
