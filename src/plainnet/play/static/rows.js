// The confusion matrix, whose cells can be clicked, and the data as a table.

import { byId, h } from "./dom.js";
import { number, whole } from "./format.js";

const MOST = 200;

// How often each true class (row) was predicted as each class (column).
export function confusion(truth, predicted, n) {
  const counts = Array.from({ length: n }, () => new Array(n).fill(0));
  truth.forEach((k, i) => { counts[k][predicted[i]] += 1; });
  return counts;
}

export const truths = (state) => state.y.flat().map(Math.round);

export function showConfusion(frame, state, chosen, onchoose) {
  const box = byId("confusion");
  if (state.task === "regression") { box.replaceChildren(); return; }
  const names = state.classes, counts = confusion(truths(state), frame.predicted, names.length);
  const known = box.querySelectorAll("button.cell");
  if (known.length === names.length ** 2 && box.dataset.names === names.join("\n")) {
    counts.flat().forEach((n, i) => { known[i].textContent = whole(n); });
  } else {
    box.dataset.names = names.join("\n");
    const cell = (k, j) => h("button", { type: "button", class: k === j ? "cell right" : "cell wrong", onclick: () => onchoose([k, j]),
      "aria-label": `${counts[k][j]} rows of ${names[k]} predicted as ${names[j]}: show them` }, whole(counts[k][j]));
    box.replaceChildren(h("h3", {}, "Confusion"), h("div", { class: "scroll" }, h("table", { class: "confusion" },
      h("caption", {}, "true class by row, predicted by column"),
      h("thead", {}, h("tr", {}, h("td", {}), ...names.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...names.map((name, k) => h("tr", {}, h("th", { scope: "row" }, name), ...names.map((_, j) => h("td", {}, cell(k, j)))))))));
  }
  box.querySelectorAll("button.cell").forEach((button, i) => {
    const [k, j] = [Math.floor(i / names.length), i % names.length];
    button.setAttribute("aria-pressed", String(chosen !== null && chosen[0] === k && chosen[1] === j));
  });
}

export function showTable(frame, state, chosen) {
  const box = byId("table");
  const truth = truths(state), parts = state.rows.flatMap((rows, part) => rows.map((row) => [row, part]));
  const name = (k) => state.classes[k];
  const raw = (value, [mean, scale]) => number(value * scale + mean, 3);
  const all = parts.map(([row, part], i) => {
    const y = state.task === "regression" ? raw(state.y.flat()[i], state.y_scale) : name(truth[i]);
    return { row, part, y, predicted: frame.predicted.length ? name(frame.predicted[i]) : null, shown: chosen === null || (truth[i] === chosen[0] && frame.predicted[i] === chosen[1]) };
  });
  const rows = all.filter((one) => one.shown);
  const heads = [...state.features, state.target, ...(state.task === "regression" ? [] : ["predicted"]), "use"];
  box.replaceChildren(
    h("p", { class: "soft" }, `${whole(rows.length)} rows${chosen === null ? "" : ` of ${name(chosen[0])} predicted as ${name(chosen[1])}`}${rows.length > MOST ? `; the first ${MOST} are listed` : ""}`),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rows of the data" }, h("table", {},
      h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ...rows.slice(0, MOST).map(({ row, part, y, predicted }) => h("tr", {},
        ...row.map((value, i) => h("td", {}, raw(value, state.scale[i]))), h("td", {}, y), predicted === null ? null : h("td", {}, predicted), h("td", {}, part ? "validate" : "train")))))));
}
