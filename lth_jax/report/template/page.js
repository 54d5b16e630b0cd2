"use strict";
const off = new Set();

for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const key = button.dataset.key;
    off.has(key) ? off.delete(key) : off.add(key);
    button.setAttribute("aria-pressed", String(!off.has(key)));
    for (const drawn of document.querySelectorAll(`[data-series="${key}"]`)) {
      drawn.classList.toggle("off", off.has(key));
    }
  });
}

const tip = document.getElementById("tip");

function show(event, [heading, rows]) {
  const title = document.createElement("b");
  title.textContent = heading;
  const lines = rows.filter(([key]) => !off.has(key)).map(([, name, value]) => {
    const line = document.createElement("span");
    for (const text of [name, value]) line.appendChild(document.createElement("i")).textContent = text;
    return line;
  });
  tip.replaceChildren(title, ...lines);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - box.width - 4);
  const y = event.clientY + box.height + 20 > innerHeight ? event.clientY - box.height - 10 : event.clientY + 14;
  tip.style.left = `${Math.max(4, x)}px`;
  tip.style.top = `${y}px`;
}

for (const figure of document.querySelectorAll("figure")) {
  const hover = JSON.parse(figure.dataset.hover);
  for (const zone of figure.querySelectorAll("[data-level]")) {
    zone.addEventListener("pointermove", (event) => show(event, hover[zone.dataset.level]));
    zone.addEventListener("pointerleave", () => { tip.hidden = true; });
  }
}
