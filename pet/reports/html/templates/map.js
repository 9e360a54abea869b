(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data-map").textContent);
  const plot = document.getElementById("map-plot"), row = document.getElementById("map-row");
  const dots = [...plot.querySelectorAll("circle")];
  const at = dots.map((dot) => [Number(dot.getAttribute("cx")), Number(dot.getAttribute("cy"))]);
  let current = -1, only = "";

  const shown = (i) => only === "" || data.label[i] === Number(only);
  const show = (i) => {
    if (current >= 0) dots[current].classList.remove("on");
    current = i;
    if (i < 0) { row.textContent = "\u00a0"; return; }
    dots[i].classList.add("on");
    dots[i].parentNode.append(dots[i]);  // above the others
    const label = document.createElement("strong"), name = document.createElement("bdi"), text = document.createElement("bdi");
    name.textContent = data.labels[data.label[i]];
    label.append(name);
    text.textContent = data.texts[i];
    row.replaceChildren(label, ` ${data.confidence[i]}% · `, text);
  };
  const nearest = (x, y, fits) => {
    let best = -1, least = Infinity;
    at.forEach(([a, b], i) => {
      const far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least && shown(i) && fits(a, b, i)) { best = i; least = far; }
    });
    return [best, least];
  };
  const svg = plot.querySelector("svg");
  const point = (event) => {
    const where = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const [i, far] = nearest(where.x, where.y, () => true);
    if (i >= 0 && far < 900 && i !== current) show(i);
  };
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("focus", () => { if (current < 0) show(nearest(500, 500, () => true)[0]); });
  plot.addEventListener("keydown", (event) => {
    const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    const way = ways[event.key];
    if (!way || current < 0) return;
    event.preventDefault();
    const [x, y] = at[current], from = current;
    // In the quarter of the plane that the arrow points to.
    const [i] = nearest(x, y, (a, b, other) => {
      const along = (a - x) * way[0] + (b - y) * way[1], across = Math.abs((a - x) * way[1]) + Math.abs((b - y) * way[0]);
      return other !== from && along > 0 && along >= across;
    });
    if (i >= 0) show(i);
  });
  document.getElementById("map-colour").addEventListener("change", (event) => {
    const sure = event.target.value === "confidence";
    plot.classList.toggle("by-confidence", sure);
    document.getElementById("map-sure").hidden = !sure;
    document.getElementById("map-labels").hidden = sure;
  });
  document.getElementById("map-label").addEventListener("change", (event) => {
    only = event.target.value;
    dots.forEach((dot, i) => dot.classList.toggle("off", !shown(i)));
    if (current >= 0 && !shown(current)) show(-1);
  });
})();
