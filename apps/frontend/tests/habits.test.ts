import assert from "node:assert/strict";
import { test } from "node:test";

import { days, nameProblem, NAME_LENGTH, parseHabits, reason } from "../src/lib/habits.ts";

const walk = { id: 1, name: "Walk", streak: 2, longest: 5, done_today: false };

test("habits are taken from the API's answer without what the page does not need", () => {
  assert.deepEqual(parseHabits([{ ...walk, created_at: "2026-01-01T00:00:00Z" }]), [walk]);
  assert.deepEqual(parseHabits([]), []);
});

for (const answer of [null, {}, "[]", [null], [{ ...walk, id: "1" }], [{ ...walk, streak: 1.5 }]]) {
  test(`an answer that holds no habits is refused: ${JSON.stringify(answer)}`, () => {
    assert.throws(() => parseHabits(answer), TypeError);
  });
}

test("a good name has no problem, however much space is around it", () => {
  assert.equal(nameProblem("  Walk the dog ", [walk]), null);
  assert.equal(nameProblem("x".repeat(NAME_LENGTH)), null);
});

test("a name's length is counted in characters, as the API counts it", () => {
  assert.equal(nameProblem("🚶".repeat(NAME_LENGTH)), null);
  assert.match(nameProblem("🚶".repeat(NAME_LENGTH + 1)) ?? "", /At most 100 .* 101/);
});

test("a name that is empty, has a tab or is taken is told so in words", () => {
  assert.match(nameProblem(" \n ") ?? "", /Give the habit a name/);
  assert.match(nameProblem("a\tb") ?? "", /one line/);
  assert.match(nameProblem(" Walk ", [walk]) ?? "", /“Walk” is on the list already/);
});

test("the API's reason is shown, one finding or several, or a sentence of ours", () => {
  assert.equal(reason({ detail: "there is no habit 7" }), "there is no habit 7");
  assert.equal(reason({ detail: [{ msg: "too long" }, { msg: "no tab" }] }), "too long; no tab");
  for (const other of [null, "oops", {}, { detail: [] }, { detail: [null] }, { detail: "" }]) {
    assert.equal(reason(other), "The request was refused.");
  }
});

test("one day is not one days", () => {
  assert.deepEqual([0, 1, 2].map(days), ["0 days", "1 day", "2 days"]);
});
