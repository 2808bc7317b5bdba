// The archive as a tree on a canvas: twenty thousand variants, moved and zoomed without a pause.
(function () {
  "use strict";
  const MANY = 400, LISTED = 150, TOP = 30;
  let data, canvas, shown = [], place = [], children = [], below = [], x, y, spine = new Set();
  let view = { x: 0, y: 0, kx: 1, ky: 1 }, picked = -1, hovered = -1, found = null, pending = false, extent = [0, 1];
  let surface = { context: null, width: 1, height: 1 };
  const surface0 = () => canvas.parentElement.clientWidth;
  const by = (id) => document.getElementById(id);
  const HEADING = ["score", "gain", "state"];
  const word = (name, i) => data.words[name][data[name][i]];

  // A value as people read it; nothing for null.
  function fact(name, i) {
    const value = data.words[name] ? word(name, i) : data[name][i];
    if (value === null) return "";
    return data.forms[name].replace(/\{[^}]*\}/, () => typeof value === "number" && !Number.isInteger(value) ? Evolve.text(value) : value);
  }

  function prepare() {
    const count = data.id.length;
    children = Array.from({ length: count }, () => []);
    below = new Int32Array(count).fill(1);
    for (let i = 0; i < count; i++) if (data.parent[i] >= 0) children[data.parent[i]].push(i);
    for (let i = count - 1; i >= 0; i--) if (data.parent[i] >= 0) below[data.parent[i]] += below[i];
    for (let i = data.top; i >= 0; i = data.parent[i]) spine.add(i);
    extent = Evolve.range(data.score);
    Evolve.precise(...extent);
  }

  const sign = () => data.maximize === false ? -1 : 1;
  const ranked = () => data.score.map((score, i) => i).filter((i) => data.score[i] !== null && !data.doubted.has(i))
    .sort((a, b) => sign() * (data.score[b] - data.score[a]) || a - b);

  // The ways to the best, the way to what is picked or found, and where the tree branches.
  function chosen() {
    if (by("tree-show").value === "all") return data.id.map((_, i) => i);
    const wanted = new Set();
    const climb = (i) => { for (; i >= 0 && !wanted.has(i); i = data.parent[i]) wanted.add(i); };
    data.ranked.slice(0, TOP).forEach(climb);
    data.best.forEach((best, i) => { if (best) climb(i); });
    (found || []).slice(0, LISTED).forEach(climb);
    if (picked >= 0) climb(picked);
    below.forEach((size, i) => { if (size > Math.max(12, data.id.length / 60)) climb(i); });
    return [...wanted].sort((a, b) => a - b);
  }

  function arrange() {
    shown = chosen();
    const inside = new Uint8Array(data.id.length);
    shown.forEach((i) => { inside[i] = 1; });
    x = new Float64Array(data.id.length);
    y = new Float64Array(data.id.length);
    place = inside;
    const layout = by("tree-layout").value;
    if (layout === "score") byScore(); else byDescent(inside, layout);
    by("tree-count").textContent = `${shown.length.toLocaleString()} of ${data.id.length.toLocaleString()} shown`
      + (found ? `, ${found.length.toLocaleString()} found` : "");
    fit();
  }

  function byScore() {
    const [low, high] = extent, room = (high - low) || 1;
    for (const i of shown) {
      x[i] = data.number[i];
      const value = data.score[i] === null ? low - 0.12 * room : Math.max(low - 0.08 * room, Math.min(high + room, data.score[i]));
      y[i] = -value * sign();
    }
  }

  function byDescent(inside, layout) {
    const roots = shown.filter((i) => data.parent[i] < 0 || !inside[data.parent[i]]);
    const top = { i: -1 };
    const root = d3.hierarchy(top, (node) => (node.i < 0 ? roots : children[node.i].filter((c) => inside[c])).map((i) => ({ i })));
    if (layout === "radial") {
      d3.tree().size([2 * Math.PI, 1]).separation((a, b) => (a.parent === b.parent ? 1 : 2) / (a.depth || 1))(root);
      root.each((node) => {
        if (node.data.i < 0) return;
        const reach = Math.sqrt(node.depth) * 100;
        x[node.data.i] = reach * Math.cos(node.x - Math.PI / 2);
        y[node.data.i] = reach * Math.sin(node.x - Math.PI / 2);
      });
    } else {
      d3.tree().nodeSize([1, 1]).separation((a, b) => a.parent === b.parent ? 1 : 1.4)(root);
      root.each((node) => { if (node.data.i >= 0) { x[node.data.i] = node.depth; y[node.data.i] = node.x; } });
    }
  }

  function fit() {
    surface = Evolve.canvas(canvas);
    let left = Infinity, right = -Infinity, up = Infinity, down = -Infinity;
    for (const i of shown) {
      left = Math.min(left, x[i]); right = Math.max(right, x[i]); up = Math.min(up, y[i]); down = Math.max(down, y[i]);
    }
    if (left > right) { left = right = up = down = 0; }
    const pad = 34, width = Math.max(10, surface.width - 2 * pad), height = Math.max(10, surface.height - 2 * pad - 18);
    let kx = width / Math.max(right - left, 1e-9), ky = height / Math.max(down - up, 1e-9);
    if (by("tree-layout").value === "radial") kx = ky = Math.min(kx, ky);
    if (right - left < 1e-9) kx = 60;
    if (by("tree-layout").value === "tree") { kx = Math.min(kx, 130); ky = Math.min(ky, 44); }
    if (down - up < 1e-9) ky = 40;
    view = { kx, ky, x: pad + (width - (right - left) * kx) / 2 - left * kx, y: pad + (height - (down - up) * ky) / 2 - up * ky };
    draw();
  }

  const sx = (i) => x[i] * view.kx + view.x, sy = (i) => y[i] * view.ky + view.y;

  function paint(i) {
    const mode = by("tree-colour").value;
    if (data.score[i] === null) return Evolve.colourOf.bad;
    if (mode === "score") {
      const share = (data.score[i] - extent[0]) / (extent[1] - extent[0] || 1);
      return Evolve.ramp(sign() > 0 ? share : 1 - share);
    }
    if (mode === "gain") return data.gain[i] === null ? Evolve.colourOf.soft : data.gain[i] > 0 ? Evolve.colourOf.good : Evolve.colourOf.edge;
    if (mode === "operator") return Evolve.word(data.operator[i]);
    if (mode === "model") return Evolve.word(data.model[i]);
    if (mode === "island") return Evolve.word(data.island[i]);
    return Evolve.ramp(data.number[i] / Math.max(1, data.number[data.number.length - 1]));
  }

  function draw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; render(); });
  }

  function edge(context, i, flat) {
    const parent = data.parent[i], ax = sx(parent), ay = sy(parent), bx = sx(i), by_ = sy(i);
    context.moveTo(ax, ay);
    if (flat) context.lineTo(bx, by_);
    else context.bezierCurveTo((ax + bx) / 2, ay, (ax + bx) / 2, by_, bx, by_);
  }

  function render() {
    const { context, width, height } = surface;
    if (!context) return;
    context.clearRect(0, 0, width, height);
    const flat = shown.length > 3000 || by("tree-layout").value !== "tree";
    const near = (i) => { const a = sx(i), b = sy(i); return a > -40 && a < width + 40 && b > -40 && b < height + 40; };
    const seen = shown.filter(near), inView = new Set(seen);
    context.lineWidth = shown.length > 3000 ? 0.5 : 1;
    context.strokeStyle = Evolve.colourOf.edge;
    context.globalAlpha = shown.length > 3000 ? 0.45 : found ? 0.4 : 0.9;
    context.beginPath();
    for (const i of shown) {
      if (data.parent[i] >= 0 && place[data.parent[i]] && !(spine.has(i)) && (inView.has(i) || inView.has(data.parent[i]))) edge(context, i, flat);
    }
    context.stroke();
    context.globalAlpha = 1;
    context.lineWidth = 2.5;
    context.strokeStyle = Evolve.colourOf.gold;
    context.beginPath();
    for (const i of spine) if (data.parent[i] >= 0 && place[i] && place[data.parent[i]]) edge(context, i, flat);
    context.stroke();
    dots(context, seen);
    labels(context, seen);
  }

  function dots(context, seen) {
    const room = by("tree-layout").value === "tree" ? Math.max(1.6, view.ky * 0.42) : 6;
    const size = Math.max(1.2, Math.min(6, room, 240 / Math.sqrt(seen.length + 1) / 2));
    const groups = new Map(), bright = found ? new Set(found) : null;
    for (const i of seen) {
      const key = (bright && !bright.has(i) ? "-" : "+") + paint(i);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(i);
    }
    for (const [key, members] of [...groups].sort()) {
      context.globalAlpha = key[0] === "-" ? 0.15 : 1;
      context.fillStyle = key.slice(1);
      context.beginPath();
      for (const i of members) {
        if (size < 2.2) context.rect(sx(i) - size, sy(i) - size, 2 * size, 2 * size);
        else { context.moveTo(sx(i) + size, sy(i)); context.arc(sx(i), sy(i), size, 0, 2 * Math.PI); }
      }
      context.fill();
    }
    context.globalAlpha = 1;
    ring(context, data.top, size + 3, Evolve.colourOf.gold);
    ring(context, hovered, size + 3, Evolve.colourOf.ink);
    ring(context, picked, size + 4, Evolve.colourOf.accent);
    return size;
  }

  function ring(context, i, size, stroke) {
    if (i < 0 || !place[i]) return;
    context.strokeStyle = stroke;
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(sx(i), sy(i), size, 0, 2 * Math.PI);
    context.stroke();
  }

  // Names where there is room for them: the way to the best first.
  function labels(context, seen) {
    context.font = "11.5px ui-monospace, Menlo, Consolas, monospace";
    context.textBaseline = "middle";
    const taken = [], roomy = seen.length < 400 && (by("tree-layout").value !== "tree" || (view.ky > 12 && view.kx > 60));
    const order = [...new Set([data.top, picked, ...[...spine], ...(roomy ? seen : [])])].filter((i) => i >= 0 && place[i]);
    for (const i of order) {
      const label = data.score[i] === null ? word("state", i) : Evolve.text(data.score[i]);
      const box = [sx(i) + 10, sy(i) - 7, sx(i) + 14 + label.length * 6.8, sy(i) + 7];
      if (box[0] < 0 || box[2] > surface.width || box[1] < 0 || box[3] > surface.height - 16) continue;
      if (taken.some((b) => box[0] < b[2] && box[2] > b[0] && box[1] < b[3] && box[3] > b[1])) continue;
      taken.push(box);
      context.lineWidth = 3;
      context.strokeStyle = Evolve.colourOf.card;
      context.strokeText(label, box[0], sy(i));
      context.fillStyle = i === data.top ? Evolve.colourOf.gold : spine.has(i) || i === picked ? Evolve.colourOf.ink : Evolve.colourOf.soft;
      context.fillText(label, box[0], sy(i));
    }
  }

  function at(event) {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    let best = -1, least = 14 * 14;
    for (const i of shown) {
      const dx = sx(i) - px, dy = sy(i) - py, far = dx * dx + dy * dy;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }

  function zoom(factor, px, py) {
    view.x = px - (px - view.x) * factor; view.y = py - (py - view.y) * factor;
    view.kx *= factor; view.ky *= factor;
    draw();
  }

  function describe(i) {
    const score = data.score[i] === null ? word("state", i) : Evolve.text(data.score[i]);
    const gain = data.gain[i] === null ? "" : `  ${data.gain[i] > 0 ? "+" : ""}${+data.gain[i].toPrecision(3)}`;
    return { score, gain, operator: word("operator", i) };
  }

  function tip(i, event) {
    const box = by("tree-tip");
    box.hidden = i < 0;
    if (i < 0) return;
    const { score, gain, operator } = describe(i);
    box.replaceChildren(Evolve.element("b", {}, data.id[i].slice(0, 8)), ` ${score}${gain} · ${operator}`, document.createElement("br"), data.note[i] || "");
    const frame = canvas.getBoundingClientRect(), px = event.clientX - frame.left, py = event.clientY - frame.top;
    box.style.left = `${Math.min(px + 14, Math.max(0, frame.width - 310))}px`;
    box.style.top = `${Math.min(py + 14, frame.height - 70)}px`;
  }

  function pick(i, look) {
    if (i < 0) return;
    picked = i;
    Evolve.chosen(true);
    if (!place[i]) arrange();
    if (look) {
      const px = sx(i), py = sy(i);
      if (px < 30 || px > surface.width - 30 || py < 30 || py > surface.height - 30) { view.x += surface.width / 2 - px; view.y += surface.height / 2 - py; }
    }
    const make = Evolve.element, { score, gain } = describe(i);
    const facts = Object.keys(data.forms).filter((name) => !HEADING.includes(name)).map((name) => fact(name, i)).filter(Boolean);
    by("tree-picked").replaceChildren(
      make("a", { href: Evolve.link(data.id[i]), className: "mono" }, make("b", {}, data.id[i])),
      make("div", {}, make("b", { className: "gold" }, score), make("span", { className: data.gain[i] > 0 ? "good" : "muted" }, gain)),
      make("div", { className: "hint" }, facts.join(" · ")),
      make("div", { className: "hint" }, data.note[i] || ""));
    list();
    draw();
  }

  function list() {
    const items = found ? found : data.ranked.slice(0, TOP), make = Evolve.element;
    by("tree-list-title").textContent = found ? `${found.length.toLocaleString()} found` : "The best";
    by("tree-list").replaceChildren(...items.slice(0, LISTED).map((i) => {
      const { score, gain, operator } = describe(i);
      const link = make("a", { href: Evolve.link(data.id[i]) }, make("span", { className: "mono" }, `${data.id[i].slice(0, 8)}`),
        make("b", { className: "num" }, score), make("span", { className: "n" }, `${operator}${gain} · ${data.note[i] || ""}`));
      link.setAttribute("aria-selected", String(i === picked));
      link.addEventListener("mouseenter", () => { hovered = i; draw(); });
      return make("li", {}, link);
    }));
  }

  // Words must all occur; ">1.2" and "<1.2" compare scores.
  function search(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { found = null; } else {
      const tests = words.map((word) => {
        const limit = Number(word.slice(1));
        if (/^[<>]/.test(word) && word.length > 1 && !Number.isNaN(limit)) {
          return (i) => data.score[i] !== null && (word[0] === ">" ? data.score[i] > limit : data.score[i] < limit);
        }
        return (i) => data.hay[i].includes(word);
      });
      found = data.id.map((_, i) => i).filter((i) => tests.every((test) => test(i)));
    }
    arrange();
    list();
  }

  function legend() {
    const mode = by("tree-colour").value, make = Evolve.element, box = by("tree-legend");
    const item = (paint_, word) => { const square = make("i", {}); square.style.background = paint_; return make("span", {}, square, word); };
    const words = data.words[mode];
    let items = [];
    if (words) items = words.slice(0, 10).map((text, place_) => item(Evolve.word(place_), text));
    else if (mode === "island") items = [...new Set(data.island)].sort((a, b) => a - b).slice(0, 10).map((n) => item(Evolve.word(n), `island ${n}`));
    else if (mode === "gain") items = [item(Evolve.colourOf.good, "better than its parents"), item(Evolve.colourOf.edge, "not better")];
    else if (mode === "age") items = [item(Evolve.ramp(0), "first"), item(Evolve.ramp(1), "latest")];
    else items = [item(Evolve.ramp(sign() > 0 ? 0 : 1), `≤ ${Evolve.text(extent[0])}`), item(Evolve.ramp(0.5), Evolve.text((extent[0] + extent[1]) / 2)), item(Evolve.ramp(sign() > 0 ? 1 : 0), `≥ ${Evolve.text(extent[1])}`)];
    box.replaceChildren(...items, item(Evolve.colourOf.bad, "failed"), item(Evolve.colourOf.gold, "way to the best"));
  }

  function walk(event) {
    const inside = (list_) => list_.filter((i) => place[i]);
    const from = picked < 0 ? data.top : picked;
    const kin = from >= 0 && data.parent[from] >= 0 ? inside(children[data.parent[from]]) : [];
    const beside = (step) => kin[kin.indexOf(from) + step] ?? -1;
    const go = { ArrowLeft: () => from < 0 ? -1 : data.parent[from], ArrowUp: () => beside(-1), ArrowDown: () => beside(1),
      ArrowRight: () => { const kids = inside(children[from] || []); return kids.find((i) => spine.has(i)) ?? kids[0] ?? -1; } }[event.key];
    if (go) { event.preventDefault(); pick(picked < 0 ? from : go(), true); }
    else if (event.key === "Enter" && picked >= 0) location.href = Evolve.link(data.id[picked]);
    else if (event.key === "+" || event.key === "=") zoom(1.4, surface.width / 2, surface.height / 2);
    else if (event.key === "-") zoom(1 / 1.4, surface.width / 2, surface.height / 2);
    else if (event.key === "0") fit();
  }

  function listen() {
    const fingers = new Map();
    let moved = 0, apart = 0;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); moved = 0; apart = 0; });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) { const i = at(event); if (i !== hovered) { hovered = i; draw(); } tip(i, event); return; }
      fingers.set(event.pointerId, event);
      moved += Math.abs(event.clientX - before.clientX) + Math.abs(event.clientY - before.clientY);
      if (fingers.size === 2) {
        const [a, b] = [...fingers.values()], box = canvas.getBoundingClientRect(), now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
        if (apart) zoom(now / apart, (a.clientX + b.clientX) / 2 - box.left, (a.clientY + b.clientY) / 2 - box.top);
        apart = now;
        return;
      }
      view.x += event.clientX - before.clientX; view.y += event.clientY - before.clientY;
      draw();
    });
    const lift = (event) => { const down = fingers.delete(event.pointerId); if (down && moved < 5 && event.type === "pointerup") pick(at(event), false); };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("pointerleave", () => { by("tree-tip").hidden = true; hovered = -1; draw(); });
    canvas.addEventListener("dblclick", (event) => { const i = at(event); if (i >= 0) location.href = Evolve.link(data.id[i]); });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    canvas.addEventListener("keydown", walk);
    by("zoom-in").addEventListener("click", () => zoom(1.4, surface.width / 2, surface.height / 2));
    by("zoom-out").addEventListener("click", () => zoom(1 / 1.4, surface.width / 2, surface.height / 2));
    by("zoom-fit").addEventListener("click", fit);
    by("tree-show").addEventListener("change", arrange);
    by("tree-layout").addEventListener("change", arrange);
    by("tree-colour").addEventListener("change", () => { legend(); draw(); });
    let waiting = 0;
    by("tree-search").addEventListener("input", (event) => { clearTimeout(waiting); waiting = setTimeout(() => search(event.target.value), 120); });
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(fit, 120); });
    document.addEventListener("theme", () => { paints(); legend(); draw(); });
  }

  function paints() {
    Evolve.colourOf = {};
    for (const name of ["ink", "soft", "edge", "gold", "bad", "good", "accent", "card"]) Evolve.colourOf[name] = Evolve.colour(`--${name}`);
  }

  Evolve.pages.tree = () => {
    canvas = by("tree");
    paints();
    Evolve.load("tree").then((columns) => {
      data = columns;
      data.doubted = new Set(data.doubt);
      data.hay = data.id.map((id, i) => `${id} ${Object.keys(data.words).map((name) => word(name, i)).join(" ")} ${data.note[i]} #${data.number[i]}`.toLowerCase());
      prepare();
      data.ranked = ranked();
      by("tree-show").value = data.id.length > (surface0() < 600 ? MANY / 4 : MANY) ? "mattered" : "all";
      legend();
      arrange();
      listen();
      list();
      for (const name of ["show", "layout", "colour"]) Evolve.keepControl(name, by(`tree-${name}`), "change");
      Evolve.keepControl("find", by("tree-search"), "input");
      Evolve.keep("at", () => picked < 0 ? "" : data.id[picked], (id) => pick(data.id.indexOf(id), true));
      document.body.dataset.ready = "tree";
      Evolve.tree = { fit, arrange, pick, render, count: () => shown.length };
    }).catch((error) => Evolve.failed(by("tree-count"), error));
  };
  Evolve.redraw = Evolve.redraw || {};
  Evolve.redraw.tree = () => { if (data) fit(); };
})();
