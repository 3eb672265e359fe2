// What is stuck and why, as a list, the worst first.

import { h, keyed, setProse, setText } from './dom.js';
import { clock, span } from './format.js';
import { href } from './router.js';

const ORDER = ['error', 'warning', 'info'];

/** All findings of these topologies, each with its topology's name; the worst first, of equals the oldest. */
export function findingsOf(topologies) {
  const all = topologies.flatMap((topology) =>
    topology.findings.map((finding) => ({ ...finding, topology: topology.name })),
  );
  return all.sort((one, other) => rank(one) - rank(other) || one.since - other.since);
}

function rank(finding) {
  return ORDER.indexOf(finding.severity);
}

/** What is worth a look although everything goes on. */
const GOES_ON = new Set(['dropping', 'late', 'silent', 'no_tasks']);

/** Whether it means that something does not go on. */
export function isStuck(finding) {
  return finding.severity === 'error' || (finding.severity === 'warning' && !GOES_ON.has(finding.kind));
}

/** Shows them in a list. `named` says of which topology each is. */
export function showFindings(list, findings, now, named = true) {
  const key = (finding) => `${finding.topology} ${finding.kind} ${finding.subject ?? ''}`;
  keyed(
    list,
    findings,
    key,
    (finding) => item(finding, named),
    (element, finding) => say(element, finding, now),
  );
}

function item(finding, named) {
  const where =
    named && h('span', { class: 'where' }, 'in ', h('a', { href: href('graph', finding.topology) }, finding.topology));
  return h(
    'li',
    { class: 'finding', 'data-kind': finding.kind },
    h('span', { class: 'severity' }),
    h('p', {}, h('span', { class: 'what' }), where, h('span', { class: 'where since' })),
    h('p', { class: 'why' }),
    h('p', { class: 'remedy' }),
  );
}

function say(element, finding, now) {
  element.dataset.severity = finding.severity;
  const put = (name, text) => setText(element.querySelector(name), text);
  put('.severity', finding.severity);
  put('.since', `since ${clock(finding.since)}, ${span(Math.max(0, now - finding.since))}`);
  for (const part of ['what', 'why', 'remedy']) setProse(element.querySelector(`.${part}`), finding[part]);
}
