// Ten minutes of a topology's rates, lag and watermark age, kept up from the observations.

const KEPT_MS = 10 * 60 * 1000;
const SERIES = ['in_rate', 'out_rate', 'lag', 'watermark_age_ms'];

/** Adds an observation where a step has passed since the last one, and lets go of what is too old. */
export function track(history, status) {
  for (const topology of status.topologies) {
    const kept = history.get(topology.name) ?? empty(topology.name);
    history.set(topology.name, kept);
    const last = kept.time.at(-1);
    if (last === undefined || status.time - last >= kept.step) add(kept, status.time, summary(topology));
  }
}

function empty(name) {
  return { name, step: 5000, time: [], in_rate: [], out_rate: [], lag: [], watermark_age_ms: [] };
}

function add(kept, time, values) {
  kept.time.push(time);
  for (const name of SERIES) kept[name].push(values[name]);
  let old = 0;
  while (kept.time[old] < time - KEPT_MS) old += 1;
  if (old) for (const name of ['time', ...SERIES]) kept[name].splice(0, old);
}

/**
 * A topology in four numbers: what comes in from its sources, what goes out to topics of others, how many records of the
 * sources and shuffles wait, and how far the slowest source is behind the clock.
 */
export function summary(topology) {
  const of = (...roles) => topology.topics.filter((topic) => roles.includes(topic.role));
  const sum = (topics, field) => topics.reduce((total, topic) => total + (topic[field] ?? 0), 0);
  const ages = topology.tasks.map((task) => task.watermark_age_ms).filter((age) => age !== null && age !== undefined);
  return {
    in_rate: sum(of('source'), 'in_rate'),
    out_rate: sum(of('output'), 'out_rate'),
    lag: sum(of('source', 'repartition'), 'lag'),
    watermark_age_ms: ages.length ? Math.max(...ages) : null,
  };
}
