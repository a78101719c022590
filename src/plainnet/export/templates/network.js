"use strict";
// The network. MODEL, the JSON in this page, holds its layers, weights and columns.
// In the browser's console, output(x) predicts for an array x of features.

const MODEL = JSON.parse(document.getElementById("model").textContent);

// Each layer computes its output for the input x of one example; `own` holds its parameters and
// shapes. The numbers of a picture follow each other row by row, pixel by pixel, channel by channel.
const LAYERS = {
  Dense(own, x) {
    const z = new Float64Array(own.b); // z = W x + b
    for (let unit = 0, at = 0; unit < z.length; unit++) {
      for (let i = 0; i < x.length; i++, at++) z[unit] += own.W[at] * x[i];
    }
    return z;
  },
  GroupedDense(own, x) {
    const z = new Float64Array(own.b); // dense layers side by side, each with its part of x
    const n = x.length / own.groups, units = z.length / own.groups;
    for (let unit = 0, at = 0; unit < z.length; unit++) {
      const start = Math.floor(unit / units) * n;
      for (let i = 0; i < n; i++, at++) z[unit] += own.W[at] * x[start + i];
    }
    return z;
  },
  PiecewiseLinear(own, x) {
    const y = new Float64Array(own.low.length); // how far x fills each bin, from -1/2 to 1/2
    let bin = 0;
    own.bins.forEach((n, feature) => {
      for (const end = bin + n; bin < end; bin++) {
        const filled = (x[feature] - own.low[bin]) / (own.high[bin] - own.low[bin]);
        y[bin] = Math.min(Math.max(filled, 0), 1) - 0.5;
      }
    });
    return y;
  },
  Conv2D(own, x) {
    const [height, width, n] = own.from;
    const [rows, columns, units] = own.to;
    const side = Math.sqrt(own.W.length / (units * n)); // W is (units, side, side, n)
    const [[top], [left]] = own.pads; // the zeros around x are left out of the sums
    const y = new Float64Array(rows * columns * units);
    for (let row = 0, at = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, at += units) {
        if (own.b) y.set(own.b, at);
        for (let i = 0; i < side; i++) {
          for (let j = 0; j < side; j++) {
            const h = row * own.stride + i - top, w = column * own.stride + j - left;
            if (h < 0 || h >= height || w < 0 || w >= width) continue;
            const pixel = (h * width + w) * n;
            for (let unit = 0; unit < units; unit++) {
              const weights = ((unit * side + i) * side + j) * n;
              for (let k = 0; k < n; k++) y[at + unit] += own.W[weights + k] * x[pixel + k];
            }
          }
        }
      }
    }
    return y;
  },
  MaxPool2D: (own, x) => pooled(own, x, (square) => Math.max(...square)),
  AveragePool2D: (own, x) => pooled(own, x, mean),
  GlobalAveragePool2D(own, x) {
    const y = new Float64Array(own.to[0]);
    x.forEach((v, i) => (y[i % y.length] += v));
    return y.map((v) => (v * y.length) / x.length);
  },
  Flatten: (own, x) => x, // which is flat here
  BatchNorm(own, x) {
    const n = own.gamma.length; // features, or channels of each pixel
    const std = own.running_var.map((variance) => Math.sqrt(variance + own.eps));
    return x.map((v, i) => {
      const k = i % n;
      return ((v - own.running_mean[k]) / std[k]) * own.gamma[k] + own.beta[k];
    });
  },
  LayerNorm(own, x) {
    const n = own.gamma.length;
    const y = new Float64Array(x.length);
    for (let start = 0; start < x.length; start += n) { // of a picture, each pixel by itself
      const part = x.subarray(start, start + n);
      const middle = mean(part);
      const centred = part.map((v) => v - middle);
      const std = Math.sqrt(mean(centred.map((v) => v * v)) + own.eps);
      y.set(centred.map((v, k) => (v / std) * own.gamma[k] + own.beta[k]), start);
    }
    return y;
  },
  ReLU: (own, x) => x.map((v) => Math.max(v, 0)),
  LeakyReLU: (own, x) => x.map((v) => Math.max(v, own.alpha * v)),
  ELU: (own, x) => x.map((v) => (v > 0 ? v : own.alpha * Math.expm1(v))),
  GELU: (own, x) =>
    x.map((v) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))),
  SiLU: (own, x) => x.map((v) => v * sigmoid(v)),
  Tanh: (own, x) => x.map(Math.tanh),
  Sigmoid: (own, x) => x.map(sigmoid),
  Softplus: (own, x) => x.map((v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))),
};

