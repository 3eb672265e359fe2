// The newest records of a topic as they are.

import { h, keyed, setCells, table } from './dom.js';
import { cut, instant } from './format.js';
import { show } from './json.js';

const KEPT = 25;
/** With their headers records are tall. */
const KEPT_WITH_HEADERS = 8;
const LONGEST = 2000;

/**
 * @param {string} caption
 * @param {boolean} headers whether the headers have a column
 */
export function recordsTable(caption, headers = false) {
  const columns = [
    'Key',
    'Value',
    ...(headers ? ['Headers'] : []),
    'Time (UTC)',
    { text: 'Partition', class: 'n' },
    { text: 'Offset', class: 'n' },
  ];
  const { box, body } = table(caption, columns);
  const kept = headers ? KEPT_WITH_HEADERS : KEPT;
  let newest = [];
  return {
    element: box,
    clear: () => (newest = []),
    /** Takes records, the newest last. */
    add(records) {
      newest = [...records.slice(-kept).reverse(), ...newest].slice(0, kept);
    },
    draw() {
      keyed(
        body,
        newest,
        (record) => `${record.p} ${record.o}`,
        () => h('tr'),
        (row, record) => row.cells.length || setCells(row, cells(record, headers)),
      );
    },
  };
}

function cells(record, headers) {
  const none = (value) => value === null || value === undefined;
  const value = none(record.v) ? 'null: a tombstone, or no value' : cut(show(record.v), LONGEST);
  return [
    none(record.k) ? { text: 'no key', class: 'muted' } : { text: cut(show(record.k), 200), class: 'mono' },
    { text: value, class: none(record.v) ? 'muted' : 'json' },
    ...(headers ? [headerCell(record.h ?? {})] : []),
    instant(record.t),
    { text: String(record.p), class: 'n' },
    { text: String(record.o), class: 'n' },
  ];
}

function headerCell(headers) {
  const lines = Object.entries(headers).map(([name, value]) =>
    h('div', {}, h('span', { class: 'muted', text: `${name}: ` }), cut(show(value), 500)),
  );
  return h('div', { class: 'headers' }, ...lines);
}
