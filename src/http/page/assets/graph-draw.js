// Draws a laid out graph, and keeps its numbers up to date without moving anything.

import { attribute, setText, svg } from './dom.js';
import { behind, plural, rate, si, span } from './format.js';
import { ROW, STORE } from './graph-layout.js';

const PILL = { one: 30, two: 44, pad: 16 };
const FONT = { name: '600 12px', small: '11px', mono: '12px' };
const MANY_EDGES = 70;
const MARGIN = 8;

const ruler = document.createElement('canvas').getContext('2d');

function width(text, font) {
  ruler.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

/**
 * The sizes that the texts need; `down` sets stores beside their operators instead of below them. Of a stack with stores also
 * the width of its operators alone (`own`), where lines meet them (`middle`, from the middle of all), and by how much
 * they end before its stores do (`short`).
 */
export function measures(down) {
  return (item) => {
    if (item.kind === 'topic') {
      const second = item.role === 'output' ? 0 : width('lag 888 k · 88 min 88 s', FONT.small);
      return {
        width: Math.ceil(Math.max(width(item.topic, FONT.name), second) + 2 * PILL.pad),
        height: item.role === 'output' ? PILL.one : PILL.two,
      };
    }
    if (item.kind === 'stack') return stackSize(item, down);
    return { width: width(item.name, FONT.name) + width('88 tasks ', FONT.small) + 44 };
  };
}

function stackSize(stack, down) {
  const rows = Math.max(...stack.rows.map((row) => width(row.operator, FONT.mono)));
  const own = Math.ceil(rows + width('888.8 k/s', FONT.small) + 34);
  const height = stack.rows.length * ROW;
  if (!stack.stores.length) return { width: own, height };
  const stores = Math.max(...stack.stores.map(storeWidth));
  const all = stack.stores.length * (STORE.height + STORE.gap);
  if (!down)
    return {
      width: Math.max(own, stores),
      height: height + all,
      own: Math.max(own, stores),
      middle: -all / 2,
      short: 0,
    };
  const tall = Math.max(height, all - STORE.gap);
  return {
    width: own + STORE.gap + stores,
    height: tall,
    own,
    middle: -(STORE.gap + stores) / 2,
    short: tall - height,
  };
}

function storeWidth(store) {
  return Math.ceil(width(store.store ?? store.name, FONT.small) + 30);
}

/**
 * @param {object} plan what `layout` gave
 * @param {(item: object, row?: object) => void} open called when a topic, an operator or a store is chosen
 */
export function draw(plan, measure, open) {
  const flowing = plan.edges.length <= MANY_EDGES;
  const edges = plan.edges.map((edge) => drawEdge(edge, plan.down, flowing));
  const frames = plan.frames.map(drawFrame);
  const items = plan.items.map((placed) =>
    placed.item.kind === 'topic' ? drawTopic(placed, open) : drawStack(placed, measure(placed.item), plan.down, open),
  );
  const box = `${-MARGIN} ${-MARGIN} ${plan.width + 2 * MARGIN} ${plan.height + 2 * MARGIN}`;
  const labels = edges.map((edge) => edge.label).filter(Boolean);
  const picture = svg(
    'svg',
    {
      class: 'graph',
      viewBox: box,
      role: 'group',
      'aria-label': 'Graph of the topology; the table below has the same',
    },
    arrowhead(),
    ...frames.map((frame) => frame.element),
    ...edges.map((edge) => edge.element),
    ...frames.map((frame) => frame.titles),
    ...items.map((item) => item.element),
    ...labels,
  );
  const size = { width: plan.width + 2 * MARGIN, height: plan.height + 2 * MARGIN };
  return {
    picture,
    size,
    update: (figures) => [...edges, ...frames, ...items].forEach((drawn) => drawn.update(figures)),
  };
}

function arrowhead() {
  const tip = svg('path', { d: 'M0 0 8 4 0 8z', class: 'tip' });
  return svg(
    'defs',
    {},
    svg(
      'marker',
      {
        id: 'tip',
        viewBox: '0 0 8 8',
        refX: 7,
        refY: 4,
        markerWidth: 8,
        markerHeight: 8,
        markerUnits: 'userSpaceOnUse',
        orient: 'auto',
      },
      tip,
    ),
  );
}

/** A curve through the points that leaves and enters boxes along the flow. */
function curve(points, down) {
  let path = `M${points[0].x} ${points[0].y}`;
  for (let index = 1; index < points.length; index += 1) {
    const [from, to] = [points[index - 1], points[index]];
    const middle = down ? (from.y + to.y) / 2 : (from.x + to.x) / 2;
    path += down
      ? `C${from.x} ${middle} ${to.x} ${middle} ${to.x} ${to.y}`
      : `C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
  }
  return path;
}

function drawEdge(edge, down, flowing) {
  const path = curve(edge.points, down);
  const line = svg('path', { class: 'edge', d: path, 'marker-end': edge.arrow ? 'url(#tip)' : null });
  const flow = flowing && svg('path', { class: 'flow', d: path });
  const label = edge.outer && svg('text', { class: 'rate', ...labelPlace(edge.points, down) });
  return {
    element: svg('g', {}, line, flow),
    label,
    update: (figures) => updateEdge(edge, line, flow, label, figures),
  };
}

function labelPlace(points, down) {
  const [from, to] = points;
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  return down ? { x: middle.x + 8, y: middle.y + 4 } : { x: middle.x, y: middle.y - 5, 'text-anchor': 'middle' };
}

function updateEdge(edge, line, flow, label, figures) {
  const records = edge.topic ? figures.rateOf(edge.topic) : figures.stackRate(edge.to);
  const moves = (records ?? 0) >= 0.05;
  attribute(line, 'data-moves', moves);
  attribute(line, 'style', `stroke-width:${(1.2 + Math.log10(1 + (records ?? 0)) * 0.8).toFixed(2)}`);
  if (flow) attribute(flow, 'data-moves', moves);
  if (label) setText(label, rate(records));
}

function drawFrame({ frame, rect }) {
  const tasks = svg('text', { class: 'small', x: rect.x + rect.width - 12, y: rect.y + 20, 'text-anchor': 'end' });
  const element = svg(
    'g',
    { class: 'frame' },
    svg('rect', { x: rect.x, y: rect.y, width: rect.width, height: rect.height, rx: 10 }),
    svg('title'),
  );
  // Above the edges, which may pass here.
  const titles = svg(
    'g',
    { class: 'titles' },
    svg('text', { class: 'title', x: rect.x + 12, y: rect.y + 20 }, frame.name),
    tasks,
  );
  return { element, titles, update: (figures) => updateFrame(element, tasks, frame, figures) };
}

function updateFrame(element, text, frame, figures) {
  const tasks = figures.tasks(frame.name);
  const other = tasks.filter((task) => task.state !== 'running');
  const held = figures.held(frame.name);
  setText(text, other.length ? `${other.length} of ${tasks.length} ${other[0].state}` : plural(tasks.length, 'task'));
  attribute(element, 'data-state', other.length ? 'waiting' : null);
  setText(
    element.querySelector('title'),
    held
      ? `${held.name} is held back by ${held.held_by}, ${span(held.held_back_ms)}`
      : `${frame.name}: ${plural(tasks.length, 'task')}`,
  );
}

function pressable(element, label, act) {
  attribute(element, 'tabindex', '0');
  attribute(element, 'role', 'button');
  attribute(element, 'aria-label', label);
  element.addEventListener('click', act);
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    act();
  });
  return element;
}

function drawTopic({ item, rect }, open) {
  const middle = rect.x + rect.width / 2;
  const two = item.role !== 'output';
  const second = two && svg('text', { class: 'small', x: middle, y: rect.y + 33, 'text-anchor': 'middle' });
  const element = svg(
    'g',
    { class: `topic ${item.role}` },
    svg('rect', { x: rect.x, y: rect.y, width: rect.width, height: rect.height, rx: rect.height / 2 }),
    svg('text', { class: 'name', x: middle, y: rect.y + (two ? 18 : 19.5), 'text-anchor': 'middle' }, item.topic),
    second,
  );
  pressable(element, `Topic ${item.topic}`, () => open(item));
  return { element, update: (figures) => updateTopic(element, second, item, figures) };
}

function updateTopic(element, second, item, figures) {
  const topic = figures.topic(item.topic);
  const holds = figures.heldBy(topic?.topic ?? item.topic);
  attribute(element, 'data-holds', holds.length > 0);
  attribute(element, 'data-lags', (topic?.lag ?? 0) >= 1000);
  if (!second) return;
  const age =
    topic?.watermark_age_ms === null || topic?.watermark_age_ms === undefined ? null : behind(topic.watermark_age_ms);
  setText(
    second,
    holds.length
      ? `holds time back: ${holds.length === 1 ? holds[0].slice(holds[0].lastIndexOf('-') + 1) : holds.length}`
      : [`lag ${si(topic?.lag)}`, age].filter(Boolean).join(' · '),
  );
}

function drawStack({ item, frame, rect }, size, down, open) {
  const own = size.own ?? size.width;
  const rows = item.rows.map((row, index) => drawRow(row, rect, own, index, () => open(item, row)));
  const height = item.rows.length * ROW;
  const stores = item.stores.map((store, index) =>
    drawStore(store, storeRect(store, index, rect, own, height, down), () => open(item, store)),
  );
  const border = svg('rect', { class: 'border', x: rect.x, y: rect.y, width: own, height, rx: 6 });
  const held = svg(
    'g',
    { class: 'held', visibility: 'hidden' },
    svg('circle', { cx: rect.x + own, cy: rect.y, r: 8 }),
    svg('text', { x: rect.x + own, y: rect.y + 4, 'text-anchor': 'middle' }, '!'),
    svg('title'),
  );
  const element = svg('g', { class: 'stack' }, ...stores, border, ...rows.map((row) => row.element), held);
  return {
    element,
    update: (figures) => {
      rows.forEach((row) => row.update(figures));
      updateHeld(held, item, frame, figures);
    },
  };
}

/** A mark at the operators that keep state: there records wait for time. */
function updateHeld(mark, stack, frame, figures) {
  const held = stack.stores.length ? figures.held(frame.name) : null;
  const blamed = held && figures.holding.has(held.held_by);
  attribute(mark, 'visibility', blamed ? 'visible' : 'hidden');
  if (blamed)
    setText(
      mark.querySelector('title'),
      `${held.name} waits for ${held.held_by}, which is ${span(held.held_back_ms)} behind`,
    );
}

function drawRow(row, rect, own, index, act) {
  const top = rect.y + index * ROW;
  const records = svg('text', { class: 'small', x: rect.x + own - 9, y: top + 17, 'text-anchor': 'end' });
  const element = svg(
    'g',
    { class: 'operator' },
    svg('rect', { x: rect.x, y: top, width: own, height: ROW, rx: 6 }),
    index > 0 && svg('path', { class: 'rule', d: `M${rect.x + 1} ${top}h${own - 2}` }),
    svg('text', { class: 'name', x: rect.x + 10, y: top + 17 }, row.operator),
    records,
  );
  pressable(element, `Operator ${row.name}`, act);
  return {
    element,
    update: (figures) => {
      const operator = figures.operator(row.name);
      setText(records, operator ? rate(operator.rate) : '');
      attribute(element, 'data-late', (operator?.late ?? 0) > 0);
    },
  };
}

function storeRect(store, index, rect, own, height, down) {
  const wide = storeWidth(store);
  const step = STORE.height + STORE.gap;
  return down
    ? { x: rect.x + own + STORE.gap, y: rect.y + index * step, width: wide, height: STORE.height }
    : {
        x: rect.x + (own - wide) / 2,
        y: rect.y + height + STORE.gap + index * step,
        width: wide,
        height: STORE.height,
      };
}

function drawStore(store, { x, y, width: wide, height }, act) {
  const lid = 5;
  const half = wide / 2;
  const side = `M${x} ${y + lid}v${height - 2 * lid}a${half} ${lid} 0 0 0 ${wide} 0v${-(height - 2 * lid)}`;
  const element = svg(
    'g',
    { class: 'store' },
    svg('path', { d: `${side}a${half} ${lid} 0 0 0 ${-wide} 0` }),
    svg('path', { class: 'lid', d: `M${x} ${y + lid}a${half} ${lid} 0 0 0 ${wide} 0` }),
    svg('text', { x: x + half, y: y + height / 2 + 6, 'text-anchor': 'middle' }, store.store ?? store.name),
  );
  return pressable(element, `Store ${store.store ?? store.name}`, act);
}
