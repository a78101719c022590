// The forms: every change is sent at once and can be undone.

import { byId, h, select } from "./dom.js";
import { number } from "./format.js";

const NAMES = { table: "own table", drawn: "drawn by hand", introverts: "introverts (survey)", waves: "waves (regression)", saddle: "saddle (regression)" };
const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.03, 0.1, 0.3, 1, 3, 10];
// Where drawing begins: exclusive or, two points in each corner.
const CORNERS = [[-1, -1, 0], [-1, 1, 1], [1, -1, 1], [1, 1, 0]].flatMap(([x, y, k]) => [[x, y, k], [0.7 * x, 0.7 * y, k]]);
const HINTS = {
  lr: "Learning rate", batch_size: "Batch size", l2: "L2 penalty", dropout: "Dropout", optimizer: "Optimizer", momentum: "Momentum",
  schedule: "Schedule", init: "Initial weights", seed: "Seed of the weights",
};

const field = (id, label, control) => h("div", { class: "field" }, h("label", { for: id }, label), control);
const withValue = (options, value) => (options.some((option) => String(Array.isArray(option) ? option[0] : option) === String(value)) ? options : [...options, value]);

function slider(id, label, low, high, step, value, onchange) {
  const output = h("output", { for: id }, number(value, step < 1 ? 2 : 0));
  const input = h("input", { id, type: "range", min: low, max: high, step, value,
    oninput: () => { output.textContent = number(Number(input.value), step < 1 ? 2 : 0); },
    onchange: () => onchange(Number(input.value)) });
  return h("div", { class: "field" }, h("label", { for: id }, label, " ", output), input);
}

