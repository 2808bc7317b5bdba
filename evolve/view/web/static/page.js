// Shared by all pages: data, colours, keys, and events of a live run.
(function () {
  "use strict";
  const body = document.body;
  Evolve.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  Evolve.load = Evolve.load || ((name) => fetch(`${body.dataset.base}/${name}.json`).then((answer) => {
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    return answer.json();
  }));
  Evolve.link = Evolve.link || ((id) => `${body.dataset.base}/variant/${encodeURIComponent(id)}`);
  Evolve.text = (value) => value === null || value === undefined ? "–" : String(+Number(value).toPrecision(6));
  Evolve.element = (tag, settings, ...inside) => {
    const made = Object.assign(document.createElement(tag), settings);
    made.append(...inside);
    return made;
  };

  // Viridis (van der Walt and Smith 2015), which reads the same without colour vision.
  const RAMP = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b",
    "#fde725"];
  const WORDS = ["#0b8a8a", "#d1495b", "#edae49", "#5b7fde", "#8d5bc4", "#58a15b", "#c2733a", "#7b8794", "#d67bb5",
    "#3fb0c9"];
  Evolve.ramp = (share) => RAMP[Math.max(0, Math.min(9, Math.floor(share * 10)))];
  Evolve.word = (place) => WORDS[((place % 10) + 10) % 10];
  Evolve.RAMP = RAMP;

  // The 3rd percentile and the best, so that one wild score does not flatten the colours of all others.
  Evolve.range = (values) => {
    const known = values.filter((value) => value !== null && value !== undefined).sort((a, b) => a - b);
    if (!known.length) return [0, 1];
    const low = known[Math.floor(0.03 * (known.length - 1))], high = known[Math.ceil(0.97 * (known.length - 1))];
    return high > low ? [low, high] : [known[0], known[known.length - 1] + 1e-12];
  };

  Evolve.canvas = (canvas) => {
    const box = canvas.parentElement.getBoundingClientRect(), dense = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(box.width * dense));
    canvas.height = Math.max(1, Math.round(box.height * dense));
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    return { context, width: box.width, height: box.height };
  };

  Evolve.failed = (where, error) => {
    if (where) where.textContent = `this could not be loaded: ${error.message}`;
  };

  document.getElementById("theme").addEventListener("click", Evolve.turnTheme);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const tabs = { o: "overview", e: "tree", m: "map", c: "cases", b: "best" };
    if (event.key === "/") {
      const search = [...document.querySelectorAll("input[type=search]")].find((found) => found.offsetParent);
      if (search) { event.preventDefault(); search.focus(); }
    } else if (event.key === "t") {
      Evolve.turnTheme();
    } else if (tabs[event.key]) {
      const tab = document.querySelector(`[data-tab="${tabs[event.key]}"]`);
      if (tab) tab.click();
    }
  });

  function showNews(news) {
    for (const [name, value] of Object.entries(news.status)) {
      const place = document.querySelector(`[data-live="${name}"]`);
      if (place) place.textContent = value;
    }
    const badge = document.querySelector('[data-live="state"]');
    if (badge) badge.classList.toggle("live", news.status.state === "running");
    const table = document.getElementById("latest");
    if (table && news.rows) {
      // Rendered by the server's own template, which escapes every text of a model.
      table.insertAdjacentHTML("afterbegin", news.rows);
      while (table.rows.length > 12) table.deleteRow(-1);
    }
    document.dispatchEvent(new CustomEvent("news", { detail: news }));
  }

  // A run that is over may be resumed, so its page listens as well.
  const live = document.getElementById("live");
  if (live && body.dataset.base && window.EventSource) {
    const source = new EventSource(`${body.dataset.base}/live?after=${live.dataset.event}`);
    source.onmessage = (message) => showNews(JSON.parse(message.data));
    window.addEventListener("pagehide", () => source.close());
  }
  const start = () => { const page = Evolve.pages[body.dataset.page]; if (page) page(); };
  if (!Evolve.inFile) document.addEventListener("DOMContentLoaded", start);
})();
