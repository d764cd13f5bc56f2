// SPDX-License-Identifier: Apache-2.0
// What may be done to a migration, and what that does to its guest. Pure.

import { name } from "./record.mjs";
import { printable, time } from "./words.mjs";

export const ABORT = "abort", FORCE_COMPLETE = "force_complete";

/** Why a migration's state does not permit an action; null if it may work. The same rules as the
 *  API's, which has the last word. */
export function refusal(action, record) {
  if (!record.in_progress) return "the migration has ended";
  if (!["running", "post-migrating"].includes(record.status)) {
    return "the server runs at its destination already";
  }
  if (action === ABORT) return null;
  if (["setup", "disk-copy"].includes(record.phase)) return "no memory is being copied yet";
  return record.phase === "switchover" ? "the server switches over already" : null;
}

/** What a confirmation says: {title, lines, button}. */
export function confirmation(action, record) {
  const server = name(record);
  const source = printable(record.source_compute || "its source");
  if (action === ABORT) {
    return {
      title: `Abort the migration of ${server}?`,
      lines: [
        `The guest keeps running on ${source}. It is not paused, and loses nothing.`,
        "What has been copied so far is thrown away: a later migration begins from the start.",
      ],
      button: "Abort the migration",
    };
  }
  const needed = record.downtime_needed_seconds;
  const pause = needed == null ? "a time that is not known yet" : `about ${time(needed)}`;
  return {
    title: `Force the migration of ${server} to complete?`,
    lines: [
      "If the migration was started with permission for post-copy, the guest moves at once and " +
        "fetches its remaining memory over the network. It runs slower meanwhile. This cannot be " +
        "undone: if the network fails for good, the guest is lost.",
      `Otherwise the guest is paused until all its memory is at the destination: ${pause}. ` +
        "It resumes there, or on its source if the migration fails or is aborted.",
    ],
    button: "Force it to complete",
  };
}
