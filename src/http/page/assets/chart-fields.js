// What a record has that can be drawn: its fields, with their numbers, texts and times.

import { isInstant } from './format.js';
import { isObject, numeric, show } from './json.js';

const TIME_NAME = /(^|[_.])(time|ts|timestamp|epoch|second|date|start|end)$|time_?stamp$|_time$|Time$|Start$|End$/;
const TIME_TEXT = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d/;
const SECONDS = [1e9, 1e10];
const MILLISECONDS = [1e12, 1e13];
const DEPTH = 3;

/**
 * A record, or one element of a list in it, as a row of fields.
 * `gone` is a tombstone: the key's row is no more. `time` is null where the record has none that could be drawn.
 * @typedef {{key: string|null, gone: boolean, listed: boolean, place: string, partition: number, time: number|null, fields: Map<string, any>}} Row
 * @returns {Row[]} one row; of a record that has a list of objects one for each of them, which has the record's own fields too
 */
export function rows(record) {
  const fields = new Map();
  const lists = [];
  collect(record.v, '', fields, lists, 0);
  const key = record.k === null || record.k === undefined ? null : show(record.k);
  const base = {
    key,
    gone: record.v === null || record.v === undefined,
    listed: false,
    time: isInstant(record.t) ? Number(record.t) : null,
    partition: record.p,
    place: `${record.p}:${record.o}`,
    fields,
  };
  const [list] = lists;
  if (!list) return [base];
  return list.items.map((item, index) => {
    const own = new Map(fields);
    collect(item, `${list.name}.`, own, [], DEPTH);
    return { ...base, listed: true, place: `${base.place}:${index}`, fields: own };
  });
}

function collect(value, prefix, fields, lists, depth) {
  if (!isObject(value)) {
    if (value !== null && value !== undefined) fields.set(prefix ? prefix.slice(0, -1) : 'value', value);
    return;
  }
  for (const [name, field] of Object.entries(value)) {
    if (Array.isArray(field)) {
      if (isObject(field[0])) lists.push({ name: prefix + name, items: field.slice(0, 50) });
    } else if (isObject(field)) {
      if (depth < DEPTH) collect(field, `${prefix}${name}.`, fields, lists, depth + 1);
    } else fields.set(prefix + name, field);
  }
}

/** An instant in milliseconds, of a number of seconds or milliseconds since 1970 or a text in UTC. Else null. */
export function timeOf(value) {
  const number = numeric(value);
  if (number !== null) {
    if (number >= SECONDS[0] && number < SECONDS[1]) return number * 1000;
    return number >= MILLISECONDS[0] && number < MILLISECONDS[1] ? number : null;
  }
  if (typeof value !== 'string' || !TIME_TEXT.test(value)) return null;
  const iso = value.replace(' ', 'T').slice(0, 23);
  const time = Date.parse(/Z$|[+-]\d\d:\d\d$/.test(value) ? value.replace(' ', 'T') : `${iso}Z`);
  return Number.isNaN(time) ? null : time;
}

/**
 * What kinds of fields these rows have.
 * @param {Row[]} sample
 * @returns {{times: string[], numbers: string[], texts: string[]}} by name, in the order of the values
 */
export function kinds(sample) {
  const seen = new Map();
  for (const row of sample) {
    for (const [name, value] of row.fields) {
      const kind = kindOf(name, value);
      if (seen.get(name) === undefined || seen.get(name) === kind) seen.set(name, kind);
      else seen.set(name, 'text');
    }
  }
  const of = (kind) => [...seen].filter(([, one]) => one === kind).map(([name]) => name);
  return { times: of('time'), numbers: of('number'), texts: of('text') };
}

function kindOf(name, value) {
  if (TIME_NAME.test(name) && timeOf(value) !== null) return 'time';
  if (typeof value === 'string' && TIME_TEXT.test(value)) return 'time';
  if (/(^|[_.])(id|guid|uuid)$|Id$/.test(name)) return 'text';
  return numeric(value) === null ? 'text' : 'number';
}
