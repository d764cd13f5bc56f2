// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import * as actions from "../../../ui/files/actions.mjs";
import * as clock from "../../../ui/files/clock.mjs";
import * as distribution from "../../../ui/files/distribution.mjs";
import { remembered } from "../../../ui/files/fleet.mjs";
import * as place from "../../../ui/files/place.mjs";
import { adviceAndActions } from "../../../ui/files/steering.mjs";
import { drawn } from "../../../ui/files/window.mjs";
import { bytes, count, time } from "../../../ui/files/words.mjs";

test("only rows in sight, and some around them, are drawn", () => {
  assert.deepEqual(drawn(1000, 64, 0, 640), [0, 14]);
  assert.deepEqual(drawn(1000, 64, 6400, 640), [96, 114]);
  assert.deepEqual(drawn(1000, 64, 1e9, 640), [1000, 1000]);
  assert.deepEqual(drawn(3, 64, -200, 640), [0, 3]);
  assert.deepEqual(drawn(0, 64, 0, 640), [0, 0]);
});

test("a place is read as it was written, with any names", () => {
  const written = place.write("hosts", ["a/b?c#d %"], { text: "x&y", empty: "" });
  assert.deepEqual(place.read(written), { view: "hosts", path: ["a/b?c#d %"], query: { text: "x&y" } });
  assert.equal(place.of(place.read(written)), written);
  assert.equal(place.read("").view, "now");
  assert.equal(place.read("#/no-such-view").view, "now");
  assert.deepEqual(place.read("#/hosts/%E0%A4%A").path, []);
});

test("the API's clock is known within the whole seconds of its answers, whatever ours says", () => {
  const date = (seconds) => new Date(seconds * 1000).toUTCString();
  let bounds = clock.UNKNOWN;
  assert.equal(clock.ahead(bounds, 7), 7);
  // Ours is 1,000 s behind; answers take 0.2 s.
  for (const sent of [5, 7.3, 9.6, 12.9]) {
    bounds = clock.learn(bounds, date(Math.floor(sent + 0.1 + 1000)), sent, sent + 0.2);
  }
  assert.ok(Math.abs(clock.ahead(bounds, 0) - 1000) < 0.4);
  assert.deepEqual(clock.learn(bounds, null, 1, 2), bounds);
  // One of the clocks was set: what is learnt next counts.
  const after = clock.learn(bounds, date(5000), 20, 20.1);
  assert.ok(Math.abs(clock.ahead(after, 0) - 4980) < 1);
});

test("an action that the state does not permit says why", () => {
  const running = { in_progress: true, status: "running", phase: "memory-iterations" };
  assert.equal(actions.refusal(actions.ABORT, running), null);
  assert.equal(actions.refusal(actions.FORCE_COMPLETE, running), null);
  assert.match(actions.refusal(actions.FORCE_COMPLETE, { ...running, phase: "disk-copy" }), /no memory/);
  assert.match(actions.refusal(actions.ABORT, { ...running, status: "running (post-copy)" }), /destination/);
  assert.match(actions.refusal(actions.ABORT, { ...running, in_progress: false }), /ended/);
});

test("a confirmation says what happens to the guest", () => {
  const record = { server_name: "web", source_compute: "a", downtime_needed_seconds: 2.3 };
  assert.match(actions.confirmation(actions.ABORT, record).lines.join(), /keeps running on a/);
  assert.match(actions.confirmation(actions.FORCE_COMPLETE, record).lines.join(), /paused .*about 2\.3 s/);
});

test("what was advised and asked for is one list, with who and when", () => {
  const at = (seconds) => new Date(1_700_000_000_000 + 1000 * seconds).toISOString();
  const advice = [{ at: at(1), message: "raise it", reason: "hopeless" }, { at: at(9), action: "force_complete", reason: "nova-completion-timeout" }];
  const actions = [{ at: at(5), action: "abort", state: "begun", user_id: "ann" }, { at: at(7), action: "abort", user_id: null }];
  assert.deepEqual(adviceAndActions({ advice, actions }).map((each) => [each.what, each.by]), [
    ["raise it", "steering"], ["abort", "user ann"], ["abort", "an operator"], ["force_complete", "nova-compute"],
  ]);
  assert.deepEqual(adviceAndActions({ advice: null }), []);
});

test("durations by pair of hosts", () => {
  const ended = (source, seconds, more = {}) => ({
    status: "completed", source_compute: source, dest_compute: "z", total_seconds: seconds,
    downtime_seconds: 0.1, ...more,
  });
  const records = [ended("a", 1), ended("a", 3), ended("a", 2), ended("b", 5), ended("b", 9, { status: "failed" }), ended(null, 4)];
  const [first, second] = distribution.byPair(records, 5);
  assert.deepEqual([first.source, first.values, first.median, first.low, first.high, first.downtime], ["a", [1, 2, 3], 2, 1.5, 2.5, 0.1]);
  assert.deepEqual([second.source, second.values], ["b", [5]]);
  assert.equal(distribution.byPair(records, 1).length, 1);
  const { place: on, ticks } = distribution.scale([first, second]);
  assert.deepEqual([on(1), on(5)], [0, 1]);
  assert.deepEqual(ticks.map(([, text]) => text), ["1 s", "3 s"]);
});

test("words for people", () => {
  assert.deepEqual([time(0.04), time(1.25), time(58.6), time(192), time(3840)], ["40 ms", "1.2 s", "59 s", "3 min 12 s", "1 h 04 min"]);
  assert.deepEqual([bytes(512), bytes(2 ** 31), bytes(117 * 2 ** 20)], ["512 B", "2.0 GiB", "117 MiB"]);
  assert.deepEqual([count(1, "server"), count(0, "server")], ["1 server", "0 servers"]);
});

test("what is remembered is computed again for another list or other texts alone", () => {
  let computed = 0;
  const ask = remembered((list, { text }) => [...list, text, (computed += 1)]);
  const list = [1];
  assert.deepEqual(ask(list, { text: "a" }), [1, "a", 1]);
  assert.deepEqual(ask(list, { text: "a" }), [1, "a", 1]);
  assert.deepEqual(ask(list, { text: "b" }), [1, "b", 2]);
  assert.deepEqual(ask([1], { text: "b" }), [1, "b", 3]);
});
