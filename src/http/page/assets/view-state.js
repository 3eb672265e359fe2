// The stores, and a box to ask them.

import { ask } from './ask.js';
import { attribute, field, h, setCells, setText, table } from './dom.js';
import { instant, plural } from './format.js';
import { isObject, parse, show } from './json.js';
import { go, href } from './router.js';
import { address, answered } from './state-query.js';

/** @type {import('./main.js').View} */
export const state = { name: 'state', title: 'State', open };

const MEANINGS = { rows: 'the limit of rows', bytes: 'the limit of bytes', time: 'the limit of time' };

function open(root, live, name, [wanted]) {
  const parts = build(root);
  const shown = { stores: [], store: null, asked: null, closed: false };
  ask('/state')
    .then(({ topologies }) => {
      if (shown.closed) return;
      shown.stores = topologies.find((topology) => topology.topology === name)?.stores ?? [];
      begin(parts, shown, name, wanted);
    })
    .catch((error) => fail(parts, error));
  parts.form.addEventListener('submit', (event) => {
    event.preventDefault();
    query(parts, shown, name);
  });
  parts.next.addEventListener('click', () => query(parts, shown, name, shown.next));
  return { update() {}, close: () => (shown.closed = true) };
}

function build(root) {
  const store = h('select');
  const input = (label, attributes) => {
    const element = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', ...attributes });
    return { element, field: field(label, element) };
  };
  const key = input('Key', { placeholder: 'all keys', size: 18 });
  const from = input('From', { size: 22 });
  const to = input('To', { size: 22 });
  const limit = input('Rows at most', { type: 'number', min: 1, max: 10_000, value: 20 });
  const submit = h('button', { class: 'main', type: 'submit' }, 'Ask');
  const facts = h('p', { class: 'note facts' });
  const form = h(
    'form',
    { class: 'panel' },
    h('div', { class: 'fields' }, field('Store', store), key.field, from.field, to.field, limit.field, submit),
    facts,
  );
  const problem = h('p', { class: 'problem', role: 'alert' });
  const status = h('p', { class: 'note', role: 'status' });
  const results = table('Rows', ['Key']);
  const next = h('button', { type: 'button', hidden: true }, 'Next page');
  const link = h('a', { class: 'mono' });
  const answer = h(
    'section',
    { class: 'panel answer', hidden: true },
    h('header', {}, h('h2', {}, 'Answer'), link),
    results.box,
    status,
    next,
  );
  root.append(form, problem, answer);
  return { store, key, from, to, limit, submit, facts, form, problem, status, results, next, link, answer };
}

function begin(parts, shown, name, wanted) {
  const askable = shown.stores.filter((store) => store.queryable);
  for (const store of shown.stores) {
    parts.store.append(
      h(
        'option',
        { value: store.store, disabled: !store.queryable },
        store.queryable ? store.store : `${store.store} (cannot be asked)`,
      ),
    );
  }
  parts.store.addEventListener('change', () => go(href('state', name, parts.store.value)));
  shown.store = askable.find((store) => store.store === wanted) ?? askable[0];
  attribute(parts.submit, 'disabled', !shown.store);
  if (!shown.store) {
    setText(
      parts.facts,
      shown.stores.length
        ? 'None of its stores can be asked: its operators keep them for themselves.'
        : `${name} keeps no state.`,
    );
    return;
  }
  describe(parts, shown.store);
}

function describe(parts, store) {
  parts.store.value = store.store;
  const { windowed } = store;
  const example = windowed ? '2022-08-31T08:05:00Z' : '';
  attribute(parts.from.element, 'placeholder', windowed ? `time, as ${example}` : 'key');
  attribute(parts.to.element, 'placeholder', windowed ? 'time' : 'key');
  const here = store.here
    ? `${store.here.length} of ${plural(store.partitions, 'partition')} here`
    : plural(store.partitions, 'partition');
  const how = windowed
    ? 'From and to are when windows start; with a key, of that key.'
    : 'A key alone gives its row; from and to a range, both ends included.';
  setText(
    parts.facts,
    `${store.operator}, ${store.key} → ${store.value}, ${here}. ${how} Only what is committed is seen.`,
  );
}

async function query(parts, shown, name, cursor = null) {
  const value = ({ element }) => element.value.trim();
  const fields = cursor
    ? shown.fields
    : { key: value(parts.key), from: value(parts.from), to: value(parts.to), limit: value(parts.limit) };
  const path = address(name, shown.store.store, fields, cursor);
  shown.fields = fields;
  attribute(parts.submit, 'disabled', true);
  try {
    const answer = await ask(path, {}, parse);
    if (!shown.closed) succeed(parts, shown, path, answered(answer));
  } catch (error) {
    if (!shown.closed) fail(parts, error);
  }
  attribute(parts.submit, 'disabled', false);
}

function fail(parts, error) {
  setText(parts.problem, error.message);
  attribute(parts.answer, 'hidden', true);
}

function succeed(parts, shown, path, { rows, next, cut, commits }) {
  setText(parts.problem, '');
  attribute(parts.answer, 'hidden', false);
  setText(parts.link, `GET ${path}`);
  attribute(parts.link, 'href', path);
  fillTable(parts, rows);
  shown.next = next;
  attribute(parts.next, 'hidden', !next);
  const limited = cut ? ` Cut at ${MEANINGS[cut] ?? cut}.` : '';
  setText(parts.status, `${plural(rows.length, 'row')}.${limited} ${commits}`);
}

/** A table with a column for each field that the values have. */
function fillTable(parts, rows) {
  const {
    results: { element, body },
  } = parts;
  const windows = rows.some((row) => row.window_start !== undefined);
  const names = [...new Set(rows.flatMap((row) => (isObject(row.value) ? Object.keys(row.value) : [])))];
  const flat = names.length > 0 && names.length <= 14;
  const numbers = new Set(
    names.filter((field) => rows.every((row) => !isNaN(row.value?.[field]) && typeof row.value?.[field] !== 'string')),
  );
  const heads = [
    'Key',
    ...(windows ? ['Window from', 'to'] : []),
    ...(flat ? names : ['value']),
    'Time (UTC)',
    'Partition',
  ];
  const head = (text) => h('th', { scope: 'col', class: numbers.has(text) || text === 'Partition' ? 'n' : null }, text);
  element.tHead.replaceChildren(h('tr', {}, ...heads.map(head)));
  body.replaceChildren(
    ...rows.map((row) => {
      const values = flat
        ? names.map((field) => ({ text: show(row.value?.[field]), class: numbers.has(field) ? 'n' : 'value' }))
        : [{ text: show(row.value), class: 'json' }];
      const line = h('tr');
      setCells(line, [
        keyCell(parts, row.key),
        ...(windows ? [instant(row.window_start), instant(row.window_end)] : []),
        ...values,
        instant(row.timestamp),
        { text: row.partition === undefined ? '' : String(row.partition), class: 'n' },
      ]);
      return line;
    }),
  );
}

/** A key, which asks for itself. */
function keyCell(parts, key) {
  const text = show(key);
  return h(
    'button',
    {
      type: 'button',
      class: 'key mono',
      title: 'Ask for this key',
      on: {
        click: () => {
          parts.key.element.value = text;
          parts.from.element.value = '';
          parts.to.element.value = '';
          parts.form.requestSubmit();
        },
      },
    },
    text,
  );
}
