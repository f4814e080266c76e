// What only the console's pages do: the key of the search, and pausing a live list.

/** Whether a key press is for what has the focus: a field, or a control of the browser's own. */
function isTyping(/** @type {EventTarget | null} */ target) {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const search = document.getElementById("search");
  if (search instanceof HTMLInputElement) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

/**
 * The newest event that came while a list was paused, by the list's name.
 * @type {Map<string, {target: Element, data: string, events: number}>}
 */
const held = new Map();

/** @param {string} name */
function buttonOf(name) {
  return document.querySelector(`[data-pause="${CSS.escape(name)}"]`);
}

/** @param {string} text */
function say(text) {
  const place = document.getElementById("held");
  if (place) place.textContent = text;
}

document.addEventListener("htmx:sseBeforeMessage", (event) => {
  if (!(event instanceof CustomEvent) || !(event.target instanceof Element)) return;
  const name = event.target.getAttribute("sse-swap") ?? "";
  if (buttonOf(name)?.getAttribute("aria-pressed") !== "true") return;
  event.preventDefault();
  const events = (held.get(name)?.events ?? 0) + 1;
  held.set(name, { target: event.target, data: event.detail.data, events });
  const count = /data-count="(\d+)"/.exec(event.detail.data)?.[1];
  const shown = event.target.querySelector("[data-count]")?.getAttribute("data-count");
  const more = Number(count ?? 0) - Number(shown ?? 0);
  say(more > 0 ? `paused; ${more.toLocaleString("en")} more since` : "paused");
});

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-pause]") : null;
  if (!(button instanceof HTMLElement)) return;
  const isPaused = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(isPaused));
  button.textContent = isPaused ? "Go on" : "Pause";
  say(isPaused ? "paused" : "");
  const name = button.dataset["pause"] ?? "";
  const last = held.get(name);
  held.delete(name);
  // htmx is a script of the page, not a module.
  const htmx = /** @type {{swap: (target: Element, html: string, how: object) => void}} */ (Reflect.get(window, "htmx"));
  if (!isPaused && last) htmx.swap(last.target, last.data, { swapStyle: "morph:innerHTML" });
});
