"use strict";
const about = JSON.parse(document.getElementById("about").textContent);
const form = document.getElementById("ask"), said = document.getElementById("said");
const answers = document.getElementById("answers"), token = document.getElementById("token");
const button = form.querySelector("button"), areas = [...form.querySelectorAll("textarea")];
const MOST = 64, SHOWN = 5;

function made(tag, kind, text) {
  const found = document.createElement(tag);
  if (kind) found.className = kind;
  if (text !== undefined) {
    const words = document.createElement("bdi");
    words.textContent = text;
    found.append(words);
  }
  return found;
}

function percent(share) { return `${(100 * share).toFixed(1)}%`; }

function bar(share) {
  const space = "http://www.w3.org/2000/svg", picture = document.createElementNS(space, "svg");
  picture.setAttribute("class", "bar");
  picture.setAttribute("aria-hidden", "true");
  for (const [kind, width] of [["track", 1], ["fill", share]]) {
    const one = document.createElementNS(space, "rect");
    for (const [name, value] of Object.entries({ class: kind, height: "100%", width: percent(width), rx: 3 })) one.setAttribute(name, value);
    picture.append(one);
  }
  return picture;
}

async function ask(path, inputs) {
  const headers = { "Content-Type": "application/json" };
  const secret = token.querySelector("input").value;
  if (secret) headers.Authorization = `Bearer ${secret}`;
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify({ inputs }) });
  const found = await answer.json();
  if (answer.status === 401) token.hidden = false;
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function rows() {
  if (areas.length > 1) return [areas.map((area) => area.value)];
  return areas[0].value.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => [line]);
}

function whyOf(near) {
  const why = made("details", "why"), list = made("ol");
  why.append(made("summary", "", "Why?"));
  for (const one of near) {
    const item = made("li"), head = made("p", "near");
    head.append(made("span", "tag", one.label), made("span", "note", `likeness ${one.similarity.toFixed(2)} · ${one.id}`));
    item.append(head, made("p", "quote", Object.values(one.fields).join(" · ")));
    list.append(item);
  }
  why.append(list);
  return why;
}

function shown(row, labels, near) {
  const item = made("li", "answer"), table = made("table");
  item.append(made("p", "quote", row.join(" · ")));
  const head = made("p", "given");
  head.append(made("strong", "", labels[0].label), made("span", "note", `${percent(labels[0].score)} sure`));
  item.append(head);
  for (const one of labels.slice(0, SHOWN)) {
    const line = table.insertRow();
    line.append(made("th", "", one.label));
    line.insertCell().append(bar(one.score));
    line.append(made("td", "n", percent(one.score)));
  }
  item.append(table);
  if (labels.length > SHOWN) item.append(made("p", "note", `and ${labels.length - SHOWN} more labels`));
  if (near) item.append(whyOf(near));
  return item;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const all = rows(), some = all.slice(0, MOST);
  if (!some.length) return;
  button.disabled = true;
  said.textContent = "Asking …";
  try {
    const labels = await ask("/predict", some);
    const near = about.whyNot ? null : (await ask("/nearest", some)).nearest;
    answers.replaceChildren(...some.map((row, place) => shown(row, labels[place], near && near[place])));
    const texts = some.length === 1 ? "1 row" : `${some.length} rows`;
    said.textContent = `${texts} labeled.${all.length > MOST ? ` Only the first ${MOST} are asked about here.` : ""}`;
  } catch (error) {
    answers.replaceChildren();
    said.textContent = error.message;
  } finally {
    button.disabled = false;
  }
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
