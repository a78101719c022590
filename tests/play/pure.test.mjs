// The pure functions of the page; run by `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.matchMedia = () => ({ matches: false, addEventListener() {} });
globalThis.document = { createElement: () => ({ getContext: () => ({}) }), getElementById: () => null };
const page = new URL("../../src/plainnet/play/static/", import.meta.url);
const load = (name) => import(new URL(name, page));

const { decodeFrame } = await load("frame.js");
const { factor, number, percent } = await load("format.js");
const { classColor, diverging } = await load("color.js");
const { path, thinned, ticks } = await load("curves.js");
const { stagesOf, weightedSum } = await load("inspector.js");
const { differences } = await load("compare.js");
const { confusion } = await load("rows.js");
const { layout } = await load("network.js");
const { place } = await load("map.js");

test("a frame is decoded", () => {
  const header = JSON.stringify({ step: 3, arrays: [["theta", "<f8", 2], ["map", "|u1", 3]] }).padEnd(68);
  const bytes = new Uint8Array(4 + 68 + 16 + 3);
  new DataView(bytes.buffer).setUint32(0, 68, true);
  bytes.set(new TextEncoder().encode(header), 4);
  bytes.set(new Uint8Array(new Float64Array([0.5, -2]).buffer), 72);
  bytes.set([7, 8, 9], 88);
  const frame = decodeFrame(bytes.buffer);
  assert.equal(frame.step, 3);
  assert.deepEqual([...frame.theta], [0.5, -2]);
  assert.deepEqual([...frame.map], [7, 8, 9]);
});

test("numbers keep enough digits and few characters", () => {
  const cases = [[0, "0.0000"], [0.12345, "0.1235"], [-1.5, "−1.5000"], [1e-7, "1.00e-7"], [123.456, "123.5"], [1e9, "1.00e+9"], [NaN, "–"], [null, "–"]];
  for (const [value, text] of cases) assert.equal(number(value), text);
  assert.equal(factor(-0.5), "(−0.5000)");
  assert.equal(percent(0.987), "98.7 %");
});

test("colors diverge from a neutral middle", () => {
  const [low, middle, high] = [-1, 0, 1].map((value) => diverging(value));
  assert.ok(low[0] > low[2] && high[2] > high[0]); // orange and blue
  assert.ok(Math.max(...middle) - Math.min(...middle) < 5);
  assert.deepEqual(diverging(7), high);
  assert.equal(new Set(Array.from({ length: 8 }, (_, k) => classColor(k, 8).join())).size, 8);
});

test("curves keep their ends and skip what is not finite", () => {
  const points = Array.from({ length: 1000 }, (_, i) => [i, i, NaN]);
  const few = thinned(points, 100);
  assert.equal(few.length, 100);
  assert.deepEqual([few[0], few.at(-1)], [points[0], points.at(-1)]);
  assert.equal(path(points, 2, Number, Number), "");
  assert.equal(path(points.slice(0, 2), 1, Number, Number), "M0.0 0.0L1.0 1.0");
});

test("ticks are round and inside", () => {
  assert.deepEqual(ticks(0, 0.7), [0, 0.2, 0.4, 0.6]);
  for (const [low, high] of [[0, 1e-5], [0, 3.3], [-2, 1234]]) {
    const all = ticks(low, high);
    assert.ok(all.length >= 2 && all.length <= 5, String(all));
    assert.ok(all[0] >= low && all.at(-1) <= high * 1.0001);
  }
});

test("settings that differ are named", () => {
  const a = { lr: 0.1, hidden: [8, 8], batch_size: 16, drawn: [] };
  assert.equal(differences(a, { ...a }), "");
  const b = { ...a, lr: 0.5, hidden: [], drawn: [[0, 0, 1], [1, 1, 0]] };
  assert.equal(differences(a, b), "learning rate 0.1, layers 8-8, drawn 0 points");
  assert.equal(differences(b, a), "learning rate 0.5, layers none, drawn 2 points");
});

test("a step goes forward, through the loss, back, and updates", () => {
  assert.deepEqual(stagesOf(2).map(({ kind, layer }) => `${kind} ${layer}`), ["forward 0", "forward 1", "loss 1", "backward 1", "backward 0", "update null"]);
});

test("the formula holds the numbers and their sum", () => {
  assert.equal(weightedSum([2, -1], [0.5, 3], -0.25), "z = 0.5000·2.0000 + 3.0000·(−1.0000) + (−0.2500) = −2.2500");
});

test("confusion counts the classes", () => {
  assert.deepEqual(confusion([0, 0, 1, 2], [0, 1, 1, 0], 3), [[1, 1, 0], [0, 1, 0], [1, 0, 0]]);
});

test("units have places inside the picture", () => {
  for (const sizes of [[2, 8, 8, 1], [2, 64, 3], [12, 1]]) {
    const { columns, height, unit, biasY } = layout(sizes, 600);
    columns.forEach(({ x, y }, l) => {
      assert.equal(y.length, sizes[l]);
      assert.ok(x - unit / 2 > 0 && x + unit / 2 < 600);
      y.forEach((each) => assert.ok(each - unit / 2 >= 0 && each + unit / 2 < biasY && biasY < height));
    });
  }
});

test("the center of the plane is the center of the map", () => {
  assert.deepEqual(place([9, 1, -2], [1, 2, 1, -2, 3]), [0.5, 0.5]);
  assert.deepEqual(place([0, 4, 1], [1, 2, 1, -2, 3]), [1, 0]);
});
