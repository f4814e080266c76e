// Times: relative to now, or in the reader's time zone. The server sends them in UTC.
import { two } from "./units.js";

const EVERY = 1000;
/** @type {ReadonlyArray<readonly [number, number, string]>} Below so many seconds, in this unit. */
const UNITS = [[59.5, 1, "s"], [3570, 60, "min"], [84600, 3600, "h"], [Infinity, 86400, "d"]];

/**
 * A moment relative to another: `8 s ago`, `in 3 min`, `now`.
 * @param {number} moment in milliseconds
 * @param {number} now in milliseconds
 */
export function relative(moment, now) {
  const seconds = Math.abs(now - moment) / 1000;
  if (seconds < 0.95) return "now";
  const [, factor, unit] = UNITS.find(([below]) => seconds < below) ?? [0, 1, "s"];
  const text = `${Math.round(seconds / factor)} ${unit}`;
  return moment <= now ? `${text} ago` : `in ${text}`;
}

/**
 * A moment in the reader's time zone: `2026-11-29 06:31:08`.
 * @param {Date} moment
 */
export function local(moment) {
  const date = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  return `${date} ${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
}

/** @param {ParentNode} root */
function refresh(root) {
  const now = Date.now();
  for (const each of root.querySelectorAll("time[data-time]")) {
    const moment = new Date(each.getAttribute("datetime") ?? "");
    const text = each.getAttribute("data-time") === "local" ? local(moment) : relative(moment.getTime(), now);
    if (each.textContent !== text) each.textContent = text;
  }
}

/** Keep all times of the page true, those that come later, too. */
export function keepTimes() {
  refresh(document);
  setInterval(() => document.hidden || refresh(document), EVERY);
  document.addEventListener("visibilitychange", () => document.hidden || refresh(document));
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target instanceof Element) refresh(event.target.parentElement ?? document);
  });
}
