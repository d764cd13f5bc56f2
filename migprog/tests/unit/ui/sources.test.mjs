// SPDX-License-Identifier: Apache-2.0
// What all modules of the page may not do: the text of a tenant, or a token, must stay where it is.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

const FILES = new URL("../../../ui/files/", import.meta.url);
const FORBIDDEN = [
  /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DangerouslySet/i,
  /\beval\b|new Function|setTimeout\(["'`]/,
  /localStorage|sessionStorage|indexedDB|document\.cookie|caches\b/,
  /https?:\/\//,
];

for (const name of readdirSync(FILES).filter((each) => each.endsWith(".mjs"))) {
  const text = readFileSync(new URL(name, FILES), "utf8");
  test(`${name} makes no markup of texts, keeps no token and knows no other host`, () => {
    for (const pattern of FORBIDDEN) assert.doesNotMatch(text, pattern);
  });
  test(`${name} is short`, () => assert.ok(text.split("\n").length <= 400));
}
