
// --- from the cells of a row to numbers -------------------------------------------------------------

// Numbers as people write them: 5, -1.5, 1e3 and 1,234.5; with a decimal comma 1.234,5; and 5 in
// the digits of any script.
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

// Which of 0 to 9 a digit means: each script has its ten in a row.
function digit(letter) {
  let before = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(letter.codePointAt(0) - before - 1))) before++;
  return String(before % 10);
}

// Each kind of column turns a cell (null where it is missing) into numbers. A number's cell is text,
// that of a Yes/No is 1 or 0, that of a category the place of its level, or one more if unknown, and of an
// indicator it only matters whether there is one.
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

// The numbers that the network takes. With a column that missed cells in training goes one number
// more, which says whether this one is missing.
function features(cells) {
  return MODEL.columns.flatMap((column, i) => {
    const numbers = ENCODERS[column.kind](column, cells[i]);
    return column.marked ? [...numbers, Number(cells[i] === null)] : numbers;
  });
}

// --- the form ---------------------------------------------------------------------------------------

const MISSING = new Set(MODEL.missing); // how people write that a cell is missing
const FORM = document.getElementById("row");
const FIELDS = MODEL.columns.map((_, i) => document.getElementById(`column-${i}`));

function cellOf(field, column) {
  const text = field.value.trim();
  if (MISSING.has(text)) return null;
  return column.kind === "number" ? text : Number(text);
}

// Something that a person should know of a cell that can be used.
function remarkOn(column, cell) {
  const name = `\u2068${column.name}\u2069`; // keeps its direction of writing to itself
  if (cell === null && !column.marked) {
    const usual = column.kind === "number" ? column.median : column.fill;
    return `${name} is missing, as in no training row: ${usual} takes its place.`;
  }
  if (column.kind === "category" && cell === column.levels.length) {
    return `${name} is none of the values that the model knows.`;
  }
  if (column.kind === "number" && cell !== null) {
    const value = numberFrom(cell, column.decimal);
    if (value < column.low || value > column.high) {
      return `${name} is outside of ${column.low} to ${column.high}, as most training rows are not.`;
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
