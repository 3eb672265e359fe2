// A layered layout: longest path layers, ordered by barycentres, set side by side as near to their neighbours as they can
// be. It knows two directions only: along the flow, and across it.

const SWEEPS = 10;
const LANE = 10;

/**
 * @typedef {{id: string, along: number, across: number, pin?: 'first'|'last'}} Box the sizes of what is placed
 * @typedef {{from: string, to: string, leaves?: number, enters?: number}} Line where it touches, from a box's middle across
 * @param {Box[]} boxes
 * @param {Line[]} lines without circles
 * @param {{along: number, across: number}} gap
 * @returns {{places: Map<string, {along: number, across: number}>, paths: {along: number, across: number}[][], along: number, across: number}}
 *   the middle across and the beginning along of each box; the points of each line, in the order of `lines`
 */
export function layered(boxes, lines, gap) {
  const depth = depths(boxes, lines);
  const { cells, chains } = split(boxes, lines, depth);
  const layers = group(cells);
  order(layers);
  settle(layers, gap.across);
  const along = stretch(layers, gap.along);
  const across = shift(cells);
  const places = new Map(boxes.map((box) => [box.id, place(cells.get(box.id), along)]));
  return { places, paths: chains.map((chain) => points(chain, cells, along)), along: along.total, across };
}

/** The layer of each box: one past the last of those before it; what only begins stands right before what it goes to. */
function depths(boxes, lines) {
  const depth = new Map(boxes.map((box) => [box.id, 0]));
  for (let round = 0, moved = true; moved && round <= boxes.length; round += 1) {
    moved = false;
    for (const { from, to } of lines) {
      if (depth.get(to) > depth.get(from)) continue;
      depth.set(to, depth.get(from) + 1);
      moved = true;
    }
  }
  const last = Math.max(0, ...depth.values());
  for (const box of boxes) {
    const after = lines.filter((line) => line.from === box.id).map((line) => depth.get(line.to));
    const begins = !lines.some((line) => line.to === box.id);
    if (box.pin === 'last') depth.set(box.id, last);
    else if (begins && !box.pin && after.length) depth.set(box.id, Math.min(...after) - 1);
  }
  return depth;
}

/** Puts a lane into each layer that a line passes, so that it goes around boxes. */
function split(boxes, lines, depth) {
  const cells = new Map(boxes.map((box) => [box.id, { ...box, layer: depth.get(box.id), before: [], after: [] }]));
  const chains = lines.map((line, index) => {
    const chain = [line.from];
    for (let layer = depth.get(line.from) + 1; layer < depth.get(line.to); layer += 1) {
      const id = `lane ${index} ${layer}`;
      cells.set(id, { id, along: 0, across: LANE, lane: true, layer, before: [], after: [] });
      chain.push(id);
    }
    chain.push(line.to);
    link(chain, line, cells);
    return { ids: chain, line };
  });
  return { cells, chains };
}

function link(chain, line, cells) {
  for (let index = 1; index < chain.length; index += 1) {
    const [from, to] = [cells.get(chain[index - 1]), cells.get(chain[index])];
    const leaves = index === 1 ? (line.leaves ?? 0) : 0;
    const enters = index === chain.length - 1 ? (line.enters ?? 0) : 0;
    const weight = from.lane && to.lane ? 4 : from.lane || to.lane ? 2 : 1;
    from.after.push({ cell: to, mine: leaves, theirs: enters, weight });
    to.before.push({ cell: from, mine: enters, theirs: leaves, weight });
  }
}

function group(cells) {
  const layers = [];
  for (const cell of cells.values()) (layers[cell.layer] ??= []).push(cell);
  const kept = layers.filter(Boolean);
  kept.forEach((layer, index) => layer.forEach((cell, rank) => Object.assign(cell, { layer: index, rank })));
  return kept;
}

/** Orders each layer by the middle of its neighbours, to and fro, and keeps the order with the fewest crossings. */
function order(layers) {
  let best = null;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 ? 'after' : 'before';
    const sequence = sweep % 2 ? [...layers].reverse() : layers;
    for (const layer of sequence) {
      for (const cell of layer) cell.wish = middle(cell[side], cell.rank);
      layer.sort((one, other) => one.wish - other.wish || one.rank - other.rank);
      layer.forEach((cell, rank) => (cell.rank = rank));
    }
    const crossed = layers.reduce((sum, layer) => sum + crossings(layer), 0);
    if (!best || crossed < best.crossed)
      best = { crossed, ranks: new Map(layers.flat().map((cell) => [cell, cell.rank])) };
  }
  for (const layer of layers) {
    layer.forEach((cell) => (cell.rank = best.ranks.get(cell)));
    layer.sort((one, other) => one.rank - other.rank);
  }
}

