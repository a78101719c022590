// Two runs side by side: what differs in their settings, and the numbers of each.

import { byId, h } from "./dom.js";
import { number, percent } from "./format.js";

const NAMES = { lr: "learning rate", init: "initial weights", hidden: "layers", validation_fraction: "held out", data_seed: "points drawn" };

const text = (name, value) => (name === "drawn" ? `${value.length} points` : Array.isArray(value) ? value.join("-") || "none" : String(value));

// The settings of a run that another has otherwise, as text.
export function differences(settings, others) {
  return Object.keys(settings)
    .filter((name) => JSON.stringify(settings[name]) !== JSON.stringify(others[name]))
    .map((name) => `${NAMES[name] ?? name.replaceAll("_", " ")} ${text(name, settings[name])}`).join(", ");
}

export function showNumbers(box, frame, state) {
  const [train, validation] = frame.metric, format = state.task === "regression" ? number : percent;
  const entries = [[`training ${state.metric}`, format(train)], ["training loss", number(frame.loss[0])]];
  if (validation !== null) entries.push([`validation ${state.metric}`, format(validation)], ["validation loss", number(frame.loss[1])]);
  box.replaceChildren(...entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function nameRuns(state) {
  const { beside } = state;
  document.querySelector("main").classList.toggle("comparing", beside !== null);
  byId("run-b").hidden = byId("name-a").hidden = beside === null;
  byId("compare").textContent = beside ? "End comparison" : "Compare";
  if (!beside) return;
  const name = (settings, others) => differences(settings, others) || "the same settings as yet";
  byId("name-a").replaceChildren(h("b", {}, "A "), name(state.settings, beside.settings));
  byId("name-b").replaceChildren(h("b", {}, "B "), name(beside.settings, state.settings));
}
