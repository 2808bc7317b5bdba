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
  // Enough digits to tell the values of a page apart, as small gains over large scores need.
  let digits = 6;
  Evolve.precise = (low, high) => {
    const most = Math.max(Math.abs(low), Math.abs(high)), apart = Math.abs(high - low);
    if (apart > 0 && Number.isFinite(most / apart)) digits = Math.max(6, Math.min(17, Math.ceil(Math.log10(most / apart)) + 4));
  };
  Evolve.text = (value) => value === null || value === undefined ? "–" : String(+Number(value).toPrecision(digits));
  // The numbers beside an axis, with as many digits as their distance needs.
  Evolve.ticks = (values) => {
    const step = Math.min(...values.slice(1).map((value, i) => Math.abs(value - values[i]) || Infinity));
    if (!Number.isFinite(step)) return values.map(Evolve.text);
    const most = Math.max(...values.map(Math.abs)), count = Math.max(3, Math.min(17, Math.ceil(Math.log10(most / step)) + 2));
    return values.map((value) => Math.abs(value) < step / 1e6 ? "0" : String(+value.toPrecision(count)));
  };
  Evolve.axisWidth = (u, labels) => 22 + 7 * Math.max(4, ...(labels || []).map((label) => String(label).length));
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
    if (high > low) return [low, high];
    const last = known[known.length - 1];
    return [known[0], last > known[0] ? last : last + Math.max(1e-12, Math.abs(last) * 1e-12)];
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

  // What was chosen stands in the address, so that it can be sent and the back button returns to it.
  const kept = new Map(), asked = () => new URLSearchParams(location.search);
  Evolve.keep = (name, get, set) => {
    kept.set(name, { get, set, first: get() });
    const wanted = asked().get(name);
    if (wanted !== null && wanted !== get()) set(wanted);
  };
  Evolve.keepControl = (name, control, event) => {
    Evolve.keep(name, () => control.value, (value) => { control.value = value; control.dispatchEvent(new Event(event)); });
    control.addEventListener(event, () => Evolve.chosen(event === "input"));
  };
  Evolve.chosen = (typing) => {
    if (Evolve.inFile) return;
    const found = asked();
    for (const [name, { get, first }] of kept) if (get() === first) found.delete(name); else found.set(name, get());
    const address = location.pathname + (found.size ? `?${found}` : "") + location.hash;
    if (address === location.pathname + location.search + location.hash) return;
    history[typing ? "replaceState" : "pushState"](null, "", address);
  };
  window.addEventListener("popstate", () => {
    for (const [name, { get, set, first }] of kept) {
      const wanted = asked().get(name) ?? first;
      if (wanted !== get()) set(wanted);
    }
  });

  const by = (id) => document.getElementById(id);
  let fresh = 0;
  function showNews(news) {
    for (const [name, value] of Object.entries(news.status)) {
      const place = document.querySelector(`[data-live="${name}"]`);
      if (place) place.textContent = value;
    }
    const badge = document.querySelector('[data-live="state"]');
    if (badge) badge.classList.toggle("live", news.status.state === "running");
    const table = by("latest");
    if (table && news.rows) {
      // Rendered by the server's own template, which escapes every text of a model.
      table.insertAdjacentHTML("afterbegin", news.rows);
      while (table.rows.length > 12) table.deleteRow(-1);
    }
    fresh += news.ended.length;
    const bar = by("newer");
    if (bar && !table && fresh) {
      bar.hidden = false;
      bar.firstElementChild.textContent = `${fresh.toLocaleString()} new since this page was loaded`;
    }
    document.dispatchEvent(new CustomEvent("news", { detail: news }));
  }

  // A page that is seen listens to its run: by a stream while it is live, else it asks now and then, as it may be
  // resumed. A hidden page holds no connection: a browser has only six of them.
  const EVERY_MS = 15000, live = by("live");
  let event = live && live.dataset.event, on = live && live.dataset.on === "1", source = null, timer = 0, heard = new Date();
  function lost(is) {
    const sign = by("stale");
    if (!sign) return;
    if (!is) heard = new Date();
    sign.hidden = !is;
    sign.textContent = `no connection to the server: these are the figures of ${heard.toLocaleTimeString()}`;
  }
  function take(news) {
    lost(false);
    const was = on;
    event = news.event;
    on = news.running;
    if (was || on || news.ended.length) showNews(news);
    if (was !== on) listen();
  }
  async function ask() {
    try {
      const answer = await fetch(`${body.dataset.base}/news.json?after=${event}`);
      if (!answer.ok) throw new Error(answer.status);
      take(await answer.json());
    } catch { lost(true); }
    if (!on && !document.hidden) timer = setTimeout(ask, EVERY_MS);
  }
  function listen() {
    clearTimeout(timer);
    if (source) { source.close(); source = null; }
    if (document.hidden) return;
    if (!on) { timer = setTimeout(ask, EVERY_MS); return; }
    source = new EventSource(`${body.dataset.base}/live?after=${event}`);
    source.onopen = () => lost(false);
    source.onmessage = (message) => take(JSON.parse(message.data));
    source.onerror = () => lost(true);
  }
  if (live && body.dataset.base && window.EventSource) {
    listen();
    document.addEventListener("visibilitychange", () => { if (!document.hidden && !on) { clearTimeout(timer); ask(); } else listen(); });
    window.addEventListener("pagehide", () => { if (source) source.close(); });
    by("newer").lastElementChild.addEventListener("click", () => location.reload());
  }
  const start = () => { const page = Evolve.pages[body.dataset.page]; if (page) page(); };
  if (!Evolve.inFile) document.addEventListener("DOMContentLoaded", start);
})();
