// The numbers of an observation that belong to a drawn topic, operator or sub-topology.

/** Looks up what an observation says, by the names that a graph has. */
export class Figures {
  /** @param {object} topology of an observation */
  constructor(topology) {
    this.topology = topology;
    this.operators = new Map(topology.operators.map((operator) => [operator.name, operator]));
    this.holding = new Set(
      topology.findings.filter((finding) => finding.kind === 'watermark_held').map((finding) => finding.subject),
    );
  }

  /** A topic by the name of the declaration: that of a repartition topic on the broker has the application before it. */
  topic(name) {
    const { topics, name: topology } = this.topology;
    return (
      topics.find((topic) => topic.topic === name) ??
      topics.find((topic) => topic.topic.endsWith(`-${topology}-${name}`)) ??
      topics.find((topic) => topic.role === 'repartition' && topic.topic.endsWith(`-${name}`))
    );
  }

  /** Records a second that pass a topic: what is read of it, or what is written where nobody here reads it. */
  rateOf(node) {
    const topic = this.topic(node.topic);
    if (!topic) return null;
    return node.role === 'output' ? topic.out_rate : topic.in_rate;
  }

  operator(name) {
    return this.operators.get(name);
  }

  /** Records a second that come into the first operator of a stack. */
  stackRate(id) {
    return this.operators.get(id.slice(id.indexOf('/') + 1))?.rate ?? null;
  }

  /** The tasks of a sub-topology, in the order of their partitions. */
  tasks(frame) {
    const mine = this.topology.tasks.filter((task) => task.name.replace(/-\d+$/, '') === frame);
    return mine.sort((one, other) => partition(one) - partition(other));
  }

  /** The task of a sub-topology whose time is held back furthest by another partition, if any is by a second or more. */
  held(frame) {
    const held = this.tasks(frame).filter((task) => task.held_back_ms >= 1000);
    return held.reduce((worst, task) => (worst && worst.held_back_ms >= task.held_back_ms ? worst : task), null);
  }

  /** The partitions of a topic that hold time back, as the findings have it. */
  heldBy(topic) {
    return [...this.holding].filter((subject) => subject?.replace(/-\d+$/, '') === topic);
  }

  dropped(topic) {
    return this.topology.dropped.filter((drop) => drop.topic === topic);
  }
}

function partition(task) {
  return Number(task.name.slice(task.name.lastIndexOf('-') + 1));
}
