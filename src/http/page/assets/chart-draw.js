// Draws the series of a topic: stacked areas, ranked bars or lines.

import { RECORD_TIME, RECORDS } from './chart-choice.js';
import { cut, si, span } from './format.js';
import { CONFIG, dressed, faded, plain, TIME_AXIS, utc } from './plot.js';
import { colour, seriesColours } from './theme.js';

const BAR_HEIGHT = 25;
const HEIGHT = 400;
const NAME = 32;

/** Gives each group a colour that it keeps while it is shown. */
export class Colours {
  #of = new Map();

  /** @param {string[]} names @returns {Map<string, number>} which of the colours each has */
  assign(names) {
    const shown = new Set(names);
    for (const name of [...this.#of.keys()]) if (!shown.has(name)) this.#of.delete(name);
    const used = new Set(this.#of.values());
    const free = seriesColours()
      .map((_, index) => index)
      .filter((index) => !used.has(index));
    for (const name of names) if (!this.#of.has(name)) this.#of.set(name, free.shift() ?? 0);
    return this.#of;
  }
}

/**
 * Draws into `place`.
 * @returns {{legend: {name: string, colour: string, value: string}[], more: number, summary: string}} what stands beside it
 */
export function drawChart(library, place, series, colours) {
  return series.choice.kind === 'bars' ? drawBars(library, place, series) : drawLines(library, place, series, colours);
}

/** What the value axis says. */
export function valueTitle({ value, kind, over }, step) {
  const name = value === RECORDS ? 'records' : value;
  if (over !== RECORD_TIME || kind === 'bars' || !step) return name;
  const how = value === RECORDS ? 'records' : kind === 'lines' ? `mean of ${value}` : `sum of ${value}`;
  return `${how} per ${span(step)}`;
}

function drawBars(library, place, series) {
  const { shown, more } = series.bars();
  const names = shown.map((bar, index) => `${index + 1}\u2002${plain(cut(bar.name, NAME))}`);
  const trace = {
    type: 'bar',
    orientation: 'h',
    y: names,
    x: shown.map((bar) => bar.value),
    text: shown.map((bar) => bar.text ?? si(bar.value)),
    textposition: 'outside',
    cliponaxis: false,
    textfont: { color: colour('--text'), size: 12 },
    marker: { color: colour('--series-1') },
    hovertemplate: '%{y}: %{text}<extra></extra>',
  };
  // Room for the number beside the longest bar.
  const room = 1 + 76 / Math.max(120, place.clientWidth - 120);
  const most = Math.max(0, ...shown.map((bar) => bar.value));
  const least = Math.min(0, ...shown.map((bar) => bar.value));
  const layout = dressed({
    x: {
      title: { text: plain(valueTitle(series.choice)), standoff: 8 },
      showgrid: true,
      range: [least * room, most * room || 1],
      fixedrange: true,
      zeroline: false,
    },
    y: {
      type: 'category',
      autorange: 'reversed',
      fixedrange: true,
      showgrid: false,
      ticklen: 6,
      tickcolor: 'rgba(0,0,0,0)',
      tickfont: { color: colour('--text') },
    },
    hovermode: 'closest',
    bargap: 0.28,
    height: Math.max(260, shown.length * BAR_HEIGHT + 70),
    margin: { l: 60, r: 20, t: 6, b: 44 },
  });
  library.react(place, [trace], layout, CONFIG);
  const first = shown
    .slice(0, 3)
    .map((bar) => `${bar.name} ${bar.text ?? si(bar.value)}`)
    .join(', ');
  return {
    legend: [],
    more,
    summary: `Ranked bars of ${series.choice.value}: ${shown.length} keys, most of all ${first}`,
  };
}

function drawLines(library, place, series, colours) {
  const {
    times,
    series: { shown, others, more },
    step,
  } = series.lines();
  const assigned = colours.assign(shown.map((line) => line.name));
  const palette = seriesColours();
  const area = series.choice.kind === 'area';
  const dates = times.map(utc);
  const all = others ? [...shown, others] : shown;
  const hue = (line) => (line === others ? colour('--series-others') : palette[assigned.get(line.name)]);
  // The one that is greatest lies at the bottom, where its shape is read best.
  const traces = all.map((line) => trace(line, dates, hue(line), area));
  const layout = dressed({
    x: { ...TIME_AXIS },
    y: { title: { text: plain(valueTitle(series.choice, step)), standoff: 10 } },
    height: HEIGHT,
  });
  library.react(place, traces, layout, CONFIG);
  const legend = all.map((line) => ({ name: line.name, colour: hue(line), value: si(line.newest) }));
  const kind = area ? 'Stacked areas' : 'Lines';
  const newest = shown
    .slice(0, 3)
    .map((line) => `${line.name} ${si(line.newest)}`)
    .join(', ');
  return {
    legend,
    more: others ? 0 : more,
    summary: `${kind} of ${valueTitle(series.choice, step)} over time: ${all.length} series, newest values ${newest}`,
  };
}

function trace(line, dates, hue, area) {
  const points = dates.length < 60 && !area;
  const base = {
    type: 'scatter',
    name: plain(cut(line.name, NAME)),
    x: dates,
    y: line.values,
    hovertemplate: '%{y:,.6~g}',
    connectgaps: true,
  };
  return area
    ? { ...base, mode: 'lines', stackgroup: 'all', line: { width: 1, color: hue }, fillcolor: faded(hue, 0.72) }
    : {
        ...base,
        mode: points ? 'lines+markers' : 'lines',
        line: { width: 2, color: hue },
        marker: { size: 5, color: hue },
      };
}
