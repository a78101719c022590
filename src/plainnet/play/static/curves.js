// Loss curves: training and validation, of one run or of two.

import { byId, h, s } from "./dom.js";
import { number, whole } from "./format.js";

const LEFT = 44, BOTTOM = 18, TOP = 8, RIGHT = 6;

// At most n points of a curve, with the first and the last.
export function thinned(points, n) {
  if (points.length <= n) return points;
  const step = (points.length - 1) / (n - 1);
  return Array.from({ length: n }, (_, i) => points[Math.round(i * step)]);
}

// Round numbers from low to high.
export function ticks(low, high, n = 3) {
  const step = 10 ** Math.floor(Math.log10((high - low) / n || 1));
  const nice = [1, 2, 5, 10].map((m) => m * step).find((each) => (high - low) / each <= n + 1) ?? step * 10;
  const first = Math.ceil(low / nice - 1e-9) * nice;
  return Array.from({ length: Math.floor((high - first) / nice + 1e-9) + 1 }, (_, i) => Number((first + i * nice).toPrecision(10)));
}

export function path(points, column, x, y) {
  return points.filter((p) => Number.isFinite(p[column])).map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[column]).toFixed(1)}`).join("");
}

export function makeCurves() {
  const svg = s("svg", { role: "img", "aria-label": "Loss by step" });
  const keys = (name) => ["train", "validation"].map((kind) => h("span", {}, h("span", { class: `key ${kind} ${name}` }), `${name} ${kind === "train" ? "training" : kind} loss`));
  const legends = [[""], ["A", "B"]].map((names) => h("p", { class: "legend-line" }, ...names.flatMap(keys)));
  byId("curves").append(h("h3", {}, "Loss"), svg, ...legends);

  // The curve of a second run is empty where there is none.
  function draw(curve, step, total, beside, changes) {
    const shown = [curve, beside].filter((points) => points.length).map((points) => thinned(points, 300));
    legends.forEach((legend, i) => { legend.hidden = i !== shown.length - 1; });
    const values = shown.flat().flatMap((p) => [p[1], p[2]]).filter(Number.isFinite);
    if (!values.length) return;
    const W = svg.clientWidth, H = svg.clientHeight;
    const low = Math.min(0, ...values), top = Math.max(...values.map((v) => Math.min(v, 4 * values[0] + 1e-9))) * 1.05 || 1;
    const right = Math.max(total, 50, ...shown.slice(1).map((points) => points.at(-1)[0]));
    const x = (t) => LEFT + (t / right) * (W - LEFT - RIGHT);
    const y = (v) => Math.max(TOP - 4, TOP + (1 - (v - low) / (top - low)) * (H - TOP - BOTTOM));
    const axes = ticks(low, top).map((v) => s("g", { class: "tick" },
      s("line", { x1: LEFT, x2: W - RIGHT, y1: y(v), y2: y(v) }),
      s("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, String(v))));
    axes.push(s("g", { class: "tick" }, s("text", { x: W - RIGHT, y: H - 4, "text-anchor": "end" }, `step ${whole(right)}`)));
    const marks = changes.map((at) => s("line", { class: "change", x1: x(at), x2: x(at), y1: TOP, y2: H - BOTTOM }));
    const lines = shown.flatMap((points, i) => [
      s("path", { class: i ? "train B" : "train", d: path(points, 1, x, y) }),
      s("path", { class: i ? "validation B" : "validation", d: path(points, 2, x, y) })]).reverse();
    const cursor = s("line", { class: "cursor", x1: x(step), x2: x(step), y1: TOP, y2: H - BOTTOM });
    svg.replaceChildren(...axes, ...marks, ...lines, cursor);
    const [, train, validation] = curve.at(-1);
    svg.setAttribute("aria-label", `Loss by step: training ${number(curve[0][1])} at the start, ${number(train)} now; validation ${number(validation)}`);
  }
  return { draw };
}
