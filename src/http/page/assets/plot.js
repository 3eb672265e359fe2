// The chart library, loaded when the first chart is shown, and dressed like the page.

import { h } from './dom.js';
import { colour } from './theme.js';

let loading = null;

/** The library. */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const address = document.querySelector('meta[name="millstream-charts"]').content;
    const script = h('script', {
      src: address,
      on: {
        load: () => resolve(window.Plotly),
        error: () => reject(new Error('the chart library could not be loaded')),
      },
    });
    document.head.append(script);
  }).catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/** The library reads a few tags in texts; what comes from topics is shown as it is instead. */
export function plain(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

export const CONFIG = { displayModeBar: false, responsive: true, doubleClick: 'reset', showTips: false };

/** A layout in the page's colours and letters. */
export function dressed({ x = {}, y = {}, ...more } = {}) {
  const text = colour('--muted');
  const axis = {
    color: text,
    gridcolor: colour('--line'),
    linecolor: colour('--line-strong'),
    zerolinecolor: colour('--line-strong'),
    automargin: true,
    fixedrange: false,
  };
  return {
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: text },
    margin: { l: 48, r: 14, t: 12, b: 32 },
    showlegend: false,
    hovermode: 'x unified',
    hoverlabel: {
      bgcolor: colour('--surface'),
      bordercolor: colour('--line-strong'),
      font: { color: colour('--text'), size: 12 },
    },
    uirevision: 'kept',
    autosize: true,
    xaxis: { ...axis, showgrid: false, ...x },
    yaxis: { ...axis, rangemode: 'tozero', zeroline: false, separatethousands: true, ...y },
    ...more,
  };
}

/** An axis of times, in the time of the reader. */
export const TIME_AXIS = {
  type: 'date',
  tickformatstops: [
    { dtickrange: [null, 60_000], value: '%H:%M:%S' },
    { dtickrange: [60_000, 86_400_000], value: '%H:%M' },
    { dtickrange: [86_400_000, null], value: '%d %b' },
  ],
  hoverformat: '%Y-%m-%d %H:%M:%S',
};

/** Text of a time for an axis in UTC, as the values of topics have it. */
export function utc(ms) {
  return new Date(ms).toISOString().slice(0, 23);
}

/** Text of a time for an axis in the reader's own time zone. */
export function local(ms) {
  return utc(ms - new Date(ms).getTimezoneOffset() * 60_000);
}

/** A colour with a share of itself. */
export function faded(hex, share) {
  const part = (index) => parseInt(hex.slice(index, index + 2), 16);
  return `rgba(${part(1)},${part(3)},${part(5)},${share})`;
}
