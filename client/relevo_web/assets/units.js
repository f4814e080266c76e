// Sizes, durations and counts, as `relevo_look.units` writes them.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** @param {number} number about two digits that matter: `1.5`, `12`, `350` */
function short(number) {
  return number < 9.95 ? number.toFixed(1).replace(/\.0$/, "") : number.toFixed(0);
}

/** @param {number} number in two digits at least: `05`, `12` */
export function two(number) {
  return String(number).padStart(2, "0");
}

/**
 * A number of bytes: `812 B`, `1.5 KiB`.
 * @param {number} count
 * @returns {string}
 */
export function size(count) {
  if (count < 0) return `-${size(-count)}`;
  let unit = 0;
  while (count >= 1023.5 && unit < BINARY.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit ? short(count) : count.toFixed(0)} ${BINARY[unit]}`;
}

/**
 * A duration: `350 µs`, `12 ms`, `1.5 s`, `4m 10s`, `3h 05m`, `2d 04h`.
 * @param {number} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds === 0) return "0 s";
  if (seconds < 0.9995e-3) return `${short(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${short(seconds * 1e3)} ms`;
  if (seconds < 59.95) return `${short(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d ${two(Math.floor(minutes / 60) % 24)}h`;
}

/**
 * A value in a unit: "count", "/s", "s" (a duration), "B" (a size) or "%" (a share, as a percentage).
 * @param {number} value
 * @param {string} unit
 * @returns {string}
 */
export function valueIn(value, unit) {
  if (unit === "s") return duration(value);
  if (unit === "B") return size(value);
  const number = value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 0 });
  return unit === "count" ? number : `${number} ${unit}`;
}

/**
 * A moment of a time axis, in the reader's time zone: `06:31:08`, `06:31`, or `11-29` from a day on.
 * @param {number} at in seconds
 * @param {number} step seconds between two marks
 * @returns {string}
 */
export function clock(at, step) {
  const moment = new Date(at * 1000);
  if (step >= 86400) return `${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  const minutes = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  return step >= 60 ? minutes : `${minutes}:${two(moment.getSeconds())}`;
}

/**
 * Where an axis has its marks: round numbers of the unit, three to six of them.
 * @param {number} low
 * @param {number} high
 * @param {string} unit
 * @returns {number[]}
 */
export function ticks(low, high, unit) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const base = unit === "B" ? 1024 ** Math.max(0, Math.floor(Math.log(high) / Math.log(1024))) : 1;
  const rough = span / base / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = base * power * ([1, 2, 5, 10].find((each) => rough <= each * power) ?? 10);
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, number) => (first + number) * step);
}
