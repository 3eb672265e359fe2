// Which picture suits the records of a topic, where nobody has said another one.

import { kinds, timeOf } from './chart-fields.js';

/** Stands for the record's own key, its own time, and for counting records. */
export const KEY = '(key)';
export const RECORD_TIME = '(record time)';
export const RECORDS = '(records)';

const VALUES = [/sales|amount|revenue|total_purchase/i, /^avg|average|mean/i, /count|quantit/i, /temp/i];
/** Texts that are likely to tell things apart, the likeliest first. */
const NAMES = [/product_?id|sensor_?id|device_?id|referrer/i, /category|type|kind|resource|name/i, /id$/i];
const MOST_GROUPS = 80;

/**
 * @typedef {{kind: 'area'|'bars'|'lines', value: string, by: string|null, over: string}} Choice
 * @typedef {{kinds: string[], values: string[], bys: (string|null)[], overs: string[]}} Choices
 * @param {import('./chart-fields.js').Row[]} sample the first records that came
 * @param {{windowed: boolean, updates?: boolean}|undefined} topic as `/live/topics` has it
 * @returns {{choice: Choice, choices: Choices}}
 */
export function suggest(sample, topic) {
  const { times, numbers, texts } = kinds(sample);
  const keyed = sample.some((row) => row.key !== null);
  const windows = times.filter((name) => /window.?start/i.test(name));
  const ticks = times.filter(
    (name) =>
      /^(time|ts|timestamp|second|epoch)$/i.test(name) &&
      sample.every((row) => typeof row.fields.get(name) !== 'string'),
  );
  const by = grouping(sample, texts, numbers, keyed);
  const over = windows[0] ?? ticks[0] ?? RECORD_TIME;
  // Of a stream whose records stand for themselves, how many there are is what can be added up.
  const updates = topic?.updates ?? keyed;
  const kind = windows.length || topic?.windowed ? 'lines' : ticks.length || !updates ? 'area' : 'bars';
  const value = updates || ticks.length || windows.length ? best(numbers) : RECORDS;
  const bys = [null, ...(keyed ? [KEY] : []), ...texts];
  return {
    choice: { kind, value, by, over },
    choices: { values: [...numbers, RECORDS], bys, overs: [...times, RECORD_TIME] },
  };
}

function best(numbers) {
  const ranked = numbers.filter((name) => !/rank/i.test(name));
  for (const pattern of VALUES) {
    const found = ranked.find((name) => pattern.test(name));
    if (found) return found;
  }
  return ranked[0] ?? RECORDS;
}

/** The key, unless it is a time or a rank; else the first text that divides the records into a few groups. */
function grouping(sample, texts, numbers, keyed) {
  const useful = texts.filter((name) => divides(sample, (row) => row.fields.get(name)));
  // The elements of a list are what tells its rows apart.
  const listed = useful.find((name) => name.includes('.') && sample.length > 1);
  if (listed) return listed;
  const ranked = numbers.some((name) => /(^|[_.])rank$/i.test(name));
  const timed = sample.every(
    (row) => row.key === null || timeOf(row.key) !== null || row.key.startsWith('{') || row.key.startsWith('['),
  );
  if (keyed && !ranked && !timed) return KEY;
  const given = ranked || timed ? texts : useful;
  const named = NAMES.map((pattern) => given.find((name) => pattern.test(name))).find(Boolean);
  return named ?? given[0] ?? (keyed && !timed ? KEY : null);
}

function divides(sample, field) {
  const distinct = new Set(sample.map((row) => String(field(row) ?? '')));
  return (
    distinct.size > 1 && distinct.size <= MOST_GROUPS && (sample.length < 10 || distinct.size * 3 <= sample.length)
  );
}
