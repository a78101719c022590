// The page: its state, and what happens on every click.

import { addressOf, call, frameOf, linkInAddress, open, upload } from "./api.js";
import { onSchemeChange } from "./color.js";
import { nameRuns, showNumbers } from "./compare.js";
import { makeControls } from "./controls.js";
import { makeCurves } from "./curves.js";
import { byId, h } from "./dom.js";
import { showFindings } from "./findings.js";
import { number, percent, whole } from "./format.js";
import { makeInspector, stagesOf } from "./inspector.js";
import { makeMap } from "./map.js";
import { makeNetwork } from "./network.js";
import { showConfusion, showTable } from "./rows.js";
import { makeTimeline } from "./timeline.js";

const SPEEDS = { slow: { batches: 1 }, normal: { batches: 24 }, fast: { milliseconds: 14 } };
const WRITE_EVERY = 100; // milliseconds; while it plays, numbers and curves change more slowly than pictures
const page = {
  state: null, choices: null, frame: null, curve: [], curveBeside: [], playing: false, looping: false, speed: "normal",
  selected: null, sample: 0, step: null, stage: null, chosen: null, waiting: null, link: null,
  changes: 0, changing: 0, // how many changes of settings there were, and how many are under way
  asking: 0, asked: 0, received: 0, // frames under way, and the numbers of the last one asked for and shown
  written: 0, // when numbers and curves were shown
};

const map = makeMap("map", clickMap), mapBeside = makeMap("map-b", () => {});
const network = makeNetwork((layer, unit) => inspect({ layer, unit }));
const curves = makeCurves();
const controls = makeControls((values) => act("change", values), (values) => act("view", values));
const inspector = makeInspector({ close: closeInspector, follow, next: nextStage });
const timeline = makeTimeline({
  toggle: () => (page.playing ? pause() : play()), byLayer: nextStage, seek, restart: () => act("restart"),
  advance: (body) => { pause(); advance(body); }, speed: (value) => { page.speed = value; },
});

// --- the next thing to try ---

const HINTS = [
  ["rewind", "A real network is learning. Pause it, and drag the slider at the bottom back to any step."],
  ["inspect", "Click a unit of the network: the formula, its gradients and the change to come, in numbers."],
  ["stage", "Step layer: follow one row forward through the layers, to the loss, and back."],
  ["change", "How few units still learn this? Remove some; Undo brings them back."],
  ["compare", "Compare: this run stays as B. Change its learning rate, Restart, and watch both from the same seed."],
  ["data", "Drop a CSV file of your own on the page, or draw points by hand."],
];
const tried = new Set();

function hint(name) {
  tried.add(name);
  const next = HINTS.find(([key]) => !tried.has(key));
  byId("hint").textContent = next ? next[1] : "The address of this page holds every step: keep it, or send it on.";
}

// --- requests ---

function fail(error) {
  pause();
  byId("error").textContent = error.message;
  byId("error").hidden = false;
}

// A failure is shown until the person does the next thing.
async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    if (error.status === 404 && page.state) await start(page.state.link).catch(fail);
    else fail(error);
    return null;
  }
}

const clearFailure = () => { byId("error").hidden = true; };

async function start(link) {
  const { state, choices } = await open(link);
  page.choices = choices;
  await present(state);
}

async function present(state) {
  const frame = await frameOf("advance", {});
  page.state = state;
  page.curve = [];
  page.curveBeside = [];
  page.chosen = page.stage = null;
  if (page.selected && (page.selected.layer >= state.layers.length || page.selected.unit >= state.layers[page.selected.layer].n_out)) closeInspector();
  controls.show(state, page.choices);
  nameRuns(state);
  network.build(state);
  map.describe(state);
  if (state.beside) mapBeside.describe(state.beside);
  byId("undo").disabled = !state.undo;
  byId("redo").disabled = !state.redo;
  extend(frame);
  take(frame);
  settle();
}

// A change of the settings; what was asked before it and is answered after it is not shown.
async function changed(work) {
  clearFailure();
  page.changes += 1;
  page.changing += 1;
  const done = await guarded(async () => { await present((await work()).state); return true; });
  if (!done && page.state) controls.show(page.state, page.choices); // what was refused is not shown
  page.changing -= 1;
}

function act(action, values = {}) {
  hint("data" in values ? "data" : action);
  return changed(() => call(action, values));
}

// Ask for a frame, and take the points of its curves.
async function ask(action, body) {
  const { changes } = page, number = page.asked += 1;
  page.asking += 1;
  const frame = await guarded(() => frameOf(action, { ...body, known: page.curve.length, known_beside: page.curveBeside.length }));
  page.asking -= 1;
  if (!frame) return null;
  if (changes === page.changes) extend(frame);
  return { frame, changes, number };
}

