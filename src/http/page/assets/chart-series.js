// The numbers of a picture, kept within bounds however long a topic is watched.

import { KEY, RECORD_TIME, RECORDS } from './chart-choice.js';
import { timeOf } from './chart-fields.js';
import { numeric, show } from './json.js';

/** The share of the longest partition's records from which on a partition counts as cut off. */
const CUT = 0.7;
const MOST_CELLS = 5000;
const MOST_TIMES = { area: 240, lines: 60 };
const BUCKETS = { least: 12, most: 120, records: 20 };
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400].map(
  (s) => s * 1000,
);
export const MOST_SERIES = 12;
export const MOST_BARS = 25;
export const OTHERS = 'others';

/** Takes rows in, and gives the series of a choice. */
export class Series {
  /** @param {import('./chart-choice.js').Choice} choice @param {boolean} keyed whether the newest record of a key replaces the one before */
  constructor(choice, keyed) {
    this.choice = choice;
    this.keyed = keyed;
    /** By what it replaces: the value, its group and its time; the newest last. */
    this.cells = new Map();
    /** Before this time not all partitions are known, and sums would be too small. */
    this.from = -Infinity;
  }

  /**
   * Takes what is there when somebody begins to watch: the last records of each partition. Those of the partitions with the
   * most records were cut off, and do not all go equally far back.
   * @param {import('./chart-fields.js').Row[]} rows
   */
  begin(rows) {
    const partitions = new Map();
    for (const row of rows) {
      this.add(row);
      const x = this.#cell(row)?.x;
      if (x === undefined) continue;
      const known = partitions.get(row.partition) ?? { count: 0, least: Infinity };
      partitions.set(row.partition, { count: known.count + 1, least: Math.min(known.least, x) });
    }
    const all = [...partitions.values()];
    const most = Math.max(0, ...all.map(({ count }) => count));
    this.from = Math.max(-Infinity, ...all.filter(({ count }) => count >= most * CUT).map(({ least }) => least));
  }

  /** @param {import('./chart-fields.js').Row} row */
  add(row) {
    if (row.gone && this.keyed) this.cells.delete(this.#name(row, { x: 0, group: '' }));
    const cell = this.#cell(row);
    if (!cell) return;
    const name = this.#name(row, cell);
    this.cells.delete(name);
    this.cells.set(name, cell);
    if (this.cells.size > MOST_CELLS) this.cells.delete(this.cells.keys().next().value);
  }

  #cell(row) {
    const { value, by, over, kind } = this.choice;
    const y = value === RECORDS ? 1 : numeric(row.fields.get(value));
    const x = kind === 'bars' ? 0 : over === RECORD_TIME ? row.time : timeOf(row.fields.get(over));
    if (y === null || x === null || x === undefined) return null;
    const group = by === null ? 'all' : by === KEY ? row.key : show(row.fields.get(by));
    return { x, y, group: group ?? '(no key)', text: value === RECORDS ? null : show(row.fields.get(value)) };
  }

  /** What the next record with the same name replaces: a row of a table, of a window or of a second; of a stream nothing. */
  #name(row, { x, group }) {
    const counted = this.choice.value === RECORDS;
    const timed = this.choice.kind !== 'bars' && this.choice.over !== RECORD_TIME;
    if (counted || !(this.keyed || timed) || (!timed && this.choice.kind !== 'bars')) return row.place;
    // A row of a table is replaced also by one of another group; the elements of a list stand beside each other.
    return timed || row.listed ? `${x}\n${group}\n${row.key}` : `row\n${row.key}`;
  }

  /** The newest value of each group, the greatest first, and how many there are beyond those shown. */
  bars() {
    const groups = new Map();
    for (const { group, y, text } of this.cells.values()) {
      const known = groups.get(group);
      groups.set(group, { name: group, value: (known?.value ?? 0) + y, text: known ? null : text });
    }
    const all = [...groups.values()].sort(
      (one, other) => other.value - one.value || one.name.localeCompare(other.name),
    );
    return { shown: all.slice(0, MOST_BARS), more: Math.max(0, all.length - MOST_BARS) };
  }

  /** The series over time: the greatest groups by their sum, and the rest as one. */
  lines() {
    const step = this.choice.over === RECORD_TIME ? this.#step() : 0;
    const average = step > 0 && this.choice.kind === 'lines' && this.choice.value !== RECORDS;
    const { times, groups } = this.#sums(step);
    const kept = this.#complete(times, groups);
    const area = this.choice.kind === 'area';
    const series = [...groups].map(([name, points]) => one(name, points, kept, average, area));
    const known = series
      .filter((line) => line.some)
      .sort((one, other) => other.weight - one.weight || one.name.localeCompare(other.name));
    return { times: kept, series: crowd(known, area), step };
  }

  /** The size of the buckets that records are counted into, so that there are some hundred, or fewer where each would be next to empty. */
  #step() {
    let [least, most] = [Infinity, -Infinity];
    for (const { x } of this.cells.values())
      if (x >= this.from) [least, most] = [Math.min(least, x), Math.max(most, x)];
    const buckets = Math.min(BUCKETS.most, Math.max(BUCKETS.least, this.cells.size / BUCKETS.records));
    return STEPS.find((step) => (most - least) / step <= buckets) ?? STEPS.at(-1);
  }

  #sums(step) {
    const times = new Set();
    const groups = new Map();
    for (const { x, y, group } of this.cells.values()) {
      if (x < this.from) continue;
      const time = step ? Math.floor(x / step) * step : x;
      times.add(time);
      if (!groups.has(group)) groups.set(group, new Map());
      const points = groups.get(group);
      const point = points.get(time) ?? { sum: 0, count: 0 };
      points.set(time, { sum: point.sum + y, count: point.count + 1 });
    }
    return { times: [...times].sort((one, other) => one - other).slice(-MOST_TIMES[this.choice.kind]), groups };
  }

  /** Without the newest time of an area while groups are still missing there: it would fall and rise at its end. */
  #complete(times, groups) {
    if (this.choice.kind !== 'area' || times.length < 3) return times;
    const at = (time) => [...groups.values()].filter((points) => points.has(time)).length;
    return this.choice.over === RECORD_TIME || at(times.at(-1)) < at(times.at(-2)) ? times.slice(0, -1) : times;
  }
}

function one(name, points, times, average, area) {
  const missing = area ? 0 : null;
  const values = times.map((time) => {
    const point = points.get(time);
    return point ? (average ? point.sum / point.count : point.sum) : missing;
  });
  const known = values.filter((value) => value !== null);
  const weight = known.reduce((sum, value) => sum + Math.abs(value), 0);
  return { name, values, weight, some: known.length > 0, newest: known.at(-1) ?? null };
}

/** The first series as they are, the others added up; of lines, where a sum says nothing, the others are left out. */
function crowd(series, area) {
  if (series.length <= MOST_SERIES) return { shown: series, others: null, more: 0 };
  const rest = series.slice(MOST_SERIES);
  const shown = series.slice(0, MOST_SERIES);
  if (!area) return { shown, others: null, more: rest.length };
  const values = rest[0].values.map((_, index) => rest.reduce((sum, line) => sum + (line.values[index] ?? 0), 0));
  return {
    shown,
    others: { name: `${OTHERS} (${rest.length})`, values, newest: values.at(-1) ?? null },
    more: rest.length,
  };
}
