// The graph as a table: for those who do not see it, and for looking things up.

import { h, keyed, setCells, table } from './dom.js';
import { behind, count, rate } from './format.js';

const COLUMNS = [
  'Sub-topology',
  'Node',
  'Operator',
  'To',
  { text: 'Records/s', class: 'n' },
  { text: 'Records', class: 'n' },
  { text: 'Late', class: 'n' },
  { text: 'Lag', class: 'n' },
  'Watermark age',
  'Declared at',
];

/** @returns {{element: HTMLElement, update(figures: object): void}} of a topology's graph */
export function graphTable(topology) {
  const { box, body } = table(`Nodes of ${topology.name}`, COLUMNS);
  const element = h('details', { class: 'panel table' }, h('summary', {}, 'The graph as a table'), box);
  const nodes = topology.sub_topologies.flatMap((sub) => sub.nodes.map((node) => ({ sub: sub.name, node })));
  return {
    element,
    update(figures) {
      if (!element.open) return;
      keyed(
        body,
        nodes,
        ({ sub, node }) => `${sub} ${node.name}`,
        () => h('tr'),
        (row, { sub, node }) => setCells(row, cells(sub, node, figures)),
      );
    },
  };
}

function cells(sub, node, figures) {
  const topic = node.topic && figures.topic(node.topic);
  const operator = figures.operator(node.name);
  const source = node.role === 'source';
  const number = (value) => ({ text: value === null || value === undefined ? '' : count(value), class: 'n' });
  const passing = topic ? (source ? topic.in_rate : topic.out_rate) : operator?.rate;
  const records = topic ? (source ? topic.records_in : topic.records_out) : operator?.records;
  return [
    sub,
    node.name,
    node.operator,
    node.topic && node.role === 'sink' ? `topic ${node.topic}` : node.to.join(', '),
    { text: passing === undefined ? '' : rate(passing), class: 'n' },
    number(records),
    number(operator?.late),
    number(source ? topic?.lag : null),
    source && topic ? behind(topic.watermark_age_ms) : '',
    node.declared_at?.replace(/^.*\.\.\//, '') ?? '',
  ];
}
