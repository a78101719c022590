// What the doctor finds, with a button that applies the remedy.

import { byId, h } from "./dom.js";

const text = (remedy) => Object.entries(remedy).map(([name, value]) => `${name.replace("_", " ")} ${Array.isArray(value) ? value[0] : value}`).join(", ");

export function showFindings(findings, apply) {
  const box = byId("findings");
  box.hidden = !findings.length;
  const key = JSON.stringify(findings.map(({ name, remedy }) => [name, remedy]));
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(h("h3", {}, "The doctor finds"), h("ul", {}, ...findings.map((one) => h("li", { class: one.level },
    h("strong", {}, one.message), h("p", {}, one.cause), h("p", { class: "soft" }, one.evidence),
    Object.keys(one.remedy).length
      ? h("button", { type: "button", class: "remedy", onclick: () => apply(one.remedy) }, `Apply: ${text(one.remedy)}`)
      : h("p", {}, `Try ${one.advice}`)))));
}
