// Parts of the one file, chosen by what stands behind the # of its address.
(function () {
  "use strict";
  const started = new Set();
  const parts = [...document.querySelectorAll("[data-part]")];

  async function showVariant(id) {
    const place = document.getElementById("variant");
    const places = await Evolve.load("places");
    if (!places[id]) { place.textContent = "This variant is not in this file, so that it stays small."; return; }
    const pack = await Evolve.unpack(`pack-${places[id][0]}`);
    // Rendered by the server's own template, which escapes every text of a model.
    place.innerHTML = pack[places[id][1]];
    place.querySelectorAll("form").forEach((form) => form.remove());
    document.body.dataset.variant = id;
  }

  async function show() {
    const [name, id] = decodeURIComponent(location.hash.slice(1) || "overview").split("/");
    const part = parts.some((found) => found.dataset.part === name) ? name : "overview";
    parts.forEach((found) => { found.hidden = found.dataset.part !== part; });
    document.querySelectorAll("[data-tab]").forEach((tab) => {
      if (tab.dataset.tab === part) tab.setAttribute("aria-current", "page"); else tab.removeAttribute("aria-current");
    });
    window.scrollTo(0, 0);
    if (part === "variant") {
      try { await showVariant(id || ""); } catch (error) { Evolve.failed(document.getElementById("variant"), error); }
    } else if (Evolve.pages[part] && !started.has(part)) {
      started.add(part);
      Evolve.pages[part]();
    } else if (Evolve.redraw[part]) {
      Evolve.redraw[part]();
    }
  }
  window.addEventListener("hashchange", show);
  show();
})();