function middle(neighbours, fallback) {
  if (!neighbours.length) return fallback;
  // Where a box is touched decides between lines of the same box.
  return neighbours.reduce((sum, { cell, theirs }) => sum + cell.rank + theirs / 10_000, 0) / neighbours.length;
}

function crossings(layer) {
  const lines = layer.flatMap((cell) =>
    cell.after.map(({ cell: to, mine, theirs }) => [cell.rank + mine / 10_000, to.rank + theirs / 10_000]),
  );
  let crossed = 0;
  for (let one = 0; one < lines.length; one += 1) {
    for (let other = one + 1; other < lines.length; other += 1) {
      if ((lines[one][0] - lines[other][0]) * (lines[one][1] - lines[other][1]) < 0) crossed += 1;
    }
  }
  return crossed;
}

/** Moves the boxes across, towards those that they are connected with. */
function settle(layers, gap) {
  for (const layer of layers) {
    let end = 0;
    for (const cell of layer) {
      cell.at = end + cell.across / 2;
      end += cell.across + gap;
    }
  }
  for (let sweep = 0; sweep < SWEEPS * 2; sweep += 1) {
    const side = sweep % 2 ? 'after' : 'before';
    const sequence = sweep % 2 ? [...layers].reverse() : layers;
    for (const layer of sequence)
      apart(
        layer,
        layer.map((cell) => wished(cell, sweep > SWEEPS ? null : side)),
        gap,
      );
  }
}

function wished(cell, side) {
  const neighbours = side ? cell[side] : [...cell.before, ...cell.after];
  const weight = neighbours.reduce((sum, neighbour) => sum + neighbour.weight, 0);
  if (!weight) return cell.at;
  return (
    neighbours.reduce((sum, { cell: other, mine, theirs, weight: one }) => sum + one * (other.at + theirs - mine), 0) /
    weight
  );
}

/** The places nearest to those wished for at which nothing overlaps: neighbours that push each other move as one block. */
function apart(layer, wishes, gap) {
  const blocks = [];
  let offset = 0;
  layer.forEach((cell, index) => {
    if (index) offset += (layer[index - 1].across + cell.across) / 2 + gap;
    cell.offset = offset;
    let block = { sum: wishes[index] - offset, cells: [cell] };
    while (blocks.length && mean(blocks.at(-1)) > mean(block)) {
      const before = blocks.pop();
      block = { sum: before.sum + block.sum, cells: [...before.cells, ...block.cells] };
    }
    blocks.push(block);
  });
  for (const block of blocks) for (const cell of block.cells) cell.at = mean(block) + cell.offset;
}

function mean(block) {
  return block.sum / block.cells.length;
}

/** Where each layer begins and ends along the flow. */
function stretch(layers, gap) {
  let end = 0;
  const bounds = layers.map((layer) => {
    const begin = end;
    const size = Math.max(...layer.map((cell) => cell.along));
    end = begin + size + gap;
    return { begin, end: begin + size };
  });
  return { bounds, total: Math.max(0, end - gap) };
}

function shift(cells) {
  const all = [...cells.values()];
  const least = Math.min(...all.map((cell) => cell.at - cell.across / 2));
  for (const cell of all) cell.at -= least;
  return Math.max(...all.map((cell) => cell.at + cell.across / 2));
}

function place(cell, { bounds }) {
  const { begin, end } = bounds[cell.layer];
  return { along: begin + (end - begin - cell.along) / 2, across: cell.at };
}

function points({ ids, line }, cells, along) {
  const result = [];
  ids.forEach((id, index) => {
    const cell = cells.get(id);
    const { begin, end } = along.bounds[cell.layer];
    const at = place(cell, along);
    if (index === 0) result.push({ along: at.along + cell.along, across: cell.at + (line.leaves ?? 0) });
    else if (index === ids.length - 1) result.push({ along: at.along, across: cell.at + (line.enters ?? 0) });
    else result.push({ along: begin, across: cell.at }, { along: end, across: cell.at });
  });
  return result;
}
