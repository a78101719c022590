// One unit in the next step: its formula with the numbers in it, its gradients, and its update.

import { byId, h } from "./dom.js";
import { factor, number } from "./format.js";

// The stages of a step: forward through the layers, the loss, backward, and the update.
export function stagesOf(n) {
  const layers = Array.from({ length: n }, (_, i) => i);
  return [
    ...layers.map((layer) => ({ kind: "forward", layer })), { kind: "loss", layer: n - 1 },
    ...layers.reverse().map((layer) => ({ kind: "backward", layer })), { kind: "update", layer: null }];
}

// What a unit computes for one row, with the numbers in it.
export function weightedSum(inputs, weights, bias) {
  const terms = inputs.map((x, i) => `${factor(weights[i])}·${factor(x)}`);
  const sum = inputs.reduce((total, x, i) => total + x * weights[i], bias);
  const shown = terms.length > 8 ? [...terms.slice(0, 7), "…", terms.at(-1)] : terms;
  return `z = ${shown.join(" + ")} + ${factor(bias)} = ${number(sum)}`;
}

export function makeInspector({ close, follow, next }) {
  const box = byId("inspector");
  let wholeBatch = false; // whether its tables are open

  function show(step, state, selected, sample, stage) {
    const { layer, unit } = selected;
    const of = step.layers[layer], info = state.layers[layer], last = layer === step.layers.length - 1;
    const inputs = layer ? step.layers[layer - 1].A[sample] : step.X[sample];
    const names = layer ? inputs.map((_, i) => `a${i + 1}`) : state.features;
    const kind = stage?.kind ?? "all";
    const title = last ? `Output ${unit + 1}` : `Layer ${layer + 1}, unit ${unit + 1}`;
    const opens = box.hidden;
    box.hidden = false;
    box.replaceChildren(
      h("div", { class: "bar" }, h("h3", { id: "unit-title" }, title), stageText(stage),
        h("span", { class: "spacer" }),
        h("button", { type: "button", id: "next-stage", onclick: next }, stage ? "Next stage" : "Step by layer"),
        h("button", { type: "button", id: "close-inspector", "aria-label": "Close the numbers", onclick: close }, "Close")),
      h("p", { class: "sample" }, `Follows row ${sample + 1} of the ${step.m} rows of the next batch `,
        h("button", { type: "button", "aria-label": "Previous row", onclick: () => follow(sample - 1) }, "‹"),
        h("button", { type: "button", id: "next-row", "aria-label": "Next row", onclick: () => follow(sample + 1) }, "›")),
      h("div", { class: "formulas" },
        h("code", { id: "formula" }, weightedSum(inputs, of.W[unit], of.b[unit])),
        h("code", {}, last ? `${step.prediction_formula}: a = ${number(step.A[sample][unit])}` : `a = ${info.activation}(z) = ${number(of.A[sample][unit])}    (${info.formula})`),
        h("code", {}, last ? `${step.gradient_formula}: dz = ${number(of.dZ[sample][unit])}` : `da = ${number(of.dA[sample][unit])}, dz = ${number(of.dZ[sample][unit])}`),
        last ? h("code", {}, state.loss_formula) : null,
        last ? h("code", {}, `loss of this row ${number(step.losses[sample])}, of the batch ${number(step.loss)}`) : null),
      table(step, of, unit, inputs, names, kind),
      batch({ Z: of.Z, A: last ? step.A : of.A, dZ: of.dZ }, unit, sample));
    if (opens) box.scrollIntoView({ block: "nearest" });
  }

  function stageText(stage) {
    if (!stage) return null;
    const where = stage.kind === "loss" || stage.layer === null ? "" : `, layer ${stage.layer + 1}`;
    return h("span", { class: "stage", role: "status" }, stage.kind + where);
  }

  function table(step, of, unit, inputs, names, kind) {
    const heads = [["input", ""], ["value", "forward"], ["weight", "forward"], ["product", "forward"], ["dW", "backward"], ["finite difference", "backward"], ["change", "update"], ["new weight", "update"]];
    const row = (name, x, w, dW, slope, change) => [name, number(x), number(w), number(x * w), number(dW, 5), slope === null ? "kink" : number(slope, 5), number(change, 5), number(w + change)];
    const rows = inputs.map((x, i) => row(names[i], x, of.W[unit][i], of.dW[unit][i], step.numeric.W[i], of.change_W[unit][i]));
    rows.push(row("1 (bias)", 1, of.b[unit], of.db[unit], step.numeric.b[0], of.change_b[unit]));
    const mark = (i) => (kind !== "all" && heads[i][1] === kind ? "now" : "");
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": "unit-title" }, h("table", { id: "unit-table" },
      h("thead", {}, h("tr", {}, ...heads.map(([text], i) => h("th", { scope: "col", class: mark(i) }, text)))),
      h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((cell, i) => h(i ? "td" : "th", { class: mark(i), scope: i ? null : "row" }, cell)))))));
  }

  function batch(arrays, unit, sample) {
    const tables = () => Object.entries(arrays).map(([name, rows]) =>
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${name} of the batch` }, h("table", { class: "batch" },
        h("caption", {}, name), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "row"), ...rows[0].map((_, j) => h("th", { scope: "col" }, `unit ${j + 1}`)))),
        h("tbody", {}, ...rows.map((values, i) => h("tr", {}, h("th", { scope: "row" }, `${i + 1}`),
          ...values.map((value, j) => h("td", { class: i === sample || j === unit ? "now" : "" }, number(value)))))))));
    const details = h("details", { id: "batch", open: wholeBatch, ontoggle: () => {
      wholeBatch = details.open;
      details.replaceChildren(details.firstChild, ...(wholeBatch ? tables() : []));
    } }, h("summary", {}, "Z, A and dZ of this layer for the whole batch"));
    return details;
  }

  return { show, hide: () => { box.hidden = true; } };
}
