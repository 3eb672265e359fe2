// What is drawn of a topology: its topics, and in each sub-topology stacks of operators that hand on one to the next.

const KEPT_BY_PROCESSOR = new Set(['store', 'timers']);

/**
 * @typedef {{id: string, kind: 'stack', rows: object[], stores: object[]}} Stack operators, and the stores they keep
 * @typedef {{id: string, kind: 'topic', topic: string, role: 'source'|'repartition'|'output', nodes: object[]}} TopicNode
 * @typedef {{from: string, to: string}} Edge
 * @typedef {{name: string, stacks: Stack[], inner: Edge[]}} Frame
 * @typedef {{name: string, frames: Frame[], topics: Map<string, TopicNode>, outer: (Edge & {frame: Frame|null})[]}} Model
 */

/** @returns {Model} of a topology as `/topology?format=json` has it */
export function model(topology) {
  const topics = new Map();
  const frames = topology.sub_topologies.map((sub) => frame(sub));
  const outer = [];
  topology.sub_topologies.forEach((sub, index) => connect(sub, frames[index], topics, outer));
  for (const node of topology.global_tables ?? []) frames.push(global(node, topics, outer));
  return { name: topology.name, frames, topics, outer };
}

/** A table that every process has whole: it has no tasks, and stands by itself. */
function global(node, topics, outer) {
  const stack = { id: `global/${node.name}`, kind: 'stack', rows: [node], stores: [node] };
  const frame = { name: `global ${node.name}`, stacks: [stack], inner: [], stackOf: new Map([[node.name, stack]]) };
  const topic = topicNode(topics, { ...node, role: 'source' });
  outer.push({ from: topic.id, to: stack.id, frame });
  return frame;
}

/** Whether a node is drawn as its topic alone. */
function isTopic(node) {
  return node.topic && (node.role === 'source' || node.role === 'sink') && !node.store;
}

function frame(sub) {
  const byName = new Map(sub.nodes.map((node) => [node.name, node]));
  const kept = (node) => KEPT_BY_PROCESSOR.has(node.operator);
  const operators = sub.nodes.filter((node) => !isTopic(node) && !kept(node));
  const stackOf = new Map();
  const stacks = [];
  for (const node of operators) {
    const [only, ...more] = node.from.map((name) => byName.get(name));
    const above = only && !more.length ? stackOf.get(only.name) : null;
    const joins =
      above && above.rows.at(-1) === only && !node.store && !above.stores.length && following(only, byName, kept) === 1;
    const stack = joins ? above : { id: `${sub.name}/${node.name}`, kind: 'stack', rows: [], stores: [] };
    if (!joins) stacks.push(stack);
    stack.rows.push(node);
    stack.stores.push(
      ...(node.store ? [node] : []),
      ...node.to.map((name) => byName.get(name)).filter((to) => to && kept(to)),
    );
    stackOf.set(node.name, stack);
  }
  return { name: sub.name, stacks, inner: innerEdges(operators, stackOf), stackOf };
}

function following(node, byName, kept) {
  return node.to.filter((name) => !byName.has(name) || !kept(byName.get(name))).length;
}

function innerEdges(operators, stackOf) {
  const edges = new Map();
  for (const node of operators) {
    for (const name of node.to) {
      const [from, to] = [stackOf.get(node.name), stackOf.get(name)];
      if (to && from !== to) edges.set(`${from.id} ${to.id}`, { from: from.id, to: to.id });
    }
  }
  return [...edges.values()];
}

/** Adds the topics that a sub-topology reads and writes, and the edges between them and its stacks. */
function connect(sub, frame, topics, outer) {
  const byName = new Map(sub.nodes.map((node) => [node.name, node]));
  for (const node of sub.nodes.filter(isTopic)) {
    const topic = topicNode(topics, node);
    const writes = node.role === 'sink';
    for (const name of writes ? node.from : node.to) {
      const other = byName.get(name);
      const end = isTopic(other) ? topicNode(topics, other).id : frame.stackOf.get(name)?.id;
      if (!end || (writes && isTopic(other))) continue;
      const edge = writes ? { from: end, to: topic.id } : { from: topic.id, to: end };
      outer.push({ ...edge, frame: isTopic(other) ? null : frame });
    }
  }
}

function topicNode(topics, node) {
  const id = `topic ${node.topic}`;
  const known = topics.get(id) ?? { id, kind: 'topic', topic: node.topic, role: 'output', nodes: [] };
  if (!known.nodes.includes(node)) known.nodes.push(node);
  if (node.role === 'source') known.role = node.operator === 'repartition-source' ? 'repartition' : 'source';
  topics.set(id, known);
  return known;
}
