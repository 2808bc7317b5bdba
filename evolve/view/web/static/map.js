// Diversity: the grid of elites, or all variants in the plane where their code differs most.
(function () {
  "use strict";
  const by = (id) => document.getElementById(id);
  let which = "grid", grid = null, plane = null, surface = null, spots = [], hovered = -1, canvas;

  function paintRange(scores) {
    const range = Evolve.range(scores);
    Evolve.precise(...range);
    if (range[1] - range[0] < 1e-12 * Math.max(1, Math.abs(range[1]))) range[0] = range[1] - 1;
    const width = range[1] - range[0], up = grid.maximize !== false;
    const box = by("map-legend"), make = Evolve.element;
    box.replaceChildren(...[0, 0.5, 0.999].map((share) => {
      const square = make("i", {});
      square.style.background = Evolve.ramp(up ? share : 1 - share);
      return make("span", {}, square, Evolve.text(range[0] + share * width));
    }));
    return (score) => score === null ? Evolve.colour("--edge") : Evolve.ramp(up ? (score - range[0]) / width : 1 - (score - range[0]) / width);
  }

  // Cells count in C order: the last axis runs fastest. More than two axes are shown slice by slice.
  function drawGrid(context, width, height) {
    const axes = grid.axes, bins = axes.map((axis) => axis.bins), rest = bins.slice(2).reduce((a, b) => a * b, 1);
    const slice = Number(by("map-slice").value || 0), across = bins[0] || 1, down = bins[1] || 1;
    const left = 64, bottom = 62, w = (width - left - 20) / across, h = (height - bottom - 20) / down;
    const paint = paintRange(grid.cells.map((cell) => cell.score));
    context.strokeStyle = Evolve.colour("--line");
    for (let i = 0; i < across; i++) for (let j = 0; j < down; j++) context.strokeRect(left + i * w, 16 + j * h, w, h);
    spots = [];
    for (const cell of grid.cells) {
      if (cell.cell % rest !== slice) continue;
      const flat = Math.floor(cell.cell / rest), i = Math.floor(flat / down), j = down - 1 - flat % down;
      context.fillStyle = paint(cell.score);
      context.fillRect(left + i * w + 1, 16 + j * h + 1, w - 2, h - 2);
      spots.push({ x: left + (i + 0.5) * w, y: 16 + (j + 0.5) * h, reach: Math.max(w, h) / 2, id: cell.id, score: cell.score });
    }
    words(context, axes, left, bottom, width, height);
    by("map-facts").textContent = `${grid.elites} of ${grid.total} cells filled (${(100 * grid.coverage).toFixed(1)} %), QD score ${Evolve.text(grid.qd_score)}`;
    by("map-words").textContent = `The best variant of each cell over ${axes.map((axis) => axis.name).join(" and ")}; brighter is better.`;
  }

  function words(context, axes, left, bottom, width, height) {
    context.fillStyle = Evolve.colour("--soft");
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "alphabetic";
    context.textAlign = "center";
    const [a, b] = axes;
    if (a) {
      context.fillText(`${a.name} →`, (left + width) / 2, height - 34);
      context.textAlign = "left"; context.fillText(Evolve.text(a.low), left, height - 46);
      context.textAlign = "right"; context.fillText(Evolve.text(a.high), width - 20, height - 46);
    }
    if (b) {
      context.textAlign = "right"; context.fillText(Evolve.text(b.high), left - 6, 28); context.fillText(Evolve.text(b.low), left - 6, height - bottom - 6);
      context.save(); context.translate(18, height / 2); context.rotate(-Math.PI / 2); context.textAlign = "center"; context.fillText(`${b.name} →`, 0, 0); context.restore();
    }
    context.textAlign = "left";
  }

  function drawPlane(context, width, height) {
    const count = plane.id.length;
    if (!count) { by("map-words").textContent = "Too few variants for a plane."; spots = []; return; }
    const edge = (values) => [Math.min(...values.slice(0, 60000)), Math.max(...values.slice(0, 60000))];
    const [x0, x1] = edge(plane.x), [y0, y1] = edge(plane.y), paint = paintRange(plane.score);
    const px = (value) => 24 + (width - 48) * (value - x0) / (x1 - x0 || 1), py = (value) => 24 + (height - 70) * (value - y0) / (y1 - y0 || 1);
    const size = Math.max(1.6, Math.min(6, 160 / Math.sqrt(count)));
    spots = plane.id.map((id, i) => ({ x: px(plane.x[i]), y: py(plane.y[i]), reach: 10, id, score: plane.score[i] }));
    const order = spots.map((_, i) => i).sort((a, b) => (spots[a].score ?? -Infinity) - (spots[b].score ?? -Infinity));
    context.globalAlpha = 0.85;
    for (const i of grid.maximize === false ? order.reverse() : order) {
      context.fillStyle = paint(spots[i].score);
      context.beginPath(); context.arc(spots[i].x, spots[i].y, size, 0, 2 * Math.PI); context.fill();
    }
    context.globalAlpha = 1;
    by("map-facts").textContent = `${count.toLocaleString()} variants; the plane holds ${(100 * plane.explained).toFixed(0)} % of what differs`;
    by("map-words").textContent = "Each variant by its code: near points have like code (principal components of the novelty vectors); brighter is better.";
  }

  function draw() {
    if (!grid || (which === "plane" && !plane)) return;
    surface = Evolve.canvas(canvas);
    const { context, width, height } = surface;
    context.clearRect(0, 0, width, height);
    (which === "grid" ? drawGrid : drawPlane)(context, width, height);
    if (hovered >= 0 && spots[hovered]) {
      context.strokeStyle = Evolve.colour("--ink"); context.lineWidth = 2;
      context.beginPath(); context.arc(spots[hovered].x, spots[hovered].y, 9, 0, 2 * Math.PI); context.stroke(); context.lineWidth = 1;
    }
  }

  function at(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, least = Infinity;
    spots.forEach((spot, i) => { const far = Math.hypot(spot.x - x, spot.y - y); if (far < spot.reach && far < least) { least = far; best = i; } });
    return best;
  }

  function onMove(event) {
    const i = at(event), tip = by("map-tip"), box = canvas.getBoundingClientRect();
    if (i !== hovered) { hovered = i; draw(); }
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.replaceChildren(Evolve.element("b", {}, spots[i].id.slice(0, 8)), ` ${Evolve.text(spots[i].score)}`);
    tip.style.left = `${Math.min(event.clientX - box.left + 14, Math.max(0, box.width - 180))}px`;
    tip.style.top = `${Math.min(event.clientY - box.top + 14, box.height - 50)}px`;
  }

  function walk(event) {
    if (event.key === "Enter" && spots[hovered]) location.href = Evolve.link(spots[hovered].id);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && spots.length) { event.preventDefault(); hovered = (hovered + step + spots.length) % spots.length; draw(); by("map-facts").textContent = `${spots[hovered].id.slice(0, 8)}: ${Evolve.text(spots[hovered].score)}; Enter opens it`; }
  }

  function choose(name) {
    which = name;
    hovered = -1;
    document.querySelectorAll("[data-map]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.map === name)));
    by("map-slice-label").hidden = name !== "grid" || grid.axes.length < 3;
    if (name === "plane" && !plane) {
      by("map-facts").textContent = "computing…";
      Evolve.load("plane").then((found) => { plane = found; draw(); document.body.dataset.plane = "1"; }).catch((error) => Evolve.failed(by("map-facts"), error));
    }
    draw();
  }

  Evolve.pages.map = () => {
    canvas = by("map");
    Evolve.load("map").then((found) => {
      grid = found;
      const rest = grid.axes.slice(2).reduce((product, axis) => product * axis.bins, 1);
      by("map-slice").replaceChildren(...Array.from({ length: Math.min(rest, 200) }, (_, i) => Evolve.element("option", { value: String(i) }, `slice ${i + 1}`)));
      by("map-slice").addEventListener("change", draw);
      document.querySelectorAll("[data-map]").forEach((b) => b.addEventListener("click", () => { choose(b.dataset.map); Evolve.chosen(false); }));
      canvas.addEventListener("pointermove", onMove);
      canvas.addEventListener("pointerleave", () => { by("map-tip").hidden = true; });
      canvas.addEventListener("click", (event) => { const i = at(event); if (i >= 0) location.href = Evolve.link(spots[i].id); });
      canvas.addEventListener("keydown", walk);
      let waiting = 0;
      window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 120); });
      document.addEventListener("theme", draw);
      choose("grid");
      Evolve.keep("map", () => which, (name) => { if (name === "grid" || name === "plane") choose(name); });
      Evolve.keepControl("slice", by("map-slice"), "change");
      document.body.dataset.ready = "map";
    }).catch((error) => Evolve.failed(by("map-facts"), error));
  };
  Evolve.redraw = Evolve.redraw || {};
  Evolve.redraw.map = draw;
})();
