// Starts the page: which view is shown, which topology is chosen, and whether the process still answers.

import { attribute, h, keyed, setText } from './dom.js';
import { clock, rate, span } from './format.js';
import { summary } from './history.js';
import { icon } from './icons.js';
import { Live } from './live.js';
import { go, here, href } from './router.js';
import { startSession } from './session.js';
import { startTheme } from './theme.js';
import { charts } from './view-charts.js';
import { graph } from './view-graph.js';
import { past } from './view-history.js';
import { overview } from './view-overview.js';
import { refused } from './view-refused.js';
import { state } from './view-state.js';
import { tasks } from './view-tasks.js';

/**
 * A view. `open` fills `root` and gives back what is called with each observation (`update`) and at the end (`close`).
 * @typedef {{name: string, title: string, all?: boolean,
 *   open: (root: HTMLElement, live: Live, topology: string, args: string[]) => {update(): void, close?(): void}}} View
 */

/** @type {View[]} */
const VIEWS = [overview, graph, charts, state, refused, tasks, past];

const place = (id) => document.getElementById(id);
const live = new Live();
let shown = null;
let chosen = null;

function topologies() {
  return live.status?.topologies.map((topology) => topology.name) ?? [];
}

/** The view and the topology that the address names, or the ones that stand in for them. */
function wanted() {
  const { view: name, args } = here();
  const view = VIEWS.find((candidate) => candidate.name === name) ?? overview;
  if (args[0] && topologies().includes(args[0])) chosen = args[0];
  if (!topologies().includes(chosen)) [chosen] = topologies();
  return { view, args: args.slice(1) };
}

function route() {
  if (!live.status) return;
  const { view, args } = wanted();
  const moved = shown && shown.view !== view;
  shown?.opened.close?.();
  const root = h('div', { class: `view view-${view.name}` });
  const title = h('h1', { tabindex: '-1' }, view.title, view.all ? null : h('span', { class: 'of' }, chosen));
  place('main').replaceChildren(title, root);
  document.title = `${view.title}${view.all ? '' : ` of ${chosen}`} · millstream`;
  shown = { view, opened: view.open(root, live, chosen, args) };
  navigation();
  shown.opened.update();
  if (moved) title.focus();
  // On a phone the tabs scroll sideways.
  place('views').querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

/** The links to the views and topologies, as the chosen ones make them. */
function navigation() {
  const current = shown?.view ?? overview;
  const target = (view) => (view.all ? href(view.name) : href(view.name, chosen));
  keyed(
    place('views'),
    VIEWS,
    (view) => view.name,
    (view) => h('a', {}, icon(view.name), h('span', { text: view.title })),
    (link, view) => {
      attribute(link, 'href', target(view));
      attribute(link, 'aria-current', view === current && 'page');
    },
  );
  keyed(
    place('topologies').querySelector('ul'),
    live.status.topologies,
    (topology) => topology.name,
    topologyLink,
    (item, topology) => {
      const [link] = item.children;
      attribute(link, 'href', href(current.all ? 'graph' : current.name, topology.name));
      attribute(link, 'aria-current', !current.all && topology.name === chosen && 'true');
      attribute(link, 'data-state', topology.state);
      attribute(link, 'title', `${topology.name}: ${topology.state}`);
      setText(
        link.querySelector('.figure'),
        topology.state === 'running' ? rate(summary(topology).in_rate) : topology.state,
      );
    },
  );
  chooser(current);
}

function topologyLink(topology) {
  const name = h('span', { class: 'name', text: topology.name });
  return h(
    'li',
    {},
    h('a', {}, h('span', { class: 'dot', 'aria-hidden': 'true' }), name, h('span', { class: 'figure' })),
  );
}

/** The same choice where there is no room for a list. */
function chooser(view) {
  const select = place('chooser');
  const names = topologies();
  keyed(
    select,
    view.all ? ['', ...names] : names,
    (name) => name,
    (name) => h('option', { value: name }, name || 'all'),
    () => {},
  );
  const value = view.all ? '' : chosen;
  if (select.value !== value) select.value = value;
}

function connection() {
  const lost = !live.connected;
  const heard = live.heardAt ? clock(live.heardAt) : null;
  setText(place('connection'), lost ? 'no connection' : `live ${clock(live.status.time)}`);
  attribute(place('connection'), 'data-lost', lost);
  attribute(place('lost'), 'hidden', !lost);
  attribute(document.body, 'data-lost', lost);
  const age = live.heardAt ? `, ${span(Math.floor((Date.now() - live.heardAt) / 1000) * 1000)} ago` : '';
  const what = heard ? `What is below is of ${heard}${age}.` : 'Nothing has come yet.';
  if (lost) setText(place('lost'), `The process does not answer. ${what} Trying again…`);
}

function update() {
  connection();
  if (!shown || (here().view === shown.view.name && !topologies().includes(chosen))) route();
  else {
    navigation();
    shown.opened.update();
  }
}

place('chooser').addEventListener('change', (event) => {
  const name = event.target.value;
  const view = shown.view.all ? graph : shown.view;
  go(name ? href(view.name, name) : href('overview'));
});
place('skip').addEventListener('click', (event) => {
  event.preventDefault();
  place('main').querySelector('h1')?.focus();
});
startTheme(place('theme'));
startSession(place('theme'));
addEventListener('hashchange', route);
live.addEventListener('status', update);
live.addEventListener('connection', connection);
setInterval(() => !live.connected && live.heardAt && connection(), 1000);
live.start();
