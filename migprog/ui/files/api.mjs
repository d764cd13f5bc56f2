// SPDX-License-Identifier: Apache-2.0
// Requests to the API that this page comes from. The token is in this object's memory alone.

import * as clock from "./clock.mjs";
import { printable } from "./words.mjs";

const VERSION = "migration-progress 1.5";
// Longer than any deadline of the API.
const ANSWER_SECONDS = 20;

/** The API has refused a request. `code` is stable, `message` is for people. */
export class Refused extends Error {
  constructor(status, error, retryAfter) {
    super(printable(error.detail || error.title || `The API answers ${status}`));
    this.status = status;
    this.code = String(error.code ?? "").replace(/^migration-progress\./, "");
    this.retryAfter = retryAfter;
  }
}

/** No answer, or none that is the API's. */
export class Unreachable extends Error {}

export class Api {
  #token = null;
  #bounds = clock.UNKNOWN;

  /** `base`: the URL of the API's root, with a slash at its end. */
  constructor(base) {
    this.base = base;
  }

  set token(token) {
    this.#token = token;
  }

  /** Seconds since the epoch by the API's clock. */
  now() {
    const ours = performance.now() / 1000;
    return ours + clock.ahead(this.#bounds, Date.now() / 1000 - ours);
  }

  get(path, query = {}, options = {}) {
    return this.#ask("GET", path, { query, ...options });
  }

  post(path, body) {
    return this.#ask("POST", path, { body });
  }

  delete(path) {
    return this.#ask("DELETE", path, {});
  }

  /** Return the document of an answer, null if it has none. Throws Refused, Unreachable.
   *  `waitSeconds`: for how long the API may wait before it answers; `signal`: ends the request;
   *  `version`: the microversion. */
  async #ask(method, path, { query = {}, body, waitSeconds = 0, signal, version = VERSION }) {
    const url = new URL(path, this.base);
    url.search = new URLSearchParams(query);
    const headers = { "OpenStack-API-Version": version, Accept: "application/json" };
    if (this.#token) headers["X-Auth-Token"] = this.#token;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const ending = new AbortController();
    const end = () => ending.abort();
    signal?.addEventListener("abort", end);
    const timer = setTimeout(end, 1000 * (waitSeconds + ANSWER_SECONDS));
    const sent = performance.now() / 1000;
    try {
      const answer = await fetch(url, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
        signal: ending.signal,
      });
      const received = performance.now() / 1000;
      this.#bounds = clock.learn(this.#bounds, answer.headers.get("Date"), sent, received);
      return await read(answer);
    } catch (error) {
      if (error instanceof Refused) throw error;
      throw new Unreachable("the API does not answer");
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
    }
  }
}

async function read(answer) {
  const text = await answer.text();
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    if (answer.ok) throw new Unreachable("what answers is not the API");
  }
  if (answer.ok) return document;
  const error = document?.errors?.[0];
  // A proxy's error has no code of ours: as good as no answer.
  if (!error && answer.status >= 500) throw new Unreachable(`a proxy answers ${answer.status}`);
  throw new Refused(answer.status, error ?? {}, Number(answer.headers.get("Retry-After")) || null);
}

export const migrationPath = (server, id) =>
  `servers/${encodeURIComponent(server)}/migrations/${encodeURIComponent(id)}`;
