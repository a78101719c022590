// The output map: the prediction for each place of the plane, with the points of the data.

import { byId, h } from "./dom.js";
import { classColor, classShare, css, diverging, isDark, table } from "./color.js";
import { number, percent } from "./format.js";

const SIDE = 100;
const small = document.createElement("canvas");
small.width = small.height = SIDE;

export function pixels(frame, state) {
  const image = new Uint8ClampedArray(SIDE * SIDE * 4);
  if (state.task === "multiclass") {
    const colors = Array.from({ length: state.classes.length }, (_, k) =>
      Array.from({ length: 256 }, (_, s) => classShare(k, s / 255, state.classes.length)));
    for (let i = 0; i < SIDE * SIDE; i++) image.set([...colors[frame.map[i]][frame.map[i + SIDE * SIDE]], 255], 4 * i);
  } else {
    const colors = table(0.6);
    for (let i = 0; i < SIDE * SIDE; i++) image.set(colors.subarray(4 * frame.map[i], 4 * frame.map[i] + 4), 4 * i);
  }
  return image;
}

// Where a row lies on the canvas, as shares of its side.
export function place(row, [a, b, x, y, half]) {
  return [(row[a] - x) / half / 2 + 0.5, 0.5 - (row[b] - y) / half / 2];
}

const radius = (size) => Math.max(1.9, size / 95); // of a point

function shape(context, k, x, y, r) {
  context.beginPath();
  if (k % 4 === 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else if (k % 4 === 1) context.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  else if (k % 4 === 2) [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]].forEach(([u, v]) => context.lineTo(x + u * r, y + v * r));
  else [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]].forEach(([u, v]) => context.lineTo(x + u * r, y + v * r));
  context.closePath();
}

export function makeMap(id, onpoint) {
  const canvas = h("canvas", { role: "img", id: `${id}-canvas` });
  const axes = [h("span", { class: "axis x" }), h("span", { class: "axis y" })];
  const legend = h("ul", { class: "legend" });
  const value = h("p", { class: "value" });
  let shown = null;
  byId(id).append(h("div", { class: "square" }, canvas, ...axes), legend, value);
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    if (shown) value.textContent = valueAt(...shown, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  canvas.addEventListener("pointerleave", () => { value.textContent = ""; });
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    onpoint((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  const context = canvas.getContext("2d"), points = document.createElement("canvas");
  let drawn = {};

  // The points change with the data only: they are drawn once.
  function drawPoints(state, size, marked) {
    points.width = points.height = size;
    const brush = points.getContext("2d"), r = radius(size);
    const style = getComputedStyle(document.body), numbers = state.task === "regression";
    const ink = style.getPropertyValue(numbers ? "--ink" : "--point");
    const [low, high] = state.y_range;
    state.rows.forEach((rows, part) => rows.forEach((row, i) => {
      const y = state.y[part][i];
      const k = numbers ? 0 : Math.round(y);
      const color = css(numbers ? diverging(((y - low) / (high - low)) * 2 - 1) : classColor(k, state.classes.length));
      const [u, v] = place(row, state.plane);
      shape(brush, k, u * size, v * size, r);
      brush.lineWidth = r * (part ? 0.7 : numbers ? 0.25 : 0.45);
      brush.fillStyle = part ? ink : color;
      brush.strokeStyle = part ? color : ink;
      brush.globalAlpha = marked && !marked(part, i) ? 0.12 : 1;
      brush.fill();
      brush.stroke();
    }));
  }

  function draw(frame, state, ring = null, marked = null) {
    const size = Math.round(canvas.clientWidth * devicePixelRatio) || 300;
    if (canvas.width !== size) canvas.width = canvas.height = size;
    if (drawn.state !== state || drawn.size !== size || drawn.marked || marked || drawn.scheme !== isDark()) {
      drawPoints(state, size, marked);
      drawn = { state, size, marked, scheme: isDark() };
    }
    shown = [frame, state];
    small.getContext("2d").putImageData(new ImageData(pixels(frame, state), SIDE, SIDE), 0, 0);
    context.drawImage(small, 0, 0, size, size);
    context.drawImage(points, 0, 0);
    if (ring) {
      const [u, v] = place(ring, state.plane), r = radius(size);
      context.beginPath();
      context.arc(u * size, v * size, 2.6 * r, 0, 2 * Math.PI);
      context.lineWidth = r * 0.7;
      context.strokeStyle = getComputedStyle(document.body).getPropertyValue("--ink");
      context.stroke();
    }
  }

  function describe(state) {
    const [a, b] = state.plane;
    axes[0].textContent = state.features[a];
    axes[1].textContent = state.features[b];
    const names = state.task === "regression"
      ? ["low", "high"].map((text, i) => `${text} ${number(raw(state.y_range[i], state.y_scale), 2)}`)
      : state.classes.map((name) => (/^\d+$/.test(name) ? `class ${name}` : name));
    const n = names.length;
    legend.replaceChildren(
      ...names.map((name, i) => item(css(classColor(i, n)), state.task === "regression" ? 0 : i, name)),
      h("li", { class: "soft" }, "hollow: held out to validate"));
    const slice = state.features.length > 2
      ? h("li", { class: "slice" }, `a slice: the other ${state.features.length - 2} features stay at the values of their sliders`) : null;
    if (slice) legend.append(slice);
    canvas.setAttribute("aria-label", `Prediction of ${state.target} over ${state.features[a]} and ${state.features[b]}, with ${state.counts.join(" training and ")} ${state.counts.length > 1 ? "validation " : ""}points`);
  }
  return { draw, describe, canvas };
}

function item(color, k, name) {
  const key = h("canvas", { width: 16, height: 16, "aria-hidden": "true" });
  const context = key.getContext("2d");
  shape(context, k, 8, 8, 5.5);
  context.fillStyle = color;
  context.fill();
  return h("li", {}, key, name);
}

const raw = (value, [mean, scale]) => value * scale + mean;

// The prediction at a place of the map, in words.
export function valueAt(frame, state, u, v) {
  const [a, b, x, y, half] = state.plane;
  const where = [[a, x + half * (2 * u - 1)], [b, y + half * (1 - 2 * v)]].map(([i, z]) => `${state.features[i]} ${number(raw(z, state.scale[i]), 2)}`);
  const cell = (t) => Math.max(0, Math.min(SIDE - 1, Math.floor(t * SIDE))), at = cell(v) * SIDE + cell(u);
  const byte = frame.map[at], [low, high] = state.y_range;
  const says = state.task === "regression" ? number(raw(low + (byte / 255) * (high - low), state.y_scale), 2)
    : state.task === "binary" ? `${percent(byte / 255)} ${state.classes[1]}` : `${percent(frame.map[at + SIDE * SIDE] / 255)} ${state.classes[byte]}`;
  return `${where.join(", ")}: ${says}`;
}
