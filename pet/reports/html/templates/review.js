"use strict";
// Takes labels for the rows of this section, keeps them in the browser, and saves them as review.csv.
// Texts of people go to the page as textContent alone.
(() => {
  const data = JSON.parse(document.getElementById("data-review").textContent);
  const at = (name) => document.getElementById("review-" + name);
  const key = "pet-review:" + data.run;
  const many = data.labels.length > 9;
  const done = [];
  let place = 0;
  let kept = true;
  let shown = data.labels;

  // id -> {label (null: none fits), fields}, also of rows that an earlier page of this run has asked for
  const said = new Map(read().filter(([, one]) => one && (one.label === null || data.labels.includes(one.label))));

  function read() {
    try {
      const found = JSON.parse(localStorage.getItem(key) || "{}");
      at("name").value = typeof found.reviewer === "string" ? found.reviewer : "";
      return Array.isArray(found.said) ? found.said : [];
    } catch {
      return [];
    }
  }

  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify({ reviewer: at("name").value, said: [...said] }));
      kept = true;
    } catch {
      kept = false;
    }
  }

  function made(tag, text, name) {
    const found = document.createElement(tag);
    found.textContent = text;
    found.dir = "auto";
    if (name) found.className = name;
    return found;
  }

  function tell(text, aloud) {
    at("said").classList.toggle("hidden", aloud); // where the row stands is read on the page already
    at("said").textContent = kept ? text : text + " This browser keeps nothing: save before you close the page.";
  }

  function fact(name, text) {
    if (text) at("facts").append(made("dt", name), made("dd", text));
  }

  function draw() {
    const row = data.rows[place];
    const names = Object.keys(row.fields);
    const here = data.rows.filter((one) => said.has(one.id)).length;
    const before = said.size - here;
    at("place").textContent = `Row ${place + 1} of ${data.rows.length}: ${row.id} · ${here} labeled` + (before ? `, ${before} on earlier pages` : "");
    at("progress").max = data.rows.length;
    at("progress").value = here;
    at("texts").replaceChildren(...names.flatMap((name) => [
      ...(names.length > 1 ? [made("p", name, "review-field")] : []),
      made("p", row.fields[name], "review-text"),
    ]));
    at("facts").replaceChildren();
    fact(row.gold ? "gold label" : "label", row.label);
    fact("votes", Object.entries(row.votes).map(([voter, label]) => `${voter}: ${label}`).join(", "));
    fact("why", row.reason);
    drawLabels(row);
    at("none").setAttribute("aria-pressed", String(said.has(row.id) && said.get(row.id).label === null));
    at("undo").disabled = !done.length;
    at("back").disabled = place === 0;
    at("on").disabled = place === data.rows.length - 1;
    at("save").disabled = !said.size;
  }

  function drawLabels(row) {
    const wanted = at("filter").value.trim().toLocaleLowerCase();
    shown = data.labels.filter((label) => label.toLocaleLowerCase().includes(wanted));
    at("labels").replaceChildren(...shown.map((label, number) => {
      const button = made("button", "");
      button.type = "button";
      if (number < 9) button.append(made("kbd", String(number + 1)), " ");
      button.append(made("span", label));
      const chosen = said.has(row.id) && said.get(row.id).label === label;
      button.setAttribute("aria-pressed", String(chosen));
      if (number < 9) button.setAttribute("aria-keyshortcuts", String(number + 1));
      button.addEventListener("click", () => say(label));
      return button;
    }));
  }

  function go(to, text) {
    place = Math.min(Math.max(to, 0), data.rows.length - 1);
    at("filter").value = "";
    draw();
    tell(text || at("place").textContent, !text && kept);
  }

  function say(label) {
    const row = data.rows[place];
    done.push([row.id, said.get(row.id)]);
    said.delete(row.id);
    said.set(row.id, { label, fields: row.fields });
    keep();
    const last = place === data.rows.length - 1;
    go(place + 1, `${row.id}: ${label === null ? "no label fits" : label}.` + (last ? " That was the last row: save review.csv." : ""));
    at("card").focus({ preventScroll: true });
  }

  function undo() {
    if (!done.length) return;
    const [id, before] = done.pop();
    said.delete(id);
    if (before) said.set(id, before);
    keep();
    go(data.rows.findIndex((row) => row.id === id), `${id}: taken back.`);
    at("card").focus({ preventScroll: true });
  }

  // The same cells and quotes as pet writes them: see pet/data/formulas.py and pet/data/writers.py.
  function line(cells) {
    const safe = cells.map((cell) => (/^(?:[' \t\r\n]*[=+\-@]|'*[\t\r\n])/.test(cell) ? "'" + cell : cell));
    const all = safe.some((cell) => /[\r\n]/.test(cell));
    return safe.map((cell) => (all || /[",]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell)).join(",") + "\n";
  }

  function table() {
    const names = [...new Set([...said.values()].flatMap((one) => Object.keys(one.fields)))];
    const columns = names.map((name) => data.columns[name] ?? name);
    const rows = [...said].map(([id, one]) => [
      id, one.label ?? data.none, at("name").value.trim(), data.run, ...names.map((name) => one.fields[name] ?? ""),
    ]);
    return "\ufeff" + [["id", "label", "reviewer", "run", ...columns], ...rows].map(line).join("");
  }

  function save() {
    const url = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = "review.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    tell(`${said.size} label${said.size === 1 ? "" : "s"} saved as review.csv.`, false);
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === at("filter")) {
      if (event.key === "Enter" && shown.length) say(shown[0]);
      else if (event.key === "Escape") at("card").focus();
      else return;
    } else if (event.target.tagName === "INPUT") return;
    else if (/^[1-9]$/.test(event.key) && shown[event.key - 1] !== undefined) say(shown[event.key - 1]);
    else if (event.key === "s") go(place + 1);
    else if (event.key === "u") undo();
    else if (event.key === "d") say(null);
    else if (event.key === "ArrowRight") go(place + 1);
    else if (event.key === "ArrowLeft") go(place - 1);
    else if (many && /^\p{L}$/u.test(event.key)) {
      at("filter").focus();
      return; // the letter is typed into it
    } else return;
    event.preventDefault();
  }

  at("box").hidden = false;
  at("filter-box").hidden = at("letters").hidden = !many;
  at("box").addEventListener("keydown", pressed);
  at("filter").addEventListener("input", () => drawLabels(data.rows[place]));
  at("name").addEventListener("change", keep);
  at("none").addEventListener("click", () => say(null));
  at("skip").addEventListener("click", () => go(place + 1));
  at("undo").addEventListener("click", undo);
  at("back").addEventListener("click", () => go(place - 1));
  at("on").addEventListener("click", () => go(place + 1));
  at("save").addEventListener("click", save);
  const first = data.rows.findIndex((row) => !said.has(row.id));
  place = first < 0 ? 0 : first;
  draw();
})();
