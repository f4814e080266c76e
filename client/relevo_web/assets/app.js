// What every page has: the state of its stream, times that stay true, charts.
import "./chart.js";
import { followStream } from "./live.js";
import { keepTimes } from "./times.js";

followStream();
keepTimes();
