// SPDX-License-Identifier: Apache-2.0
// Where in the page one is, as the fragment of its address. Pure.

export const VIEWS = ["now", "hosts", "ended", "migration"];

/** {view, path: the names after it, query: an object of texts}. */
export function read(fragment) {
  const [path, query = ""] = fragment.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/").map(decoded);
  return {
    view: VIEWS.includes(view) ? view : "now",
    path: rest.filter(Boolean),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** The fragment of a view; empty values of the query are left out. */
export function write(view, path = [], query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value);
  const asked = new URLSearchParams(kept).toString();
  return `#/${[view, ...path].map(encodeURIComponent).join("/")}${asked ? `?${asked}` : ""}`;
}

export const of = ({ view, path, query }) => write(view, path, query);
export const ofMigration = (record) => write("migration", [record.server_uuid, String(record.id)]);
export const ofHost = (host) => write("hosts", [host]);

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
