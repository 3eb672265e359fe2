// Where everything of a graph stands: the inside of each sub-topology first, then the sub-topologies among the topics.

import { layered } from './graph-layers.js';

export const ROW = 26;
export const STORE = { height: 34, gap: 8 };
const HEADER = 30;
/** Downwards, lines pass beside the title: less room is enough. */
const HEADER_DOWN = 10;
const PAD = 14;
const INSIDE = { along: 30, across: 16 };
const PORT = 12;

/**
 * @param {import('./graph-model.js').Model} model
 * @param {(item: object) => {width: number, height: number}} measure the size of a topic or a stack
 * @param {boolean} down whether it flows downwards instead of to the right
 * @returns {{width: number, height: number, frames: object[], items: object[], edges: object[]}} in pixels
 */
export function layout(model, measure, down) {
  const turn = turned(down);
  const frames = model.frames
    .filter((frame) => frame.stacks.length)
    .map((frame) => inside(frame, model, measure, turn));
  const topics = [...model.topics.values()].map((topic) => ({ id: topic.id, topic, ...turn.box(measure(topic)) }));
  const lines = outerLines(model, frames);
  const gap = down ? { along: 44, across: 26 } : { along: 62, across: 22 };
  const plan = layered([...topics, ...frames], lines, gap);
  const placed = gather(plan, lines, topics, frames, turn);
  for (const edge of placed.edges) edge.topic = model.topics.get(edge.topic) ?? null;
  return placed;
}

/** Between along and across on one side, x and y on the other. */
function turned(down) {
  return {
    down,
    box: ({ width, height }) => (down ? { along: height, across: width } : { along: width, across: height }),
    point: ({ along, across }) => (down ? { x: across, y: along } : { x: along, y: across }),
    rect: (place, box) => {
      const top = place.across - box.across / 2;
      return down
        ? { x: top, y: place.along, width: box.across, height: box.along }
        : { x: place.along, y: top, width: box.along, height: box.across };
    },
  };
}

/** A sub-topology with its stacks, and ports at its border where topics come in and go out. */
function inside(frame, model, measure, turn) {
  const stacks = frame.stacks.map((stack) => {
    const size = measure(stack);
    return { id: stack.id, stack, middle: size.middle ?? 0, short: size.short ?? 0, ...turn.box(size) };
  });
  const touch = new Map(stacks.map((stack) => [stack.id, stack]));
  const mine = model.outer.filter((edge) => edge.frame === frame);
  const ports = new Map();
  const lines = frame.inner.map((edge) => ({ ...edge }));
  for (const edge of mine) {
    const incoming = edge.from.startsWith('topic ');
    const id = incoming ? `in ${edge.from}` : `out ${edge.to}`;
    ports.set(id, {
      id,
      along: 0,
      across: PORT,
      pin: incoming ? 'first' : 'last',
      topic: incoming ? edge.from : edge.to,
      incoming,
    });
    lines.push(incoming ? { from: id, to: edge.to, arrow: true } : { from: edge.from, to: id, arrow: false });
  }
  for (const line of lines)
    Object.assign(line, { leaves: touch.get(line.from)?.middle, enters: touch.get(line.to)?.middle });
  const plan = layered([...stacks, ...ports.values()], lines, INSIDE);
  for (const [index, line] of lines.entries()) plan.paths[index][0].along -= touch.get(line.from)?.short ?? 0;
  const title = measure(frame).width;
  const size = turn.down
    ? { along: plan.along + HEADER_DOWN, across: Math.max(plan.across + 2 * PAD, title) }
    : { along: Math.max(plan.along, title), across: plan.across + HEADER + PAD };
  const corner = turn.down
    ? { along: HEADER_DOWN, across: (size.across - plan.across) / 2 }
    : { along: (size.along - plan.along) / 2, across: HEADER };
  return { id: `frame ${frame.name}`, frame, stacks, ports, lines, plan, corner, ...size };
}

function outerLines(model, frames) {
  const lines = new Map();
  const frameOf = new Map(frames.map((box) => [box.frame, box]));
  for (const { from, to, frame } of model.outer) {
    const box = frameOf.get(frame);
    const incoming = from.startsWith('topic ');
    const line = !box
      ? { from, to }
      : incoming
        ? { from, to: box.id, port: box.ports.get(`in ${from}`) }
        : { from: box.id, to, port: box.ports.get(`out ${to}`) };
    if (line.port) line[incoming ? 'enters' : 'leaves'] = offset(box, line.port);
    lines.set(`${line.from} ${line.to}`, line);
  }
  return [...lines.values()];
}

/** Where a line touches a frame, from the frame's middle. */
function offset(box, port) {
  return box.corner.across + box.plan.places.get(port.id).across - box.across / 2;
}

function gather(plan, lines, topics, frames, turn) {
  const edges = lines.map((line, index) => ({
    topic: topicOf(line),
    outer: true,
    arrow: line.to.startsWith('topic '),
    points: plan.paths[index].map(turn.point),
  }));
  const items = topics.map((box) => ({ item: box.topic, rect: turn.rect(plan.places.get(box.id), box) }));
  const framed = frames.map((box) => {
    const place = plan.places.get(box.id);
    const origin = {
      along: place.along + box.corner.along,
      across: place.across - box.across / 2 + box.corner.across,
    };
    const moved = (at) => ({ along: at.along + origin.along, across: at.across + origin.across });
    items.push(
      ...box.stacks.map((one) => ({
        item: one.stack,
        frame: box.frame,
        rect: turn.rect(moved(box.plan.places.get(one.id)), one),
      })),
    );
    edges.push(
      ...box.lines.map((line, index) =>
        innerEdge(line, box, reach(line, box, place, box.plan.paths[index].map(moved)).map(turn.point)),
      ),
    );
    return { frame: box.frame, rect: turn.rect(place, box) };
  });
  const size = turn.down ? { width: plan.across, height: plan.along } : { width: plan.along, height: plan.across };
  return { ...size, down: turn.down, frames: framed, items, edges };
}

function topicOf(line) {
  return line.from.startsWith('topic ') ? line.from : line.to;
}

/** Lets a line begin or end at the frame's border, where its port is. */
function reach(line, box, place, points) {
  const [first, last] = [points[0], points.at(-1)];
  if (box.ports.has(line.from)) points[0] = { ...first, along: place.along };
  if (box.ports.has(line.to)) points[points.length - 1] = { ...last, along: place.along + box.along };
  return points;
}

function innerEdge(line, box, points) {
  const port = box.ports.get(line.from) ?? box.ports.get(line.to);
  return { topic: port?.topic ?? null, to: line.to, outer: false, arrow: line.arrow ?? true, points };
}