export function makeControls(change, view) {
  function data(state, choices) {
    const { settings } = state;
    const choose = (value) => change(value === "drawn" && !settings.drawn.length ? { data: value, drawn: CORNERS } : { data: value });
    const names = settings.table ? [...choices.data, "table"] : choices.data;
    const fields = [field("data", "Data set", select("data", names.map((n) => [n, NAMES[n] ?? n]), settings.data, choose))];
    if (state.columns.length) fields.push(field("target", "Predict", select("target", state.columns, state.target, (target) => change({ target }))));
    if (settings.data !== "table" && settings.data !== "drawn") {
      fields.push(slider("points", "Points", 50, 1000, 50, settings.points, (points) => change({ points })));
    }
    if (["spiral", "moons", "circles", "blobs", "waves", "saddle"].includes(settings.data)) {
      fields.push(slider("noise", "Noise", 0, 0.5, 0.05, settings.noise, (noise) => change({ noise })));
    }
    if (["spiral", "blobs"].includes(settings.data)) {
      fields.push(slider("classes", "Classes", 2, 8, 1, settings.classes, (classes) => change({ classes })));
    }
    if (settings.data === "drawn") fields.push(drawing(state));
    fields.push(slider("validation_fraction", "Held out to validate", 0, 0.5, 0.05, settings.validation_fraction, (v) => change({ validation_fraction: v })));
    if (settings.data !== "table" && settings.data !== "drawn") {
      fields.push(h("button", { type: "button", id: "new-points", onclick: () => change({ data_seed: settings.data_seed + 1 }) }, "Other points"));
    }
    if (state.features.length > 2) fields.push(slice(state));
    byId("data-form").replaceChildren(...fields);
    byId("notes").replaceChildren(...state.notes.map((note) => h("li", {}, note)));
  }

  function drawing(state) {
    const k = h("select", { id: "draw-class" }, ...Array.from({ length: 4 }, (_, i) => h("option", { value: i }, `class ${i}`)));
    const x1 = h("input", { id: "draw-x1", type: "number", step: "0.1", value: "0" });
    const x2 = h("input", { id: "draw-x2", type: "number", step: "0.1", value: "0" });
    const add = () => change({ drawn: [...state.settings.drawn, [Number(x1.value), Number(x2.value), Number(k.value)]] });
    return h("fieldset", {}, h("legend", {}, "Draw"), h("p", { class: "soft" }, "Click into the output to add a point, or type it."),
      field("draw-class", "Class", k), field("draw-x1", "x1", x1), field("draw-x2", "x2", x2),
      h("button", { type: "button", onclick: add }, "Add point"));
  }

  function slice(state) {
    const [a, b] = state.plane;
    const options = state.features.map((name, i) => [i, name]);
    const send = (axes, fixed) => view({ axes, fixed });
    const fixed = Object.fromEntries(state.fixed.map((value, i) => [i, value]));
    const sliders = state.features.map((name, i) => {
      if (i === a || i === b) return null;
      const [low, high] = [state.ranges[0][i], state.ranges[1][i]];
      return slider(`fix-${i}`, name, low, high, (high - low) / 50 || 1, state.fixed[i], (value) => send([a, b], { ...fixed, [i]: value }));
    }).filter(Boolean);
    return h("fieldset", {}, h("legend", {}, "The slice that is drawn"),
      field("axis-x", "Across", select("axis-x", options, a, (value) => send([Number(value), b], fixed))),
      field("axis-y", "Up", select("axis-y", options, b, (value) => send([a, Number(value)], fixed))),
      h("details", {}, h("summary", {}, `The other ${sliders.length} features (standardized)`), ...sliders));
  }

  function training(state, choices) {
    const { settings } = state;
    const choose = (name, options, map = (value) => value) => field(name, HINTS[name], select(name, withValue(options, settings[name]), settings[name], (value) => change({ [name]: map(value) })));
    const batches = [[1, "1"], [4, "4"], [8, "8"], [16, "16"], [32, "32"], [64, "64"], ["full", "all rows"]];
    byId("training-form").replaceChildren(...[
      choose("lr", RATES, Number), choose("optimizer", choices.optimizer),
      settings.optimizer === "sgd" ? choose("momentum", [0, 0.5, 0.9, 0.99], Number) : null, choose("batch_size", batches, (v) => (v === "full" ? v : Number(v))),
      h("details", {}, h("summary", {}, "More options"),
        choose("schedule", choices.schedule), choose("l2", [0, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1], Number),
        choose("dropout", [0, 0.1, 0.2, 0.3, 0.5], Number), choose("init", choices.init),
        h("div", { class: "field" }, h("span", { class: "label" }, `Seed ${settings.seed}`),
          h("button", { type: "button", id: "new-seed", onclick: () => change({ seed: settings.seed + 1 }) }, "Other initial weights")))].filter(Boolean));
  }

  function layers(state, choices) {
    const { hidden, activation } = state.settings;
    const all = hidden.map((_, i) => activation[i] ?? activation[0]);
    const set = (units, functions) => change({ hidden: units, activation: units.length ? functions : ["relu"] });
    const replaced = (list, i, value) => list.map((old, j) => (j === i ? value : old));
    const groups = hidden.map((n, i) => h("div", { class: "layer", role: "group", "aria-label": `Hidden layer ${i + 1}` },
      h("span", { class: "count" }, h("button", { type: "button", "aria-label": `Remove a unit of layer ${i + 1}`, disabled: n <= 1, onclick: () => set(replaced(hidden, i, n - 1), all) }, "−"),
        h("b", {}, `${n}`), h("button", { type: "button", "aria-label": `Add a unit to layer ${i + 1}`, onclick: () => set(replaced(hidden, i, n + 1), all) }, "+")),
      labelled(`Activation of layer ${i + 1}`, select(`activation-${i}`, choices.activation, all[i], (value) => set(hidden, replaced(all, i, value))))));
    byId("network-tools").replaceChildren(...groups);
    byId("layer-tools").replaceChildren(
      h("button", { type: "button", class: "quiet", id: "add-layer", "aria-label": "Add a layer", disabled: hidden.length >= 8, onclick: () => set([...hidden, 4], [...all, all.at(-1) ?? "relu"]) }, "+ layer"),
      h("button", { type: "button", class: "quiet", id: "remove-layer", "aria-label": "Remove the last layer", disabled: !hidden.length, onclick: () => set(hidden.slice(0, -1), all.slice(0, -1)) }, "− layer"));
  }

  return { show: (state, choices) => keepFocus(() => { data(state, choices); training(state, choices); layers(state, choices); }) };
}

function labelled(text, control) {
  control.setAttribute("aria-label", text);
  return control;
}

// Forms are made anew after a change: the focus, and what is open, stay.
function keepFocus(render) {
  const active = document.activeElement, { id } = active ?? {}, name = active?.getAttribute("aria-label");
  const open = [...document.querySelectorAll("#setup details")].map((each) => each.open);
  render();
  document.querySelectorAll("#setup details").forEach((each, i) => { each.open = open[i] ?? false; });
  if (id) byId(id)?.focus();
  else if (name) document.querySelector(`#network-tools [aria-label="${CSS.escape(name)}"]`)?.focus();
}
