
// --- encoding ---------------------------------------------------------------------------------------

// Read 5, -1.5, 1e3 and 1,234.5, with a decimal comma 1.234,5, in the digits of any script.
const PLAIN = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i;
const GROUPED = /^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?$/;
const INFINITE = /^[+-]?inf(inity)?$/i;

function numberFrom(text, decimal) {
  if (decimal === ",") text = text.replace(/[.,]/g, (sign) => (sign === "." ? "," : "."));
  const plain = text.replace(/\p{Nd}/gu, digit);
  if (PLAIN.test(plain)) return Number(plain);
  if (GROUPED.test(text)) return Number(text.replaceAll(",", ""));
  if (INFINITE.test(text)) return text[0] === "-" ? -Infinity : Infinity;
  return NaN;
}

// The value of a digit: each script has its ten digits in order.
function digit(letter) {
  let before = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(letter.codePointAt(0) - before - 1))) before++;
  return String(before % 10);
}

// Encode a cell (null if missing) by the kind of its column. The cell of a number is text, of a Yes/No
// 1 or 0, of a category the index of its level, or one more if unknown.
const ENCODERS = {
  number(column, cell) {
    const value = cell === null ? column.median : numberFrom(cell, column.decimal);
    if (Number.isNaN(value)) throw new Error("This is not a number.");
    const z = Math.fround((value - column.mean) / column.scale);
    if (!Number.isFinite(z)) throw new Error("This number is too large.");
    return [z];
  },
  yesno: (column, cell) => [cell ?? (column.fill === "Yes" ? 1 : 0)],
  category(column, cell) {
    const place = cell ?? column.levels.indexOf(column.fill);
    return column.levels.map((_, i) => Number(i === place));
  },
  indicator: () => [],
};

// The features of a row. A column that missed cells in training has an indicator of missing cells.
function features(cells) {
  return MODEL.columns.flatMap((column, i) => {
    const numbers = ENCODERS[column.kind](column, cells[i]);
    return column.marked ? [...numbers, Number(cells[i] === null)] : numbers;
  });
}

// --- the form ---------------------------------------------------------------------------------------

const MISSING = new Set(MODEL.missing); // spellings of a missing cell
const FORM = document.getElementById("row");
const FIELDS = MODEL.columns.map((_, i) => document.getElementById(`column-${i}`));

function cellOf(field, column) {
  const text = field.value.trim();
  if (MISSING.has(text)) return null;
  return column.kind === "number" ? text : Number(text);
}

// A remark on a valid cell.
function remarkOn(column, cell) {
  const name = `\u2068${column.name}\u2069`; // isolates the writing direction
  if (cell === null && !column.marked) {
    const usual = column.kind === "number" ? column.median : column.fill;
    return `${name} is missing, as in no training row: ${usual} takes its place.`;
  }
  if (column.kind === "category" && cell === column.levels.length) {
    return `${name} is not a value that the model knows.`;
  }
  if (column.kind === "number" && cell !== null) {
    const value = numberFrom(cell, column.decimal);
    if (value < column.low || value > column.high) {
      return `${name} is outside the training range, ${column.low} to ${column.high}.`;
    }
  }
  return null;
}

function remark(sentences) {
  const items = sentences.map((sentence) => {
    const item = document.createElement("li");
    item.textContent = sentence;
    return item;
  });
  document.getElementById("remarks").replaceChildren(...items);
}

function predict() {
  const cells = MODEL.columns.map((column, i) => cellOf(FIELDS[i], column));
  let wrong = false;
  MODEL.columns.forEach((column, i) => {
    let complaint = "";
    try {
      ENCODERS[column.kind](column, cells[i]);
    } catch (error) {
      complaint = error.message;
      wrong = true;
    }
    FIELDS[i].setAttribute("aria-invalid", String(complaint !== ""));
    document.getElementById(`complaint-${i}`).textContent = complaint;
  });
  if (wrong) {
    remark([]);
    refuse("Correct the marked field.");
    return;
  }
  remark(MODEL.columns.map((column, i) => remarkOn(column, cells[i])).filter(Boolean));
  show(output(features(cells)));
}

FORM.addEventListener("input", predict);
FORM.addEventListener("submit", (event) => event.preventDefault());
FORM.addEventListener("reset", () => setTimeout(predict)); // once the fields have their values
document.getElementById("empty").addEventListener("click", () => {
  for (const field of FIELDS) field.value = "";
  predict();
});
predict();