// Show an answer, unless settings have changed or a later answer is shown.
function receive(answer) {
  if (!answer || answer.changes !== page.changes || answer.number < page.received) return;
  page.received = answer.number;
  take(answer.frame);
}

const request = async (action, body) => receive(await ask(action, body));

async function advance(body) {
  clearFailure();
  page.stage = null;
  await request("advance", body);
  settle();
}

// Only the newest wish of the slider is sent.
async function seek(step) {
  pause();
  clearFailure();
  hint("rewind");
  const busy = page.waiting !== null;
  page.waiting = step;
  if (busy) return;
  while (page.waiting !== null) {
    const wanted = page.waiting;
    await request("seek", { step: wanted });
    if (page.waiting === wanted) page.waiting = null;
  }
  settle();
}

// --- what is shown ---

function take(frame) {
  page.frame = frame;
  draw();
  if (frame.failure) fail(new Error(frame.failure));
}

function extend(frame) {
  const add = (curve, points) => { // an earlier frame under way may have brought some of them
    for (let i = 0; i < points.length; i += 3) if (points[i] > (curve.at(-1)?.[0] ?? -1)) curve.push([...points.subarray(i, i + 3)]);
  };
  add(page.curve, frame.curve);
  if (frame.beside) add(page.curveBeside, frame.beside.curve);
}

function draw() {
  const { frame, state } = page;
  if (!frame) return;
  const ring = page.step && page.selected ? page.step.X[page.sample] : null;
  map.draw(frame, state, ring, page.chosen && marked);
  if (frame.beside && state.beside) mapBeside.draw(frame.beside, state.beside);
  network.draw(frame, state);
  const now = performance.now();
  if (page.playing && now - page.written < WRITE_EVERY) return;
  page.written = now;
  network.write(frame);
  network.select(page.selected, page.stage?.layer ?? null);
  curves.draw(page.curve, frame.step, frame.total, page.curveBeside, state.changes);
  timeline.show(frame, state, page.playing);
  showConfusion(frame, state, page.chosen, chooseCell);
  showNumbers(byId("numbers"), frame, state);
  if (frame.beside && state.beside) showNumbers(byId("numbers-b"), frame.beside, state.beside);
}

function marked(part, i) {
  const at = part ? page.state.rows[0].length + i : i;
  return Math.round(page.state.y[part][i]) === page.chosen[0] && page.frame.predicted[at] === page.chosen[1];
}

// What follows when nothing moves: the numbers of the unit, the table, the findings, the address.
async function settle() {
  announce();
  if (page.playing) return;
  await guarded(async () => { page.state.link = (await call("link")).link; });
  history.replaceState(null, "", addressOf(page.state.link, true));
  if (byId("table-panel").open) showTable(page.frame, page.state, page.chosen);
  if (page.selected) await inspect(page.selected);
  await diagnose();
}

async function diagnose() {
  const { changes } = page;
  const answer = await guarded(() => call("findings"));
  if (answer && changes === page.changes) showFindings(answer.findings, (remedy) => act("change", remedy));
}

function announce() {
  const { frame, state } = page;
  const metric = state.task === "regression" ? number(frame.metric[0]) : percent(frame.metric[0]);
  byId("live").textContent = `${page.playing ? "Training" : "Paused"} at step ${whole(frame.step)}: training loss ${number(frame.loss[0])}, ${state.metric} ${metric}`;
}

// --- play ---

const nextFrame = () => new Promise(requestAnimationFrame);

async function play() {
  if (page.playing) return;
  clearFailure();
  page.playing = true;
  page.stage = null;
  if (page.looping) return; // not yet at the end of an earlier loop
  page.looping = true;
  let told = performance.now(), asked = null;
  while (page.playing || asked) {
    const answer = await asked; // the server computes the next frame while this one is drawn
    asked = page.playing && !page.changing ? ask("advance", SPEEDS[page.speed]) : null;
    receive(answer);
    if (page.playing && performance.now() - told > 2500) {
      told = performance.now();
      announce();
      diagnose();
      if (page.selected) inspect(page.selected);
    }
    await nextFrame();
  }
  page.looping = false;
}

function pause() {
  if (!page.playing) return;
  page.playing = false;
  if (page.frame) timeline.show(page.frame, page.state, false);
  settle();
}

// --- one unit, one row, one stage ---

async function inspect(selected, stage = page.stage) {
  hint(stage ? "stage" : "inspect");
  Object.assign(page, { selected, stage });
  const { changes } = page;
  const step = await guarded(() => call("step", selected));
  if (!step || page.selected !== selected || changes !== page.changes) return;
  page.step = step;
  page.sample = Math.min(page.sample, step.X.length - 1);
  inspector.show(step, page.state, selected, page.sample, page.stage);
  draw();
}

