// Processes, threads and tasks: who does what, how far it is, and what it waits for.

import { attribute, h, keyed, setCells, table } from './dom.js';
import { showFindings, findingsOf } from './findings.js';
import { behind, count, instant, si, span } from './format.js';
import { pausing } from './pause.js';

/** @type {import('./main.js').View} */
export const tasks = { name: 'tasks', title: 'Tasks', open };

const n = (text) => ({ text, class: 'n' });
const HERE = 'this process';

function open(root, live, name) {
  const chip = h('span', { class: 'state' });
  const pause = pausing(name);
  const findings = h('ul', { class: 'findings' });
  const processes = table('Processes', [
    'Process',
    'State',
    n('Threads'),
    'Busy',
    n('Tasks'),
    n('Rebalances'),
    'Up for',
    'Problem',
  ]);
  const list = table('Tasks by process and thread', [
    'Task',
    'State',
    n('Lag'),
    'Watermark (UTC)',
    'Age',
    'Held by',
    'Restore',
  ]);
  root.append(
    h('div', { class: 'tools' }, chip, ...pause.buttons, pause.result),
    findings,
    h('section', { class: 'panel' }, h('h2', {}, 'Processes'), processes.box),
    h('section', { class: 'panel' }, h('h2', {}, 'Tasks by process and thread'), list.box),
    pause.dialog,
  );
  const restores = new Map();
  return {
    update() {
      const topology = live.topology(name);
      if (!topology) return;
      attribute(chip, 'data-state', topology.state);
      chip.textContent = topology.state;
      pause.update(topology);
      showFindings(findings, findingsOf([topology]), live.status.time, false);
      showProcesses(processes.body, topology);
      showTasks(list.body, topology, restores);
    },
  };
}

function nameOf(process) {
  return process.here
    ? `${process.address ?? ''} ${process.address ? '(here)' : HERE}`.trim()
    : (process.address ?? 'no address');
}

function showProcesses(body, topology) {
  const make = () => {
    const meter = bar('Busy share');
    const row = h('tr');
    row.meter = meter;
    return row;
  };
  keyed(
    body,
    topology.processes,
    (process) => `${process.address} ${process.here}`,
    make,
    (row, process) => {
      const mine = topology.tasks.filter((task) => task.process === process.address).length;
      row.meter.set(process.busy, process.busy === null ? '–' : `${Math.round(process.busy * 100)} %`);
      setCells(row, [
        nameOf(process),
        stateChip(row, process.error ? 'unreachable' : process.state),
        n(process.error ? '–' : String(process.threads)),
        row.meter.element,
        n(process.error ? '–' : String(mine)),
        n(process.error ? '–' : count(process.rebalances)),
        process.error ? '–' : span(process.uptime_ms),
        { text: process.error ?? '', class: 'wrap' },
      ]);
    },
  );
}

/** The state as a coloured text, one element a row. */
function stateChip(row, state) {
  row.chip ??= h('span', { class: 'state' });
  attribute(row.chip, 'data-state', state);
  row.chip.textContent = state;
  return row.chip;
}

/** A share of a whole as a bar with its text. */
function bar(label) {
  const filled = h('span');
  const text = h('span', { class: 'of' });
  const box = h(
    'span',
    { class: 'bar', role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100 },
    filled,
  );
  const element = h('span', {}, box, text);
  return {
    element,
    set(share, words) {
      const percent = Math.round(Math.min(1, Math.max(0, share ?? 0)) * 100);
      attribute(box, 'hidden', share === null || share === undefined);
      attribute(box, 'aria-valuenow', percent);
      attribute(filled, 'style', `width:${percent}%`);
      if (text.textContent !== words) text.textContent = words;
    },
  };
}

/** Tasks below a line for each thread of each process. */
function showTasks(body, topology, restores) {
  const order = (one, other) =>
    String(one.process).localeCompare(String(other.process)) ||
    one.thread - other.thread ||
    one.name.localeCompare(other.name, 'en', { numeric: true });
  const rows = [];
  for (const task of [...topology.tasks].sort(order)) {
    const place = `${task.process ?? HERE}, thread ${task.thread}`;
    if (rows.at(-1)?.place !== place) rows.push({ place, head: place });
    rows.push({ place, task });
  }
  const key = (row) => (row.head ? `head ${row.head}` : `${row.place} ${row.task.name}`);
  const make = (row) => (row.head ? h('tr', {}, h('td', { class: 'group', colspan: 7 }, row.head)) : taskRow());
  keyed(body, rows, key, make, (element, row) => row.task && fillTask(element, row.task, restores, topology));
}

function taskRow() {
  const row = h('tr');
  row.meter = bar('Restored');
  return row;
}

function fillTask(row, task, restores, topology) {
  const held = task.held_by && task.held_back_ms >= 1000;
  const blamed = topology.findings.some(
    (finding) => finding.kind === 'watermark_held' && finding.subject === task.held_by,
  );
  restore(row.meter, task, restores);
  setCells(row, [
    task.name,
    stateChip(row, task.state),
    n(si(task.lag)),
    { text: instant(task.watermark), class: task.watermark === null ? 'muted' : null },
    task.watermark_age_ms === null ? '' : behind(task.watermark_age_ms),
    {
      text: held
        ? `${task.held_by}, ${span(task.held_back_ms)} behind`
        : task.held_by === null && task.watermark !== null
          ? 'all is idle'
          : '',
      class: blamed && held ? 'warn' : 'muted',
    },
    row.meter.element,
  ]);
}

/** How much of a restore is done: the most that was seen to be left is the whole of it. */
function restore(meter, task, restores) {
  const left = task.restore_remaining;
  if (!left) {
    restores.delete(task.name);
    meter.set(null, '');
    return;
  }
  const whole = Math.max(left, restores.get(task.name) ?? 0);
  restores.set(task.name, whole);
  meter.set(1 - left / whole, `${si(left)} left`);
}
