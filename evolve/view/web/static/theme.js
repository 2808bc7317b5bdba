// Dark or light, before anything is drawn. The choice of the visitor comes first, then the system.
(function () {
  "use strict";
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem("evolve-theme"); } catch (error) { chosen = null; }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => { root.dataset.theme = chosen || (dark.matches ? "dark" : "light"); };
  apply();
  dark.addEventListener("change", () => { apply(); document.dispatchEvent(new Event("theme")); });
  window.Evolve = { pages: {} };
  Evolve.turnTheme = () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("evolve-theme", chosen); } catch (error) { /* a file may not keep it */ void error; }
    apply();
    document.dispatchEvent(new Event("theme"));
  };
})();
