// The network: units as small maps, weights and biases as lines from every input and from "1".

import { byId, h, s } from "./dom.js";
import { css, diverging, table } from "./color.js";
import { number } from "./format.js";

const SIDE = 20;
const MOST_EDGES = 1500;
const MOST_LETTERS = 14;
const one = document.createElement("canvas");
one.width = one.height = SIDE;

// Where columns and units stand, in a picture of some width.
export function layout(sizes, width, left = 36, right = 64, room = 420) {
  const most = Math.max(...sizes);
  const unit = Math.max(12, Math.min(room / 10 - 6, Math.floor(room / (most + 1)) - 6));
  const gap = Math.max(3, Math.min(8, Math.floor(unit / 3)));
  const height = (most + 1) * (unit + gap) + 26;
  const step = (width - unit - left - right) / Math.max(1, sizes.length - 1);
  const column = (l) => left + unit / 2 + l * step;
  const rows = (n) => Array.from({ length: n }, (_, j) => 22 + unit / 2 + (most - n) * (unit + gap) / 2 + j * (unit + gap));
  return { unit, height, columns: sizes.map((n, l) => ({ x: column(l), y: rows(n) })), biasY: height - unit / 2 - 4 };
}

export function makeNetwork(onselect) {
  const box = byId("network");
  let parts = null;

  function build(state) {
    const sizes = [state.features.length, ...state.layers.map((layer) => layer.n_out)];
    const shownInputs = Math.min(sizes[0], 12);
    const all = [shownInputs, ...sizes.slice(1)];
    const names = [state.features.slice(0, shownInputs), state.layers.at(-1).n_out > 1 || state.task === "multiclass" ? state.classes : [outputName(state, 0)]];
    const [left, right] = names.map((texts) => 14 + 6.8 * Math.max(...texts.map((text) => Math.min(text.length, MOST_LETTERS))));
    const width = Math.max(box.clientWidth, 52 * all.length + left + right);
    const { unit, height, columns, biasY } = layout(all, width, left, right, Math.max(420, Math.min(700, innerHeight - 480)));
    const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Network" });
    const canvas = h("canvas", { "aria-hidden": "true" });
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const edges = [], nodes = [];
    const count = state.layers.reduce((sum, layer) => sum + layer.n_out * (layer.n_in + 1), 0);
    const lines = s("g", { class: "edges" });
    state.layers.forEach((layer, l) => {
      const from = columns[l], to = columns[l + 1];
      const dense = count > MOST_EDGES;
      for (let j = 0; j < layer.n_out; j++) {
        for (let i = 0; i <= layer.n_in; i++) {
          const bias = i === layer.n_in;
          if (!bias && (i >= from.y.length || dense)) continue;
          const y = bias ? biasY : from.y[i];
          const x1 = from.x + (bias ? 9 : unit / 2), x2 = to.x - unit / 2, middle = (x1 + x2) / 2;
          const title = s("title");
          const line = s("path", { d: `M${x1} ${y}C${middle} ${y} ${middle} ${to.y[j]} ${x2} ${to.y[j]}` }, title);
          lines.append(line);
          const name = bias ? `bias of unit ${j + 1}, layer ${l + 1}` : `weight of unit ${j + 1}, layer ${l + 1}, for input ${i + 1}`;
          edges.push({ line, title, name, at: bias ? layer.b + j : layer.W + j * layer.n_in + i });
        }
      }
      lines.append(s("circle", { class: "one", cx: from.x, cy: biasY, r: 9 }));
      lines.append(s("text", { class: "one", x: from.x, y: biasY + 4 }, "1"));
    });
    svg.append(lines);
    columns.forEach(({ x, y }, l) => y.forEach((center, j) => {
      const output = l === columns.length - 1;
      const name = l === 0 ? state.features[j] : output ? outputName(state, j) : `layer ${l}, unit ${j + 1}`;
      const frame = s("rect", { x: x - unit / 2, y: center - unit / 2, width: unit, height: unit, rx: 4 });
      const node = s("g", { class: l ? "unit" : "input" }, frame);
      if (l === 0 || output) {
        const text = name.length > MOST_LETTERS ? `${name.slice(0, MOST_LETTERS - 1)}…` : name;
        node.append(s("text", l ? { x: x + unit / 2 + 5, y: center + 4 } : { x: x - unit / 2 - 5, y: center + 4, "text-anchor": "end" }, text));
      }
      if (l) {
        node.setAttribute("role", "button");
        node.setAttribute("tabindex", "0");
        node.setAttribute("aria-label", `${output ? `output ${name}` : name}: see its numbers`);
        const choose = () => onselect(l - 1, j);
        node.addEventListener("click", choose);
        node.addEventListener("keydown", (event) => {
          if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); }
        });
        nodes.push({ node, layer: l - 1, unit: j });
      }
      svg.append(node);
    }));
    box.replaceChildren(h("div", { class: "drawing" }, svg, canvas));
    parts = { edges, nodes, canvas, columns, unit };
  }

  function draw(frame, state) {
    const { edges, columns, unit, canvas } = parts;
    const largest = edges.reduce((most, { at }) => Math.max(most, Math.abs(frame.theta[at])), 1e-9);
    for (const edge of edges) {
      const w = frame.theta[edge.at], share = w / Math.max(largest, 1);
      const look = `stroke:${css(diverging(Math.sign(w) * (0.25 + 0.75 * Math.min(1, Math.abs(share) * 1.5))))};stroke-width:${(0.6 + 5 * Math.abs(share)).toFixed(1)}`;
      if (look !== edge.look) edge.line.style.cssText = edge.look = look;
    }
    const context = canvas.getContext("2d");
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const colors = table();
    columns[0].y.forEach((y, j) => inputMap(context, colors, state.plane, j, columns[0].x - unit / 2, y - unit / 2, unit));
    let start = 0;
    columns.slice(1, -1).forEach(({ x, y }) => y.forEach((center) => {
      if (frame.units.length) paint(context, (i) => frame.units[start + i] + 128, colors, x - unit / 2, center - unit / 2, unit);
      start += SIDE * SIDE;
    }));
    const last = columns.at(-1);
    last.y.forEach((center, k) => paint(context, (i) => outputByte(frame, state, i, k), colors, last.x - unit / 2, center - unit / 2, unit));
  }

  function select(selected, active) {
    for (const { node, layer, unit } of parts.nodes) {
      node.classList.toggle("selected", selected !== null && selected.layer === layer && selected.unit === unit);
      node.classList.toggle("active", active === layer);
    }
  }
  function write(frame) {
    for (const { title, name, at } of parts.edges) title.textContent = `${name}: ${number(frame.theta[at])}`;
  }
  return { build, draw, write, select };
}

const outputName = (state, j) => (state.task === "multiclass" ? state.classes[j] : state.task === "binary" ? `${state.target} ${state.classes[1]}` : state.target);

// The output map, in fewer pixels; for several classes the share of one.
function outputByte(frame, state, i, k) {
  const row = Math.floor(i / SIDE) * 5 + 2, column = (i % SIDE) * 5 + 2, at = row * 100 + column;
  if (state.task !== "multiclass") return frame.map[at];
  return frame.map[at] === k ? 128 + frame.map[at + 10000] / 2 : 128;
}

function inputMap(context, colors, [a, b], j, x, y, unit) {
  const ramp = (t) => Math.round(255 * t);
  const value = j === a ? (i) => ramp((i % SIDE) / (SIDE - 1)) : j === b ? (i) => ramp(1 - Math.floor(i / SIDE) / (SIDE - 1)) : () => 128;
  paint(context, value, colors, x, y, unit);
}

function paint(context, byteAt, colors, x, y, unit) {
  const image = new ImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const c = 4 * Math.max(0, Math.min(255, Math.round(byteAt(i))));
    image.data.set(colors.subarray(c, c + 4), 4 * i);
  }
  one.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(one, x + 1.5, y + 1.5, unit - 3, unit - 3);
}
