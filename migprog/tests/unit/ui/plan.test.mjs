// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { late, plan, rows } from "../../../ui/files/plan.mjs";

const move = { server_uuid: "1", server_name: "web", state: "waiting", beside: 2, starts_seconds: 0, ends_seconds: 90 };

test("rows say when each server moves, and why others do not", () => {
  const found = rows({
    moves: [move, { ...move, starts_seconds: null, ends_seconds: null }],
    stays: [{ server_uuid: "2", state: "stays", message: "does not converge" }],
    unplanned: [{ server_uuid: "3", reason: "not-measured", message: "was not measured" }],
  });
  assert.deepEqual(found.map((each) => [each.state, each.said]), [
    ["waiting", "0s to 1m30s, at most 2 at once"],
    ["waiting", "? to ?, at most 2 at once"],
    ["stays", "does not converge"],
    ["not planned", "was not measured"],
  ]);
});

test("a drain that has begun is late or early", () => {
  assert.equal(late({ late_seconds: null }), null);
  assert.equal(late({ late_seconds: 61.2 }), "1m01s late");
  assert.equal(late({ late_seconds: -5 }), "5s early");
});

test("a plan is asked for in the microversion that has it; where there is none, nothing is shown", async () => {
  const asked = [];
  const api = { get: async (...given) => (asked.push(given), { drain_plan: { host: "a/b" } }) };
  assert.deepEqual(await plan(api, "a/b"), { host: "a/b" });
  assert.deepEqual(asked, [["hosts/a%2Fb/drain-plan", {}, { version: "migration-progress 1.7" }]]);
  assert.equal(await plan({ get: async () => { throw new Error("refused"); } }, "a"), null);
});
