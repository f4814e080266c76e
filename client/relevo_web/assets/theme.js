// The theme: the browser's, or the one that the reader chose. It is loaded before anything is painted.
"use strict";
(() => {
  const KEY = "relevo-theme";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  /** @returns {string | null} The theme that was chosen; null if none was, or nothing can be kept. */
  function chosen() {
    try {
      const theme = localStorage.getItem(KEY);
      return theme === "light" || theme === "dark" ? theme : null;
    } catch {
      return null;
    }
  }

  /** Whether the page is dark. */
  function isDark() {
    const theme = root.dataset["theme"];
    return theme ? theme === "dark" : dark.matches;
  }

  function apply() {
    const theme = chosen();
    if (theme) root.dataset["theme"] = theme;
    else delete root.dataset["theme"];
    for (const each of document.querySelectorAll("[data-theme-toggle]")) {
      each.setAttribute("aria-pressed", String(isDark()));
    }
    document.dispatchEvent(new CustomEvent("relevo:theme"));
  }

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target?.closest("[data-theme-toggle]")) return;
    try {
      localStorage.setItem(KEY, isDark() ? "light" : "dark");
    } catch {
      // Nothing can be kept: the theme stays the browser's.
    }
    apply();
  });
  addEventListener("storage", (event) => event.key === KEY && apply()); // another tab's choice
  dark.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", apply);
  apply();
})();
