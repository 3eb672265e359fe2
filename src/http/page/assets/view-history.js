// Ten minutes of a topology: rates, lag, and how far its time is behind the clock.

import { h } from './dom.js';
import { CONFIG, dressed, faded, local, plotly, TIME_AXIS } from './plot.js';
import { colour, themeChanges } from './theme.js';

/** @type {import('./main.js').View} */
export const past = { name: 'history', title: 'History', open };

const LEAST_MS = 120_000;
const UNITS = [
  [86_400_000, 'days'],
  [3_600_000, 'hours'],
  [60_000, 'minutes'],
  [1000, 'seconds'],
];
const CHARTS = [
  {
    title: 'Records a second',
    label: 'Rates of records in and out',
    series: [
      ['in_rate', 'in', '--series-1'],
      ['out_rate', 'out', '--series-2'],
    ],
    format: '%{y:.3~s}/s',
  },
  { title: 'Lag, in records', label: 'Lag', series: [['lag', 'lag', '--series-3']], format: '%{y:,}' },
  {
    title: 'Watermark behind the clock',
    label: 'Watermark age',
    series: [['watermark_age_ms', 'behind', '--series-4']],
    format: '%{y:,.1f}',
    ages: true,
  },
];

function open(root, live, name) {
  const shown = { library: null, drawn: null };
  const places = CHARTS.map((chart) => {
    const plot = h('div', { class: 'past', role: 'img', 'aria-label': `${chart.label} of the last ten minutes` });
    const names =
      chart.series.length > 1
        ? h(
            'span',
            { class: 'legend-line plain' },
            ...chart.series.map(([, text, hue]) => h('span', { style: `--swatch: var(${hue})` }, text)),
          )
        : null;
    root.append(h('section', { class: 'panel' }, h('header', {}, h('h2', {}, chart.title), names), plot));
    return plot;
  });
  const draw = (anyway) => {
    const history = live.history.get(name);
    if (!shown.library || !history || document.hidden || (!anyway && shown.drawn === history.time.at(-1))) return;
    shown.drawn = history.time.at(-1);
    CHARTS.forEach((chart, index) => drawPast(shown.library, places[index], chart, history));
  };
  const restyle = () => draw(true);
  themeChanges.addEventListener('change', restyle);
  plotly()
    .then((library) => {
      shown.library = library;
      draw(true);
    })
    .catch((error) => root.prepend(h('p', { class: 'problem', role: 'alert' }, `${error.message}.`)));
  return {
    update: () => draw(false),
    close() {
      themeChanges.removeEventListener('change', restyle);
      for (const place of places) shown.library?.purge(place);
    },
  };
}

/** The unit in which the greatest of these ages is a number that can be read. */
function unitOf(ages) {
  const most = Math.max(0, ...ages.map((age) => Math.abs(age ?? 0)));
  return UNITS.find(([size]) => most >= 2 * size) ?? UNITS.at(-1);
}

function drawPast(library, place, { series, format, ages }, history) {
  const [scale, unit] = ages ? unitOf(history.watermark_age_ms) : [1, null];
  const x = history.time.map(local);
  const traces = series.map(([field, name, hue], index) => ({
    type: 'scatter',
    mode: 'lines',
    name,
    x,
    y: history[field].map((value) => (value === null ? null : value / scale)),
    line: { color: colour(hue), width: 1.8 },
    fill: index === 0 ? 'tozeroy' : 'none',
    fillcolor: faded(colour(hue), 0.13),
    hovertemplate: format,
  }));
  const end = history.time.at(-1);
  // What is known fills the width once it is two minutes.
  const begin = Math.min(end - LEAST_MS, history.time[0]);
  const layout = dressed({
    x: { ...TIME_AXIS, range: [local(begin), local(end)] },
    y: { nticks: 5, title: unit && { text: unit, standoff: 8 } },
    height: 230,
  });
  library.react(place, traces, layout, CONFIG);
}
