// Curves of a run: scores and the best so far, throughput, spend.
(function () {
  "use strict";
  const { colour, text } = Evolve;
  let data = null, over = "n", plots = [];

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

  // Equal places on the axis would hide points; uPlot wants them rising, which they are.
  function scale(values) {
    const known = values.filter((value) => value !== null);
    const [low, high] = Evolve.range(known);
    const best = data.maximize ? Math.max(...known, high) : Math.min(...known, low);
    const from = data.maximize ? low : best, to = data.maximize ? best : high, room = (to - from || 1) * 0.06;
    return [from - room, to + room];
  }

  function drawBest() {
    const { place, size } = sized("chart-best"), reading = document.getElementById("reading-best");
    if (!data.n.length) { place.textContent = "nothing yet"; return; }
    const show = (u) => {
      const at = u.cursor.idx;
      reading.textContent = at === null || at === undefined ? ""
        : `${across[over](u.data[0][at])}: best ${text(u.data[2][at])}, this one ${text(u.data[1][at])}`;
    };
    const gold = colour("--gold"), dot = colour("--accent");
    const plot = new uPlot(Object.assign({
      scales: { x: { time: false }, y: { range: () => scale(data.score.concat(data.best)) } },
      axes: [axis({ size: 34, values: (u, ticks) => ticks.map(across[over]) }), axis({ size: 64, values: (u, t) => t.map(text) })],
      legend: { show: false }, cursor: { y: false, drag: { x: true, y: false } }, hooks: { setCursor: [show] },
      series: [{}, { stroke: null, paths: () => null, points: { show: true, size: 4, fill: dot + "66", width: 0 } },
        { stroke: gold, width: 2.5, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }],
    }, size), [data[over], data.score, data.best], place);
    plots.push(plot);
  }

  function drawLow(id, values, stroke, format) {
    const { place, size } = sized(id);
    if (!data.rate_t.length) { place.textContent = "nothing yet"; return; }
    plots.push(new uPlot(Object.assign({
      scales: { x: { time: false }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [axis({ size: 34, values: (u, ticks) => ticks.map(seconds) }), axis({ size: 64, values: (u, t) => t.map(format) })],
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
    for (const button of document.querySelectorAll("[data-x]")) {
      button.addEventListener("click", () => {
        over = button.dataset.x;
        document.querySelectorAll("[data-x]").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
        draw();
      });
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
