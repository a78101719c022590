// Numbers as text: enough digits to compute with, never more than eight characters.

const MINUS = "\u2212";

export function number(value, digits = 4) {
  if (digits === 0) return whole(value);
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  let text = size.toFixed(digits);
  if (size !== 0 && (size < 0.5 * 10 ** -digits || size >= 1e6)) text = size.toExponential(2);
  else if (size >= 1000) text = size.toFixed(0);
  else if (size >= 100) text = size.toFixed(1);
  return value < 0 ? MINUS + text : text;
}

// A factor in a formula: negative numbers in parentheses.
export const factor = (value) => (value < 0 ? `(${number(value)})` : number(value));

export const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);

export const whole = (n) => n.toLocaleString("en-US");
