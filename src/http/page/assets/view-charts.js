// Any topic as a picture that moves, and its newest records.

import { KEY, RECORD_TIME, RECORDS, suggest } from './chart-choice.js';
import { Colours, drawChart } from './chart-draw.js';
import { rows } from './chart-fields.js';
import { Series } from './chart-series.js';
import { attribute, field, h, keyed, setText } from './dom.js';
import { cut, plural } from './format.js';
import { plotly } from './plot.js';
import { recordsTable } from './records-table.js';
import { go, href } from './router.js';
import { themeChanges } from './theme.js';
import { follow } from './topic-stream.js';

/** @type {import('./main.js').View} */
export const charts = { name: 'charts', title: 'Charts', open };

const REDRAW_MS = 500;
const REMEMBERED = 2000;
const SAMPLE = 300;
const KINDS = [
  ['area', 'stacked area over time'],
  ['bars', 'ranked bars'],
  ['lines', 'lines over time'],
];

function open(root, live, name, [wanted]) {
  const parts = build(root);
  const shown = {
    topic: null,
    remembered: [],
    series: null,
    choice: null,
    colours: new Colours(),
    dirty: false,
    paused: false,
    end: () => {},
    closed: false,
  };
  const timer = setInterval(() => draw(parts, shown), REDRAW_MS);
  const restyle = () => (shown.dirty = true);
  themeChanges.addEventListener('change', restyle);
  plotly()
    .then((library) => (shown.library = library))
    .catch((error) => say(parts, `${error.message}.`));
  live
    .topics()
    .then((topics) => {
      const mine = topics.filter((topic) => topic.topology === name);
      offer(parts, mine, name);
      const topic = mine.find((one) => one.topic === wanted) ?? preferred(mine);
      if (topic && !shown.closed) watch(parts, shown, topic);
      else if (!topic) say(parts, `${name} has no topic that can be watched.`);
    })
    .catch((error) => say(parts, `The topics cannot be listed: ${error.message}.`));
  parts.hold.addEventListener('click', () => hold(parts, shown));
  for (const select of Object.values(parts.selects)) select.addEventListener('change', () => chosen(parts, shown));
  return {
    update() {},
    close() {
      shown.closed = true;
      shown.end();
      clearInterval(timer);
      themeChanges.removeEventListener('change', restyle);
      shown.library?.purge(parts.plot);
    },
  };
}

function build(root) {
  const select = () => h('select', { disabled: true });
  const selects = { kind: select(), value: select(), by: select(), over: select() };
  const topic = h('select');
  const hold = h('button', { type: 'button', 'aria-pressed': 'false' }, 'Hold the picture');
  const over = field('Over', selects.over);
  const fields = h(
    'div',
    { class: 'fields' },
    field('Topic', topic),
    field('Picture', selects.kind),
    field('Of', selects.value),
    field('By', selects.by),
    over,
    hold,
  );
  const problem = h('p', { class: 'problem', role: 'alert' });
  const plot = h('div', { class: 'plot' });
  const waiting = h('p', { class: 'waiting' }, 'Waiting for the first records…');
  const figure = h('figure', { class: 'chart', role: 'img', 'aria-label': 'Chart' }, plot, waiting);
  const legend = h('ul', { class: 'legend', 'aria-label': 'Series and their newest values' });
  const note = h('p', { class: 'note' });
  const records = recordsTable('The newest records');
  const panel = h('section', { class: 'panel chart-panel' }, figure, legend, note);
  root.append(fields, problem, panel, h('section', { class: 'panel' }, h('h2', {}, 'Newest records'), records.element));
  return { selects, topic, hold, over, problem, panel, plot, waiting, figure, legend, note, records };
}

function say(parts, sentence) {
  setText(parts.problem, sentence);
}

/** Fills the list of topics; another choice is another address. */
function offer(parts, topics, topology) {
  const roles = [
    ['output', 'Written'],
    ['source', 'Read'],
    ['dead_letter', 'Dead letters'],
  ];
  for (const [role, label] of roles) {
    const options = topics
      .filter((topic) => topic.role === role)
      .map(({ topic }) => h('option', { value: topic }, topic));
    if (options.length) parts.topic.append(h('optgroup', { label }, ...options));
  }
  parts.topic.addEventListener('change', () => go(href('charts', topology, parts.topic.value)));
}

