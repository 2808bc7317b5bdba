// Means of groups of runs with one standard deviation around them.
(function () {
  "use strict";
  Evolve.pages.compare = () => {
    const data = JSON.parse(document.getElementById("compare-data").dataset.value), place = document.getElementById("chart-compare");
    const make = Evolve.element, { colour } = Evolve;
    if (!data.curves.length) { place.textContent = "mark runs below"; return; }
    document.getElementById("compare-legend").replaceChildren(...data.curves.map((curve, i) => {
      const name = make("b", {}, "■ ");
      name.style.color = Evolve.word(i);
      return make("div", {}, name, curve.group);
    }));
    let plot = null;
    const draw = () => {
      if (plot) plot.destroy();
      const axis = (extra) => Object.assign({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "12px system-ui, sans-serif" }, extra);
      const columns = [data.effort], series = [{}], bands = [];
      data.curves.forEach((curve, i) => {
        const paint = Evolve.word(i), first = series.length;
        columns.push(curve.high, curve.low, curve.mean);
        series.push({ stroke: paint + "00", points: { show: false } }, { stroke: paint + "00", points: { show: false } }, { stroke: paint, width: 2.5, points: { show: false } });
        bands.push({ series: [first, first + 1], fill: paint + "2e" });
      });
      plot = new uPlot({ width: place.clientWidth, height: place.clientHeight, scales: { x: { time: false } }, legend: { show: false },
        axes: [axis({ values: (u, ticks) => Evolve.ticks(ticks) }), axis({ size: Evolve.axisWidth, values: (u, ticks) => Evolve.ticks(ticks) })], series, bands }, columns, place);
    };
    draw();
    let waiting = 0;
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 120); });
    document.addEventListener("theme", draw);
    document.body.dataset.ready = "compare";
  };
})();
