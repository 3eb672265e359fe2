// The records that did not go the usual way: how many and why, the newest of them, and the dead letter topics.

import { ask } from './ask.js';
import { field, h, keyed, setCells, setText, table } from './dom.js';
import { clock, count, instant, plural } from './format.js';
import { recordsTable } from './records-table.js';
import { follow } from './topic-stream.js';

/** @type {import('./main.js').View} */
export const refused = { name: 'refused', title: 'Late and dead letters', open };

const REFRESH_MS = 2000;
const SHOWN = 25;

function open(root, live, name) {
  const parts = build(root);
  const shown = { end: () => {}, closed: false };
  const ends = [refresh(parts, name), () => shown.end()];
  live
    .topics()
    .then(
      (topics) =>
        !shown.closed &&
        dead(
          parts,
          shown,
          topics.filter((topic) => topic.topology === name && topic.role === 'dead_letter'),
        ),
    )
    .catch((error) => setText(parts.letters.note, `The topics cannot be listed: ${error.message}.`));
  return {
    update: () => live.topology(name) && counts(parts, live.topology(name)),
    close() {
      shown.closed = true;
      for (const end of ends) end();
    },
  };
}

function build(root) {
  const reasons = table('Counts by reason and topic', ['Reason', 'Where', { text: 'Records', class: 'n' }]);
  const newest = table('The newest refused records', [
    'At',
    'Reason',
    'Topic',
    { text: 'Partition', class: 'n' },
    { text: 'Offset', class: 'n' },
    'Record time (UTC)',
    'Operator',
    'Task',
    'Message',
  ]);
  const late = table('Late records by operator', ['Operator', { text: 'Late', class: 'n' }]);
  const latePanel = h('section', { class: 'panel' }, h('h2', {}, 'Late, by operator'), late.box);
  const none = h('p', { class: 'note' });
  const note = h('p', { class: 'note' });
  const select = h('select');
  const chooser = field('Topic', select);
  chooser.hidden = true;
  const records = recordsTable('The newest dead letters', true);
  const letters = { note, select, chooser, records };
  records.element.hidden = true;
  const nothing = h('p', { class: 'note' });
  root.append(
    h(
      'div',
      { class: 'pair' },
      h('section', { class: 'panel' }, h('h2', {}, 'How many, and why'), nothing, reasons.box),
      latePanel,
    ),
    h('section', { class: 'panel' }, h('h2', {}, 'The newest'), none, newest.box),
    h('section', { class: 'panel' }, h('header', {}, h('h2', {}, 'Dead letters'), chooser), note, records.element),
  );
  return { reasons, late, latePanel, nothing, newest, none, letters };
}

/** Counts since the processes started. */
function counts(parts, topology) {
  const lines = [
    ...topology.dropped
      .filter((drop) => drop.count > 0)
      .map((drop) => [drop.reason.replaceAll('_', ' '), drop.topic, drop.count]),
    ...topology.dead_letters
      .filter((letter) => letter.count > 0)
      .map((letter) => ['dead letter', letter.topic, letter.count]),
  ].sort((one, other) => other[2] - one[2]);
  setText(parts.nothing, lines.length ? '' : 'Every record went the usual way since the processes started.');
  parts.reasons.box.hidden = !lines.length;
  const key = ([reason, where]) => `${reason} ${where}`;
  const late = topology.operators.filter((operator) => operator.late > 0).sort((one, other) => other.late - one.late);
  parts.latePanel.hidden = !late.length;
  keyed(
    parts.late.body,
    late,
    (operator) => operator.name,
    () => h('tr'),
    (row, operator) => setCells(row, [operator.name, { text: count(operator.late), class: 'n' }]),
  );
  keyed(
    parts.reasons.body,
    lines,
    key,
    () => h('tr'),
    (row, [reason, where, number]) =>
      setCells(row, [{ text: reason, class: 'reason' }, where, { text: count(number), class: 'n' }]),
  );
}

/** Asks for the newest again and again; the answer to `close` ends it. */
function refresh(parts, name) {
  let timer = null;
  let closed = false;
  const once = async () => {
    try {
      if (!document.hidden)
        list(
          parts,
          (await ask('/live/refused')).filter((record) => record.topology === name),
        );
    } catch (error) {
      setText(parts.none, `The newest cannot be listed: ${error.message}.`);
    }
    if (!closed) timer = setTimeout(once, REFRESH_MS);
  };
  once();
  return () => {
    closed = true;
    clearTimeout(timer);
  };
}

function list(parts, records) {
  const newest = records.slice(0, SHOWN);
  setText(parts.none, newest.length ? '' : 'Nothing has been refused lately.');
  parts.newest.box.hidden = !newest.length;
  const seen = new Map();
  const key = (record) => {
    const base = `${record.process} ${record.at} ${record.task} ${record.topic} ${record.partition} ${record.offset} ${record.reason}`;
    seen.set(base, (seen.get(base) ?? 0) + 1);
    return `${base} ${seen.get(base)}`;
  };
  keyed(
    parts.newest.body,
    newest,
    key,
    () => h('tr'),
    (row, record) => row.cells.length || setCells(row, cells(record)),
  );
}

function cells(record) {
  return [
    { text: clock(record.at), title: instant(record.at) },
    { text: record.reason.replaceAll('_', ' '), class: 'reason' },
    record.topic,
    { text: String(record.partition), class: 'n' },
    { text: record.offset === null ? '–' : String(record.offset), class: 'n' },
    instant(record.timestamp),
    record.operator ?? '',
    record.task,
    { text: record.message ?? '', class: 'wrap' },
  ];
}

/** The records of a dead letter topic as they come. */
function dead({ letters }, shown, topics) {
  const { note, select, chooser, records } = letters;
  if (!topics.length) {
    setText(
      note,
      'It writes no dead letter topic: bad input stops it, or is skipped and counted. --bad-input dead-letter=TOPIC keeps it.',
    );
    return;
  }
  select.append(...topics.map(({ topic }) => h('option', { value: topic }, topic)));
  chooser.hidden = false;
  let total = 0;
  const begin = () => {
    shown.end();
    total = 0;
    shown.end = follow(select.value, {
      records({ snapshot, records: batch }) {
        if (snapshot) records.clear();
        total = (snapshot ? 0 : total) + batch.length;
        records.add([...batch].reverse());
        records.draw();
        records.element.hidden = !total;
        setText(
          note,
          total
            ? `${plural(total, 'record')} of ${select.value} so far, the newest first.`
            : `${select.value} is empty.`,
        );
      },
      problem: (sentence) => sentence && setText(note, sentence),
    });
  };
  select.addEventListener('change', begin);
  begin();
}
