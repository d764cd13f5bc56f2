// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import * as history from "../../../ui/files/history.mjs";

const START = 1_700_000_000;
const at = (seconds) => new Date((START + seconds) * 1000).toISOString();
const MIB = 2 ** 20;
const point = (seconds, more = {}) => ({
  sampled_at: at(seconds), status: "running", phase: "memory-iterations", memory_iteration: 1,
  eta_seconds: 10, eta_low_seconds: 8, eta_high_seconds: 15, memory_remaining_bytes: 100 * MIB,
  disk_remaining_bytes: 0, throughput_bytes_per_second: 10 * MIB, dirty_bytes_per_second: MIB,
  iteration_start_remaining_bytes: 200 * MIB, ...more,
});
const record = { started_at: at(0), ended_at: at(20), in_progress: false, status: "completed", memory_total_bytes: 400 * MIB };

test("news is added to the history, once", () => {
  const points = [point(1), point(2)];
  assert.equal(history.extended(points, point(3)).length, 3);
  assert.equal(history.extended(points, point(2, { percent: 9 })).at(-1).percent, 9);
  assert.equal(history.extended(points, point(1.5)), points);
});

test("however long it is followed, the history is bounded", () => {
  let points = [];
  for (let second = 0; second < 5000; second += 1) points = history.extended(points, point(second));
  assert.ok(points.length <= 600);
  assert.equal(points[0].sampled_at, at(0));
  assert.equal(points.at(-1).sampled_at, at(4999));
});

test("what remained at iteration starts stands at the first point of each iteration", () => {
  const points = [point(1), point(2), point(3, { memory_iteration: 2, iteration_start_remaining_bytes: 50 * MIB })];
  const [seconds, , starts] = history.remaining(points, record);
  assert.deepEqual(seconds, [1, 2, 3]);
  assert.deepEqual(starts, [200 * MIB, null, 50 * MIB]);
});

test("forecasts are beside what came true, and what Nova's figures give", () => {
  const [, eta, , , truth, nova] = history.forecasts([point(5), point(12, { throughput_bytes_per_second: null })], record);
  assert.deepEqual(eta, [10, 10]);
  assert.deepEqual(truth, [15, 8]);
  assert.deepEqual(nova, [10, null]);
  assert.deepEqual(history.forecasts([point(5)], { ...record, in_progress: true })[4], [null]);
});

test("Nova's percentage goes back when memory is sent again, and that is said", () => {
  const points = [
    point(2, { memory_remaining_bytes: 300 * MIB }), point(8, { memory_remaining_bytes: 10 * MIB }),
    point(12, { memory_remaining_bytes: 150 * MIB }),
  ];
  assert.equal(history.novaPercent(points[1], record), 97.5);
  const said = history.novasView(points, record, (seconds) => `${seconds} s`);
  assert.match(said, /gone back 1 time$/);
  assert.equal(history.novasView(points, { ...record, status: "cancelled" }, String), null);
});
