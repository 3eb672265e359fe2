// What is known of one node: where it was declared, its types, its counts, and what its tasks wait for.

import { h, setText } from './dom.js';
import { behind, count, rate, span } from './format.js';
import { href } from './router.js';

/**
 * @param {() => void} close called when the reader is done
 * @returns {{element: HTMLElement, show(chosen: {item: object, row?: object, frame?: object}|null, figures: object): void}}
 */
export function details(close) {
  const title = h('h2');
  const body = h('div');
  const shut = h('button', { type: 'button', 'aria-label': 'Close the details', on: { click: close } }, '×');
  const element = h(
    'aside',
    { class: 'panel details', 'aria-label': 'Details of the chosen node', hidden: true, tabindex: '-1' },
    h('header', {}, title, shut),
    body,
  );
  element.addEventListener('keydown', (event) => event.key === 'Escape' && close());
  return {
    element,
    show(chosen, figures) {
      element.hidden = !chosen;
      if (!chosen) return;
      setText(title, chosen.row?.name ?? chosen.item.topic);
      const parts = chosen.row ? ofOperator(chosen, figures) : ofTopic(chosen.item, figures);
      // Rebuilt each second only where nothing in it has the focus.
      if (!body.contains(document.activeElement) || body.dataset.of !== title.textContent)
        body.replaceChildren(...parts);
      body.dataset.of = title.textContent;
    },
  };
}

function list(entries) {
  const known = entries.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return h(
    'dl',
    {},
    ...known.flatMap(([name, value]) => [
      h('dt', { text: name }),
      value instanceof Node ? h('dd', {}, value) : h('dd', { text: value }),
    ]),
  );
}

function code(text) {
  return text ? h('code', { text }) : null;
}

function ofOperator({ row, frame }, figures) {
  const operator = figures.operator(row.name);
  const store = row.store && h('a', { href: href('state', figures.topology.name, row.store) }, row.store);
  const facts = list([
    ['operator', row.operator],
    ['declared at', code(row.declared_at?.replace(/^.*\.\.\//, ''))],
    ['key', code(row.key)],
    ['value', code(row.value)],
    ['store', store],
    ['records in', operator && `${count(operator.records)}, ${rate(operator.rate)}`],
    ['late', operator && count(operator.late)],
    ['from', row.from.join(', ')],
    ['to', row.to.join(', ')],
  ]);
  return [facts, ...(frame ? tasks(frame, figures) : [])];
}

function tasks(frame, figures) {
  const all = figures.tasks(frame.name);
  if (!all.length) return [];
  const line = (task) => {
    const held =
      task.held_by && task.held_back_ms >= 1000 ? `, held back ${span(task.held_back_ms)} by ${task.held_by}` : '';
    const left = task.restore_remaining ? `, ${count(task.restore_remaining)} to restore` : '';
    return [task.name, `${task.state}, lag ${count(task.lag)}${left}${held}`];
  };
  return [h('h3', { text: `Tasks of ${frame.name}` }), list(all.map(line))];
}

function ofTopic(item, figures) {
  const topic = figures.topic(item.topic);
  const [node] = item.nodes;
  const drops = topic ? figures.dropped(topic.topic) : [];
  const watched =
    item.role !== 'repartition' &&
    h('a', { href: href('charts', figures.topology.name, topic?.topic ?? item.topic) }, 'its records, live');
  const facts = list([
    ['role', item.role],
    ['on Kafka', topic && topic.topic !== item.topic ? topic.topic : null],
    ['declared at', code(node.declared_at?.replace(/^.*\.\.\//, ''))],
    ['key', code(node.key)],
    ['value', code(node.value)],
    ['read', topic && item.role !== 'output' ? `${count(topic.records_in)}, ${rate(topic.in_rate)}` : null],
    ['written', topic && item.role !== 'source' ? `${count(topic.records_out)}, ${rate(topic.out_rate)}` : null],
    ['lag', topic && item.role !== 'output' ? count(topic.lag) : null],
    ['watermark', topic && item.role !== 'output' ? behind(topic.watermark_age_ms) : null],
    ['dropped', drops.map((drop) => `${count(drop.count)} ${drop.reason}`).join(', ')],
    ['watch', watched],
  ]);
  return [facts, ...partitions(topic)];
}

function partitions(topic) {
  if (!topic?.partitions.length || topic.role === 'output') return [];
  const newest = Math.max(...topic.partitions.map((partition) => partition.watermark ?? -Infinity));
  const line = ({ partition, lag, watermark }) => {
    const back =
      watermark === null || watermark === undefined
        ? 'no time yet'
        : newest - watermark < 1000
          ? 'in front'
          : `${span(newest - watermark)} behind the first`;
    return [String(partition), `lag ${count(lag)}, ${back}`];
  };
  return [h('h3', { text: 'Partitions' }), list(topic.partitions.map(line))];
}
