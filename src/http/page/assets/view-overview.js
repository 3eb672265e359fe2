// The first view: what is stuck and why, and a card for each topology.

import { attribute, h, keyed, setText } from './dom.js';
import { findingsOf, isStuck, showFindings } from './findings.js';
import { behind, plural, rate, si } from './format.js';
import { summary } from './history.js';
import { href } from './router.js';
import { drawSparkline, sparkline } from './sparkline.js';

/** @type {import('./main.js').View} */
export const overview = { name: 'overview', title: 'Overview', all: true, open };

function open(root, live) {
  const title = h('h2', {});
  const note = h('p', { class: 'note' });
  const list = h('ul', { class: 'findings' });
  const cards = h('div', { class: 'cards' });
  const figures = h('dl', { class: 'figures' });
  const stuck = h('section', { class: 'panel stuck', 'aria-live': 'polite' }, title, note, list);
  root.append(stuck, figures, h('section', { 'aria-label': 'Topologies' }, cards));
  return {
    update() {
      const { time, topologies } = live.status;
      const findings = findingsOf(topologies);
      verdict(title, note, findings, topologies);
      showFindings(list, findings, time);
      showFigures(figures, topologies);
      keyed(
        cards,
        topologies,
        (topology) => topology.name,
        card,
        (element, topology) => fillCard(element, topology, live.history.get(topology.name)),
      );
    },
  };
}

/** Says in a sentence whether anything is stuck, and on what that rests. */
function verdict(title, note, findings, topologies) {
  const stuck = findings.filter(isStuck);
  const running = topologies.filter((topology) => topology.state === 'running').length;
  const lag = topologies.reduce((sum, topology) => sum + summary(topology).lag, 0);
  attribute(title, 'class', stuck.length ? null : 'calm');
  const look = findings.some((finding) => finding.severity !== 'info');
  setText(
    title,
    stuck.length ? 'What is stuck, and why' : look ? 'Nothing is stuck, but look at this' : 'Nothing is stuck',
  );
  const run =
    running === topologies.length
      ? plural(running, 'topology runs', 'topologies run')
      : `${running} of ${plural(topologies.length, 'topology runs', 'topologies run')}`;
  setText(note, stuck.length ? '' : `${run}; ${plural(lag, 'record waits', 'records wait')}.`);
}

function showFigures(place, topologies) {
  const each = topologies.map(summary);
  const sum = (field) => each.reduce((total, one) => total + one[field], 0);
  const counted = (field) =>
    topologies.reduce((total, topology) => total + topology[field].reduce((all, { count }) => all + count, 0), 0);
  const late = topologies.reduce(
    (total, topology) => total + topology.operators.reduce((all, operator) => all + operator.late, 0),
    0,
  );
  const running = topologies.filter((topology) => topology.state === 'running').length;
  const figures = [
    ['Running', String(running), `of ${topologies.length}`],
    ['Records in', rate(sum('in_rate')), ''],
    ['Records out', rate(sum('out_rate')), ''],
    ['Lag', si(sum('lag')), ''],
    ['Late', si(late), ''],
    ['Dropped', si(counted('dropped')), ''],
    ['Dead letters', si(counted('dead_letters')), ''],
  ];
  keyed(
    place,
    figures,
    ([name]) => name,
    ([name]) => h('div', {}, h('dt', { text: name }), h('dd', {}, h('span'), h('small'))),
    (element, [, value, unit]) => {
      setText(element.querySelector('span'), value);
      setText(element.querySelector('small'), unit);
    },
  );
}

function card({ name }) {
  const id = `card-${name}`;
  const link = (view, text) => h('a', { href: href(view, name), 'aria-label': `${text} of ${name}` }, text);
  return h(
    'article',
    { class: 'panel card', 'aria-labelledby': id },
    h('header', {}, h('h3', { id }, h('a', { href: href('graph', name) }, name)), h('span', { class: 'state' })),
    h('p', { class: 'rates' }, rated('in'), rated('out')),
    sparkline(),
    h('p', { class: 'facts' }, fact('lag'), fact('watermark'), fact('tasks')),
    h('p', { class: 'worst' }),
    h(
      'p',
      { class: 'links' },
      link('graph', 'Graph'),
      link('charts', 'Charts'),
      link('state', 'State'),
      link('tasks', 'Tasks'),
      link('history', 'History'),
    ),
  );
}

function rated(name) {
  return h('span', { class: name }, h('b'), ` ${name}`);
}

function fact(name) {
  return h('span', { class: name }, `${name} `, h('b'));
}

function fillCard(element, topology, history) {
  const numbers = summary(topology);
  const put = (selector, text) => setText(element.querySelector(selector), text);
  const chip = element.querySelector('.state');
  attribute(chip, 'data-state', topology.state);
  setText(chip, topology.state);
  put('.in b', rate(numbers.in_rate));
  put('.out b', rate(numbers.out_rate));
  put('.lag b', si(numbers.lag));
  put('.watermark b', behind(numbers.watermark_age_ms));
  const many = topology.processes.length > 1;
  put(
    '.tasks b',
    many ? `${topology.tasks.length} in ${topology.processes.length} processes` : String(topology.tasks.length),
  );
  worst(element.querySelector('.worst'), topology);
  if (history?.time.length) drawSparkline(element.querySelector('.sparkline'), history);
}

function worst(place, topology) {
  const [finding] = findingsOf([topology]);
  const text = topology.error ?? finding?.what ?? '';
  attribute(place, 'hidden', !text);
  attribute(place, 'data-severity', topology.error ? 'error' : finding?.severity);
  setText(place, text);
  attribute(place, 'title', text);
}
