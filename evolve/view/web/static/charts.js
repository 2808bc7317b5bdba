// Curves of a run: scores and the best so far, throughput, spend.
(function () {
  "use strict";
  const { colour, text } = Evolve;
  let data = null, over = "n", upwards = "score", plots = [];

  const axis = (extra) => Object.assign({
    stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" }, extra);
  const dollars = (value) => `$${+value.toPrecision(3)}`;
  const seconds = (value) => value < 120 ? `${Math.round(value)} s` : value < 7200 ? `${Math.round(value / 60)} min`
    : `${Math.round(value / 360) / 10} h`;
  const across = { n: (value) => String(value), usd: dollars, t: seconds };

  function sized(id) {
    const place = document.getElementById(id);
    place.replaceChildren();
    return { place, size: { width: Math.max(200, place.clientWidth), height: place.clientHeight } };
  }

  // The seed's line is always in view; the best known score only if it does not flatten the curve.
  function scale(values) {
    const known = values.filter((value) => value !== null);
    const [low, high] = Evolve.range(known);
    const best = data.maximize ? Math.max(...known, high) : Math.min(...known, low);
    const ends = [data.maximize ? low : best, data.maximize ? best : high].concat(data.seed === null ? [] : [data.seed]);
    const from = Math.min(...ends), to = Math.max(...ends), room = (to - from || Math.abs(to) || 1) * 0.06;
    return [from - room, to + room];
  }

  // The distance to the best known score, or to the best of the run where none is known.
  function gap(values) {
    const goal = data.known ?? data.best[data.best.length - 1];
    return values.map((value) => value === null || goal === null || Math.abs(goal - value) === 0 ? null : Math.abs(goal - value));
  }

  function line(value, stroke, dash) {
    return { column: data.n.map(() => value), series: { stroke, width: 1, dash, points: { show: false } } };
  }

  function drawBest() {
    const { place, size } = sized("chart-best"), reading = document.getElementById("reading-best");
    if (!data.n.length) { place.textContent = "nothing yet"; return; }
    const log = upwards === "gap", shown = log ? gap : (values) => values, known = data.best.filter((value) => value !== null);
    if (known.length) Evolve.precise(Math.min(...known), Math.max(...known));
    const show = (u) => {
      const at = u.cursor.idx;
      if (at === null || at === undefined) { reading.textContent = ""; return; }
      const step = data.steps[String(data.n[at])] || Object.entries(data.steps).filter(([n]) => Number(n) <= data.n[at]).map(([, found]) => found).pop();
      reading.replaceChildren(`${across[over](u.data[0][at])}: best ${text(data.best[at])}, this one ${text(data.score[at])}`);
      if (step) {
        const make = Evolve.element;
        reading.append(" · ", make("a", { href: Evolve.link(step.id), className: "mono" }, step.id.slice(0, 8)), ` ${step.note}`,
          ...step.lines.map((changed) => make("div", { className: "mono" }, changed)));
      }
    };
    const gold = colour("--gold"), dot = colour("--accent"), soft = colour("--soft");
    const columns = [data[over], shown(data.score), shown(data.best)];
    const series = [{}, { stroke: null, paths: () => null, points: { show: true, size: 4, fill: dot + "66", width: 0 } },
      { stroke: gold, width: 2.5, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }];
    for (const [value, dash] of log ? [] : [[data.seed, [4, 4]], [data.known, [1, 3]]]) {
      if (value === null || value === undefined) continue;
      const drawn = line(value, soft, dash);
      columns.push(drawn.column);
      series.push(drawn.series);
    }
    const up = log ? { distr: 3 } : { range: () => scale(data.score.concat(data.best)) };
    const plot = new uPlot(Object.assign({
      scales: { x: { time: false }, y: up },
      axes: [axis({ size: 34, values: (u, ticks) => ticks.map(across[over]) }), axis({ size: Evolve.axisWidth, values: (u, t) => log ? t.map((v) => v === null ? "" : String(v)) : Evolve.ticks(t) })],
      legend: { show: false }, cursor: { y: false, drag: { x: true, y: false } }, hooks: { setCursor: [show] }, series,
    }, size), columns, place);
    plots.push(plot);
  }

  function drawLow(id, values, stroke, format) {
    if (!document.getElementById(id)) return;  // a run without a model spends nothing
    const { place, size } = sized(id);
    if (!data.rate_t.length) { place.textContent = "nothing yet"; return; }
    plots.push(new uPlot(Object.assign({
      scales: { x: { time: false }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [axis({ size: 34, values: (u, ticks) => ticks.map(seconds) }), axis({ size: Evolve.axisWidth, values: (u, t) => t.map(format) })],
      legend: { show: false }, cursor: { show: false },
      series: [{}, { stroke, width: 2, fill: stroke + "22", points: { show: false } }],
    }, size), [data.rate_t, values], place));
  }

  function draw() {
    if (!data || !document.getElementById("chart-best").clientWidth) return;
    plots.forEach((plot) => plot.destroy());
    plots = [];
    drawBest();
    drawLow("chart-rate", data.rate, colour("--accent"), (value) => String(value));
    drawLow("chart-spend", data.spend, colour("--gold"), dollars);
  }

  function grow(news) {
    for (const row of news.ended) {
      const last = data.n.length - 1, best = last < 0 ? null : data.best[last];
      const start = data.start;
      data.n.push((last < 0 ? 0 : data.n[last]) + (row.state === "rejected" ? 0 : 1));
      data.t.push(Math.max(last < 0 ? 0 : data.t[last], start ? row.at - start : 0));
      data.usd.push(last < 0 ? 0 : data.usd[last]);
      data.score.push(row.score);
      const leads = row.score !== null && (best === null || (data.maximize ? row.score > best : row.score < best));
      data.best.push(leads ? row.score : best);
      data.id.push(null);
    }
  }

  // A curve of thousands is asked for anew now and then, so that dollars and rates are right as well.
  let asked = 0, drawn = 0;
  function onNews(event) {
    if (!data) return;
    const now = Date.now();
    if (now - asked > 10000) {
      asked = now;
      Evolve.load("curves").then((found) => { data = found; draw(); });
    } else if (event.detail.ended.length) {
      grow(event.detail);
      if (now - drawn > 900) { drawn = now; draw(); }
    }
  }

  Evolve.pages.overview = () => {
    for (const [name, get, set] of [["x", () => over, (value) => { over = value; }], ["y", () => upwards, (value) => { upwards = value; }]]) {
      const buttons = [...document.querySelectorAll(`[data-${name}]`)];
      const choose = (value) => {
        if (!buttons.some((button) => button.dataset[name] === value)) return;
        set(value);
        buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset[name] === value)));
        draw();
      };
      buttons.forEach((button) => button.addEventListener("click", () => { choose(button.dataset[name]); Evolve.chosen(false); }));
      Evolve.keep(name, get, choose);
    }
    asked = Date.now();
    Evolve.load("curves").then((found) => { data = found; draw(); })
      .catch((error) => Evolve.failed(document.getElementById("chart-best"), error));
    let waiting = 0;
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 120); });
    document.addEventListener("theme", draw);
    document.addEventListener("news", onNews);
  };
  Evolve.redraw = Evolve.redraw || {};
  Evolve.redraw.overview = draw;
})();
