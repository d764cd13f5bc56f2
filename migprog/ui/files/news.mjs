// SPDX-License-Identifier: Apache-2.0
// Follows the list of migrations in progress by its news; polls only while the API has none to give.

import { Refused, Unreachable, migrationPath } from "./api.mjs";
import { missing } from "./state.mjs";

const WAIT_SECONDS = 25;
const POLL_SECONDS = 5, POLLS_FOR_SECONDS = 60;
const MOST_PAUSE_SECONDS = 10;
// Final records that are asked for one by one, after an outage.
const MOST_ENDS = 50;
const NO_NEWS = new Set(["too-many-watchers", "too-many-migrations", "too-many-long-polls"]);

/** Calls `onNews` with news, as `take` of state.mjs wants it, until `signal`; `known` returns the
 *  state so far. `onOutage` gets a reason while there is no answer, `onUnauthorized` ends it. */
export async function follow(api, signal, { known, onNews, onOutage, onUnauthorized }) {
  let cursor = null, pollsUntil = 0, failures = 0;
  while (!signal.aborted) {
    try {
      const polls = performance.now() < pollsUntil;
      const news = polls ? await listed(api, signal) : await waited(api, cursor, signal);
      cursor = polls ? null : news.cursor;
      await addEnds(api, known(), news, signal);
      if (signal.aborted) return;
      failures = 0;
      onNews(news);
      if (polls) await pause(POLL_SECONDS, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status === 401) return onUnauthorized(error);
      if (error instanceof Refused && NO_NEWS.has(error.code)) {
        pollsUntil = performance.now() + 1000 * POLLS_FOR_SECONDS;
        cursor = null;
        continue;
      }
      // A fault of the page, too: it must not look as if all were well.
      if (!(error instanceof Refused || error instanceof Unreachable)) console.error(error);
      failures += 1;
      // An API that has restarted gives the whole list at once if no cursor is named.
      if (!(error instanceof Refused)) cursor = null;
      onOutage(error.message);
      await pause(error.retryAfter ?? Math.min(MOST_PAUSE_SECONDS, 2 ** (failures - 1)), signal);
    }
  }
}

async function waited(api, cursor, signal) {
  const waitSeconds = cursor === null ? 0 : WAIT_SECONDS;
  const query = { in_progress: "true", wait: String(waitSeconds) };
  if (cursor !== null) query.since = cursor;
  return api.get("migrations", query, { waitSeconds, signal });
}

/** The first page of the list, as if it were news. */
async function listed(api, signal) {
  const page = await api.get("migrations", { in_progress: "true" }, { signal });
  return {
    migrations: page.migrations, ended: [], left: [], whole: true, isPolling: true,
    truncated: Boolean(page.migrations_links),
  };
}

/** Add the final records of those whose end the news does not have. */
async function addEnds(api, state, news, signal) {
  if (news.truncated) return;
  for (const record of missing(state, news).slice(0, MOST_ENDS)) {
    try {
      const path = migrationPath(record.server_uuid, record.id);
      const { migration } = await api.get(path, {}, { signal });
      if (!migration.in_progress) news.ended.push(migration);
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) throw error;
    }
  }
}

export function pause(seconds, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, 1000 * seconds);
    signal.addEventListener("abort", done);
  });
}
