// The time line: play, steps, and a slider to every step.

import { byId, h, select } from "./dom.js";
import { whole } from "./format.js";

export function makeTimeline({ toggle, byLayer, advance, seek, restart, speed }) {
  const play = h("button", { type: "button", id: "play", class: "primary", "aria-keyshortcuts": "Space", onclick: toggle }, "Play");
  const slider = h("input", { type: "range", id: "scrub", min: 0, max: 0, value: 0, "aria-label": "Step", oninput: () => seek(Number(slider.value)) });
  const text = h("output", { for: "scrub", id: "position" });
  const speeds = select("speed", [["slow", "slow"], ["normal", "normal"], ["fast", "fast"]], "normal", speed);
  speeds.setAttribute("aria-label", "Speed");
  const step = (unit, onclick) => h("button", { type: "button", id: `step-${unit}`, "aria-label": `Step ${unit}`, onclick }, h("span", { class: "verb" }, "Step "), unit);
  byId("timeline").append(
    h("div", { class: "buttons" }, play,
      step("layer", byLayer), step("batch", () => advance({ batches: 1 })), step("epoch", () => advance({ epochs: 1 })),
      h("button", { type: "button", id: "restart", onclick: restart }, "Restart"), speeds),
    h("div", { class: "scrubber" }, slider, text));

  function show(frame, state, playing) {
    play.textContent = playing ? "Pause" : "Play";
    slider.max = frame.total;
    if (document.activeElement !== slider || Number(slider.value) > frame.total || playing) slider.value = frame.step;
    const place = `step ${whole(frame.step)} of ${whole(frame.total)}, epoch ${whole(frame.epoch)}, batch ${frame.batch} of ${state.batches}`;
    text.textContent = place;
    slider.setAttribute("aria-valuetext", place);
  }
  return { show };
}