/** The first output that is no side output of late records. */
function preferred(topics) {
  const outputs = topics.filter((topic) => topic.role === 'output');
  return outputs.find((topic) => !/late/.test(topic.topic)) ?? outputs[0] ?? topics[0];
}

function watch(parts, shown, topic) {
  shown.topic = topic;
  parts.topic.value = topic.topic;
  shown.end = follow(topic.topic, {
    records: (batch) => take(parts, shown, batch),
    problem: (sentence) => say(parts, sentence),
  });
}

function take(parts, shown, { snapshot, skipped, records }) {
  // The newest come first.
  const inOrder = [...records].reverse();
  if (snapshot) {
    shown.remembered = [];
    parts.records.clear();
  }
  const taken = inOrder.flatMap(rows);
  shown.remembered = [...shown.remembered, ...taken].slice(-REMEMBERED);
  shown.skipped = skipped;
  parts.records.add(inOrder);
  if (!shown.choice) choose(parts, shown);
  else if (snapshot) begin(parts, shown, shown.choice);
  else for (const row of taken) shown.series.add(row);
  shown.dirty = true;
}

/** Chooses a picture once there are records to see what they are. */
function choose(parts, shown) {
  if (!shown.remembered.length) return;
  const { choice, choices } = suggest(shown.remembered.slice(-SAMPLE), shown.topic);
  const named = { [KEY]: 'key', [RECORD_TIME]: 'record time', [RECORDS]: 'number of records' };
  const options = (select, values, value) => {
    select.replaceChildren(
      ...values.map((one) => h('option', { value: one ?? '' }, one === null ? 'nothing' : (named[one] ?? one))),
    );
    select.value = value ?? '';
    select.disabled = false;
  };
  parts.selects.kind.replaceChildren(...KINDS.map(([value, text]) => h('option', { value }, text)));
  parts.selects.kind.value = choice.kind;
  parts.selects.kind.disabled = false;
  options(parts.selects.value, choices.values, choice.value);
  options(parts.selects.by, choices.bys, choice.by);
  options(parts.selects.over, choices.overs, choice.over);
  begin(parts, shown, choice);
}

function begin(parts, shown, choice) {
  shown.choice = choice;
  shown.keyed = shown.topic.updates ?? shown.remembered.some((row) => row.key !== null);
  shown.series = new Series(choice, shown.keyed);
  shown.series.begin(shown.remembered);
  attribute(parts.panel, 'data-kind', choice.kind);
  if (parts.plot.data) shown.library.Plots.resize(parts.plot);
  attribute(parts.over, 'hidden', choice.kind === 'bars');
  shown.dirty = true;
}

function chosen(parts, shown) {
  const { kind, value, by, over } = parts.selects;
  begin(parts, shown, { kind: kind.value, value: value.value, by: by.value || null, over: over.value });
  draw(parts, shown, true);
}

function hold(parts, shown) {
  shown.paused = !shown.paused;
  attribute(parts.hold, 'aria-pressed', String(shown.paused));
  setText(parts.hold, shown.paused ? 'Let it move' : 'Hold the picture');
  shown.dirty = true;
}

function draw(parts, shown, anyway = false) {
  if (!shown.library || !shown.series || document.hidden) return;
  if (!anyway && (!shown.dirty || shown.paused)) return;
  shown.dirty = false;
  const { legend, more, summary } = drawChart(shown.library, parts.plot, shown.series, shown.colours);
  attribute(parts.waiting, 'hidden', shown.series.cells.size > 0);
  attribute(parts.figure, 'aria-label', summary);
  showLegend(parts.legend, legend);
  setText(parts.note, note(shown, more));
  if (!shown.paused) parts.records.draw();
}

function showLegend(list, entries) {
  const make = () =>
    h('li', {}, h('span', { class: 'swatch' }), h('span', { class: 'name' }), h('span', { class: 'value' }));
  keyed(
    list,
    entries,
    (entry) => entry.name,
    make,
    (item, { name, colour, value }) => {
      attribute(item.children[0], 'style', `background:${colour}`);
      setText(item.children[1], cut(name, 40));
      attribute(item.children[1], 'title', name);
      setText(item.children[2], value);
    },
  );
}

function note(shown, more) {
  const parts = [];
  if (more) parts.push(`${plural(more, 'more key')} with less are not drawn.`);
  if (shown.skipped)
    parts.push(
      `${plural(shown.skipped, 'record was', 'records were')} left out of what came last: only the newest of each key are sent when many come.`,
    );
  return parts.join(' ');
}
