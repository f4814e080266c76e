// The state of the page's stream of events, for eyes and for readers of screens.

/** @type {Readonly<Record<string, string>>} */
const WORDS = { connecting: "connecting", connected: "live", reconnecting: "reconnecting", idle: "" };

/**
 * Show whether the page hears of changes. Scripts of a page that has a connection of its own, such
 * as a WebSocket, call it, too.
 * @param {"connecting" | "connected" | "reconnecting" | "idle"} state
 */
export function showState(state) {
  const place = document.getElementById("live");
  if (!place || place.dataset["state"] === state) return;
  place.dataset["state"] = state;
  place.textContent = WORDS[state] ?? "";
}

/** Follow the events of htmx's extension for server-sent events. */
export function followStream() {
  if (document.querySelector("[sse-connect]")) showState("connecting");
  document.addEventListener("htmx:sseOpen", () => showState("connected"));
  document.addEventListener("htmx:sseError", () => showState("reconnecting"));
}