// Turns the last layer's outputs into probabilities, or numbers in the unit of the table.
const LINKS = {
  binary: ([z]) => [1 - sigmoid(z), sigmoid(z)],
  multilabel: (z) => z.map(sigmoid),
  multiclass(z) {
    const top = Math.max(...z);
    const e = z.map((v) => Math.exp(v - top)); // the largest becomes 1, so that none overflows
    const sum = e.reduce((a, b) => a + b);
    return e.map((v) => v / sum);
  },
  regression: (z) => z.map((v, i) => v * MODEL.scale[i] + MODEL.mean[i]),
};

// Reduce each square of pixels to one number, channel by channel.
function pooled(own, x, reduce) {
  const { size, stride } = own;
  const [, width, n] = own.from;
  const [rows, columns] = own.to;
  const y = new Float64Array(rows * columns * n);
  const square = new Float64Array(size * size);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let k = 0; k < n; k++, at++) {
        for (let i = 0; i < square.length; i++) {
          const h = row * stride + Math.floor(i / size), w = column * stride + (i % size);
          square[i] = x[(h * width + w) * n + k];
        }
        y[at] = reduce(square);
      }
    }
  }
  return y;
}

function mean(x) {
  return x.reduce((a, b) => a + b, 0) / x.length;
}

function sigmoid(v) {
  return (1 + Math.tanh(v / 2)) / 2;
}

// Probabilities, or numbers in the unit of the table.
function output(x) {
  let y = Float64Array.from(x);
  for (const layer of MODEL.layers) y = LAYERS[layer.kind](layer, y);
  return LINKS[MODEL.task](y);
}

// A probability above one half is positive, in the precision of the model.
function isPositive(p) {
  return (MODEL.dtype === "float32" ? Math.fround(p) : p) > 0.5;
}

// Decode an array from its little-endian bytes in base64.
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const size = MODEL.dtype === "float32" ? 4 : 8;
  const read = size === 4 ? (at) => view.getFloat32(at, true) : (at) => view.getFloat64(at, true);
  return Float64Array.from({ length: bytes.length / size }, (_, i) => read(i * size));
}

for (const layer of MODEL.layers) {
  for (const name of layer.packed) layer[name] = unpacked(layer[name]);
}

// --- showing a prediction ---------------------------------------------------------------------------

function show(y) {
  const names = MODEL.classes;
  let lines = Array.from(y, (value, i) => ({ name: names[i], value }));
  let says;
  if (MODEL.task === "regression") {
    lines = lines.map(({ value }, i) => ({ name: MODEL.targets[i], value }));
    says = lines.map(({ value }) => String(value)).join(", ");
  } else if (MODEL.task === "multilabel") {
    says = names.filter((_, i) => isPositive(y[i])).join(", ") || "none of the labels";
  } else {
    if (MODEL.task === "multiclass") lines.sort((a, b) => b.value - a.value);
    says = MODEL.task === "binary" ? names[isPositive(y[1]) ? 1 : 0] : lines[0].name;
  }
  const sure = Math.max(...lines.map(({ value }) => value));
  const one = MODEL.task === "binary" || MODEL.task === "multiclass";
  say(says, one ? `${percent(sure)} ${says}` : says);
  document.getElementById("lines").replaceChildren(...lines.map(line));
}

function say(text, short = text) {
  document.getElementById("prediction").textContent = text;
  const brief = document.getElementById("brief"); // at the foot of a phone, under a form
  if (brief) brief.textContent = short;
}

// One line of the result: a name, a number, and for a probability a bar.
function line({ name, value }) {
  const item = document.createElement("li");
  const number = document.createElement("data");
  number.value = String(value); // all digits, for copying
  const title = document.createElement("bdi"); // isolates the writing direction
  title.textContent = name;
  item.append(title, " ", number);
  if (MODEL.task === "regression") {
    number.textContent = number.value;
    return item;
  }
  number.textContent = percent(value);
  const bar = document.createElement("div");
  bar.className = "bar";
  const part = document.createElement("div");
  part.style.width = `${100 * value}%`;
  bar.append(part);
  item.append(bar);
  return item;
}

function percent(p) {
  if (p > 0 && p < 0.0005) return "< 0.1 %";
  if (p < 1 && p > 0.9995) return "> 99.9 %";
  return `${(100 * p).toFixed(1)} %`;
}

// Show why nothing can be predicted.
function refuse(why) {
  say(why);
  document.getElementById("lines").replaceChildren();
}
