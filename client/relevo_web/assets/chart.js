// <relevo-chart unit="s" data='{"times": […], "series": […]}'>: a chart over time, drawn by uPlot.
//
// It draws in a shadow tree, so what replaces parts of the page leaves the drawing alone; new data
// in the attribute is drawn at once. Colours are those of the theme.
import uPlot from "./vendor/uPlot.esm.js";
import { clock, ticks, valueIn } from "./units.js";

const STYLES = ["./vendor/uPlot.min.css", "./chart.css"];
const HEIGHT = 180;
/** Seconds between two marks of the time axis: round ones. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 604800];
/** Lines that are told apart without colours. */
const DASHES = [[], [8, 4], [2, 3], [10, 4, 2, 4], [4, 4], [14, 4]];

/**
 * @typedef {{word: string, look?: string, values: Array<number | null>}} Series
 * @typedef {{times: number[], series: Series[]}} Data
 */

/**
 * Where a line has no neighbour on either side: nothing would be drawn there.
 * @param {Array<number | null>} values
 * @returns {number[]}
 */
function isolated(values) {
  const has = (/** @type {number} */ index) => values[index] != null;
  return values.flatMap((_, index) => (has(index) && !has(index - 1) && !has(index + 1) ? [index] : []));
}

class RelevoChart extends HTMLElement {
  static observedAttributes = ["data", "unit"];

  #root = this.attachShadow({ mode: "open" });
  #place = document.createElement("div");
  /** @type {uPlot | null} */
  #plot = null;
  /** What the drawing depends on besides the values. */
  #shape = "";
  #redraw = () => this.#draw(true);
  #sizes = new ResizeObserver(() => this.#resize());

  constructor() {
    super();
    for (const style of STYLES) {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = new URL(style, import.meta.url).href;
      this.#root.append(link);
    }
    this.#root.append(this.#place);
  }

  connectedCallback() {
    document.addEventListener("relevo:theme", this.#redraw);
    this.#sizes.observe(this);
    this.#draw(true);
  }

  disconnectedCallback() {
    document.removeEventListener("relevo:theme", this.#redraw);
    this.#sizes.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#draw(false);
  }

  #resize() {
    const width = this.clientWidth;
    if (this.#plot && width > 0 && this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
  }

  /** @param {boolean} anew whether colours may have changed */
  #draw(anew) {
    /** @type {Data} */
    const data = JSON.parse(this.getAttribute("data") || '{"times":[],"series":[]}');
    const unit = this.getAttribute("unit") ?? "count";
    const shape = JSON.stringify([unit, data.series.map((each) => [each.word, each.look])]);
    const values = /** @type {uPlot.AlignedData} */ ([data.times, ...data.series.map((each) => each.values)]);
    if (this.#plot && !anew && shape === this.#shape) {
      this.#plot.setData(values);
      return;
    }
    this.#shape = shape;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(data, unit), values, this.#place);
  }

  /**
   * @param {Data} data
   * @param {string} unit
   * @returns {uPlot.Options}
   */
  #options(data, unit) {
    const style = getComputedStyle(this);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const font = `12px ${style.fontFamily}`;
    const axis = { stroke: colour("--muted"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width: Math.max(this.clientWidth, 100),
      height: HEIGHT,
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      legend: { live: true },
      scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.1] } },
      axes: [
        { ...axis, space: 76, size: 26, incrs: STEPS, values: (_, moments, __, ___, step) => moments.map((each) => clock(each, step)) },
        { ...axis, size: 64, splits: (_, __, low, high) => ticks(low, high, unit),
          values: (_, numbers) => numbers.map((each) => valueIn(each, unit)) },
      ],
      series: [
        { label: "time", value: (_, at) => (at == null ? "-" : clock(at, 1)) },
        ...data.series.map((each, number) => ({
          label: each.word,
          stroke: colour(each.look ? `--${each.look}` : "--accent"),
          width: 2,
          dash: DASHES[number % DASHES.length] ?? [],
          points: { size: 5, filter: () => isolated(each.values) },
          value: (/** @type {uPlot} */ _, /** @type {number | null} */ value) => (value == null ? "-" : valueIn(value, unit)),
        })),
      ],
    };
  }
}

customElements.define("relevo-chart", RelevoChart);
