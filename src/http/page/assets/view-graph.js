// The topology as a graph, with what moves along it.

import { field, h } from './dom.js';
import { details } from './graph-details.js';
import { draw, measures } from './graph-draw.js';
import { Figures } from './graph-figures.js';
import { layout } from './graph-layout.js';
import { model } from './graph-model.js';
import { graphTable } from './graph-table.js';
import { fitting, zooming } from './graph-zoom.js';

/** @type {import('./main.js').View} */
export const graph = { name: 'graph', title: 'Graph', open };

const ROOMY = 320;

/** Below this scale the graph flows downwards, where there is more room. */
const TOO_SMALL = 0.8;
const KEY = [
  ['source', 'topic that is read'],
  ['repartition', 'repartition topic'],
  ['output', 'topic that is written'],
  ['operator', 'operators'],
  ['store', 'store'],
];

function open(root, live, name) {
  const parts = frameOfView(root);
  const shown = { drawing: null, table: null, chosen: null, from: null };
  const figures = () => new Figures(live.topology(name));
  const panel = details(() => choose(null));
  parts.drawing.append(parts.box, panel.element);

  function choose(chosen) {
    if (chosen && !shown.chosen) shown.from = document.activeElement;
    shown.chosen = chosen;
    parts.drawing.classList.toggle('open', Boolean(chosen));
    panel.show(chosen, figures());
    if (chosen) panel.element.focus();
    else shown.from?.focus();
  }

  const place = () => shown.topology && redraw(shown, parts, choose, update);
  const update = () => {
    if (!live.topology(name) || !shown.drawing) return;
    const now = figures();
    shown.drawing.update(now);
    shown.table.update(now);
    if (shown.chosen) panel.show(shown.chosen, now);
  };
  live
    .graphs()
    .then((graphs) => begin(graphs, name, shown, parts, update, place))
    .catch((error) => (parts.problem.textContent = `The graph cannot be shown: ${error.message}.`));
  parts.direction.addEventListener('change', place);
  const resized = new ResizeObserver(
    ([entry]) =>
      entry.contentRect.width !== shown.width && ((shown.width = entry.contentRect.width), !shown.chosen && place()),
  );
  resized.observe(root);
  return { update, close: () => resized.disconnect() };
}

function frameOfView(root) {
  const problem = h('p', { class: 'problem', role: 'alert' });
  const box = h('div', { class: 'canvas', tabindex: '0', role: 'region', 'aria-label': 'Graph, scrolls' });
  const zoom = zooming(box);
  const option = (value, text) => h('option', { value }, text);
  const direction = h(
    'select',
    {},
    option('auto', 'as it fits'),
    option('right', 'to the right'),
    option('down', 'downwards'),
  );
  const key = h('p', { class: 'legend-line' }, ...KEY.map(([kind, text]) => h('span', { class: kind }, text)));
  const tools = h('div', { class: 'tools' }, field('Direction', direction), key, zoom.tools);
  const drawing = h('div', { class: 'drawing' });
  root.append(tools, problem, drawing);
  return { root, problem, box, zoom, direction, drawing };
}

function begin(graphs, name, shown, parts, update, place) {
  shown.topology = graphs.find((topology) => topology.name === name);
  if (!shown.topology) throw new Error(`the process has no graph of ${name}`);
  shown.table = graphTable(shown.topology);
  shown.table.element.addEventListener('toggle', update);
  parts.root.append(shown.table.element);
  place();
  // A small graph leaves room for the table.
  shown.table.element.open = innerWidth > 900 && shown.drawing.size.height < ROOMY;
}

function redraw(shown, parts, choose, update) {
  const { plan, measure } = planned(model(shown.topology), parts);
  shown.drawing = draw(plan, measure, (item, row) => choose({ item, row, frame: frameOf(plan, item) }));
  parts.zoom.show(shown.drawing.picture, shown.drawing.size);
  update();
}

function planned(topology, { direction, box }) {
  const plan = (down) => ({ plan: layout(topology, measures(down), down), measure: measures(down) });
  if (direction.value !== 'auto') return plan(direction.value === 'down');
  const right = plan(false);
  if (fitting(box, right.plan) >= TOO_SMALL) return right;
  const down = plan(true);
  return fitting(box, down.plan) > fitting(box, right.plan) ? down : right;
}

function frameOf(plan, item) {
  return plan.items.find((placed) => placed.item === item)?.frame;
}
