// A small picture of a rate's last minutes, without axes.

import { attribute, svg } from './dom.js';

const WIDTH = 100;
const HEIGHT = 30;

/** An empty one. */
export function sparkline() {
  return svg(
    'svg',
    { class: 'sparkline', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
    svg('path', { class: 'area' }),
    svg('path', { class: 'in' }),
    svg('path', { class: 'out' }),
  );
}

/** Draws the rates of a topology's history; both lines have the same scale, which begins at zero. */
export function drawSparkline(picture, history) {
  const most = Math.max(1, ...history.in_rate, ...history.out_rate);
  const [area, into, out] = picture.children;
  const line = path(history.time, history.in_rate, most);
  attribute(into, 'd', line);
  attribute(area, 'd', line && `${line}V${HEIGHT}H${place(history.time[0], history.time).toFixed(2)}Z`);
  attribute(out, 'd', path(history.time, history.out_rate, most));
  attribute(
    picture,
    'aria-label',
    `Records a second of the last ${minutes(history.time)} minutes, ${Math.round(most)} at most`,
  );
}

const LEAST_MS = 2 * 60 * 1000;

/** Where a time stands: the newest at the right end, and what is known fills the width once it is two minutes. */
function place(time, times) {
  const newest = times.at(-1);
  return WIDTH * (1 - (newest - time) / Math.max(LEAST_MS, newest - times[0]));
}

function minutes(times) {
  return Math.max(1, Math.round((times.at(-1) - times[0]) / 60_000));
}

function path(times, values, most) {
  if (times.length < 2) return null;
  const points = times.map((time, index) => {
    const height = HEIGHT - 1 - ((values[index] ?? 0) / most) * (HEIGHT - 3);
    return `${place(time, times).toFixed(2)} ${height.toFixed(2)}`;
  });
  return `M${points.join('L')}`;
}