function closeInspector() {
  page.selected = page.step = page.stage = null;
  inspector.hide();
  draw();
}

function follow(sample) {
  const n = page.step.X.length;
  page.sample = (sample + n) % n;
  inspector.show(page.step, page.state, page.selected, page.sample, page.stage);
  draw();
  byId("next-row").focus();
}

async function nextStage() {
  pause();
  const stages = stagesOf(page.state.layers.length);
  const at = page.stage ? stages.findIndex(({ kind, layer }) => kind === page.stage.kind && layer === page.stage.layer) : -1;
  if (at === stages.length - 1) {
    await advance({ batches: 1 });
    return;
  }
  const stage = stages[at + 1];
  const layer = stage.layer ?? page.state.layers.length - 1;
  const unit = page.selected ? Math.min(page.selected.unit, page.state.layers[layer].n_out - 1) : 0;
  await inspect({ layer, unit }, stage);
}

function chooseCell(cell) {
  const same = page.chosen && page.chosen[0] === cell[0] && page.chosen[1] === cell[1];
  page.chosen = same ? null : cell;
  byId("table-panel").open = true;
  showTable(page.frame, page.state, page.chosen);
  draw();
}

// --- own data ---

function clickMap(u, v) {
  const { settings, plane, scale } = page.state, [a, b, x, y, half] = plane;
  if (settings.data !== "drawn") return;
  const raw = (value, i) => Math.round((value * scale[i][1] + scale[i][0]) * 1000) / 1000;
  const point = [raw(x + half * (2 * u - 1), a), raw(y + half * (1 - 2 * v), b), Number(byId("draw-class").value)];
  act("change", { drawn: [...settings.drawn, point] });
}

async function takeFile(file) {
  if (!file) return;
  pause();
  hint("data");
  await changed(() => upload(file));
  if (page.link) {
    await changed(() => call("follow", { link: page.link }));
    page.link = null;
  }
}

async function save(kind) {
  byId("export").open = false;
  const names = { training: "train.py", python: "model.py", model: "model.safetensors", picture: "output.png" };
  const content = kind === "picture"
    ? await new Promise((done) => map.canvas.toBlob(done))
    : await guarded(async () => new Blob([await call("export", { kind })]));
  if (!content) return;
  const link = h("a", { href: URL.createObjectURL(content), download: names[kind] });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

byId("compare").addEventListener("click", () => act(page.state.beside ? "end_comparison" : "compare"));
byId("undo").addEventListener("click", () => act("undo"));
byId("redo").addEventListener("click", () => act("redo"));
byId("copy").addEventListener("click", async () => {
  const answer = await guarded(() => call("link"));
  if (!answer) return;
  await navigator.clipboard.writeText(addressOf(answer.link, false)).catch(() => {});
  byId("live").textContent = "The link is copied";
  byId("copy").textContent = "Copied";
  setTimeout(() => { byId("copy").textContent = "Copy link"; }, 1500);
});
byId("export").addEventListener("click", (event) => { if (event.target.dataset.kind) save(event.target.dataset.kind); });
byId("file").addEventListener("change", (event) => takeFile(event.target.files[0]));
document.addEventListener("dragover", (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
document.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); byId("drop").classList.remove("over"); takeFile(event.dataTransfer.files[0]); });
byId("table-panel").addEventListener("toggle", () => { if (page.frame) showTable(page.frame, page.state, page.chosen); });
document.addEventListener("keydown", (event) => {
  if (event.target !== document.body) return;
  if (event.key === " ") { event.preventDefault(); if (page.playing) pause(); else play(); }
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); act(event.shiftKey ? "redo" : "undo"); }
});
addEventListener("resize", () => { if (page.state) { network.build(page.state); draw(); } });
addEventListener("hashchange", (event) => { // a link that was pasted into the address, which may have changed since
  const link = new URLSearchParams(new URL(event.newURL).hash.slice(1)).get("state");
  if (link) changed(() => call("follow", { link }));
});
onSchemeChange(draw);

// A link to an own table waits for its file, beside another session.
async function begin() {
  if (linkInAddress) {
    try {
      return await start(linkInAddress);
    } catch (error) {
      if (error.status !== 400) return fail(error);
      await guarded(() => start());
      page.link = linkInAddress;
      return fail(error);
    }
  }
  await guarded(() => start());
  if (page.state && !matchMedia("(prefers-reduced-motion: reduce)").matches) play();
  return null;
}

hint();
begin();
window.page = page; // for the console
