// Chooses light or dark before anything is painted, and follows the system's choice
// unless the viewer has made one of their own.
(() => {
  "use strict";
  const KEY = "ascwebhooks-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem(KEY) || "auto";
    } catch {
      return "auto"; // storage is closed to us
    }
  }

  function apply() {
    const theme = chosen();
    const dark = theme === "dark" || (theme === "auto" && system.matches);
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
    for (const button of document.querySelectorAll("[data-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.theme === theme));
    }
    document.dispatchEvent(new CustomEvent("ascwebhooks:theme"));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-theme]");
    if (!button) return;
    try {
      localStorage.setItem(KEY, button.dataset.theme);
    } catch {
      // It holds for this page only.
    }
    apply();
  });
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", apply);
  apply();
})();
