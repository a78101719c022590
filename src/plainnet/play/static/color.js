// Colors: orange and blue for negative and positive, and one color for each class.

const dark = matchMedia("(prefers-color-scheme: dark)");
const LIGHT = { low: [204, 90, 8], middle: [247, 247, 246], high: [8, 92, 168] };
const DARK = { low: [250, 146, 62], middle: [33, 38, 44], high: [92, 172, 250] };
const CLASSES = [[0, 114, 178], [213, 94, 0], [0, 148, 108], [190, 100, 160], [70, 160, 215], [170, 140, 20], [110, 90, 200], [120, 120, 120]];

export const onSchemeChange = (redraw) => dark.addEventListener("change", redraw);
export const isDark = () => dark.matches;
const scheme = () => (dark.matches ? DARK : LIGHT);
const mix = (a, b, t) => [0, 1, 2].map((i) => Math.round(a[i] + (b[i] - a[i]) * t));
export const css = ([r, g, b]) => `rgb(${r},${g},${b})`;

// From -1 (orange) over 0 to 1 (blue).
export function diverging(value, { low, middle, high } = scheme()) {
  const t = Math.max(-1, Math.min(1, value));
  return t < 0 ? mix(middle, low, -t) : mix(middle, high, t);
}

export function classColor(i, n) {
  if (n === 2) return i ? scheme().high : scheme().low;
  return CLASSES[i % CLASSES.length];
}

export const classShare = (i, share, n) => mix(scheme().middle, classColor(i, n), 0.1 + 0.5 * share);

// 256 colors for bytes from 0 to 255; the output map is paler than the points on it.
export function table(strength = 1) {
  const colors = new Uint8ClampedArray(256 * 4), now = scheme();
  for (let i = 0; i < 256; i++) colors.set([...diverging(strength * ((i / 255) * 2 - 1), now), 255], 4 * i);
  return colors;
}
