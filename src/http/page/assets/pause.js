// Pausing and resuming a topology, with a question before it.

import { change } from './ask.js';
import { attribute, h, setText } from './dom.js';

const WORDS = {
  pause: {
    button: 'Pause…',
    question: (name) => `Pause ${name}?`,
    confirm: 'Pause it',
    what: 'All its processes commit what they have and then process nothing. They stay in the group, so nothing moves; records wait, and windows stay open. A process that is restarted runs again.',
  },
  resume: {
    button: 'Resume…',
    question: (name) => `Resume ${name}?`,
    confirm: 'Resume it',
    what: 'All its processes go on where they stopped. What has come meanwhile is processed as fast as it goes.',
  },
};

/** States of a process that can be paused. */
const GOES = new Set(['starting', 'restoring', 'running']);

/**
 * Its buttons and their dialog. The second button is there while some processes are paused and others run: a process that
 * was started again has forgotten the pause.
 * @param {string} name of the topology
 * @returns {{buttons: HTMLElement[], dialog: HTMLDialogElement, result: HTMLElement, update(topology: object): void}}
 */
export function pausing(name) {
  const first = h('button', { type: 'button', on: { click: () => question(action) } });
  const again = { click: () => question('pause') };
  const second = h('button', { type: 'button', hidden: true, on: again }, WORDS.pause.button);
  const result = h('div', { class: 'note', role: 'status' });
  const title = h('h2');
  const what = h('p');
  const problem = h('p', { class: 'problem', role: 'alert' });
  const confirm = h('button', { type: 'button', class: 'main' });
  const cancel = h('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel');
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'pause-title' },
    title,
    what,
    problem,
    h('div', { class: 'actions' }, cancel, confirm),
  );
  title.id = 'pause-title';
  let action = 'pause';
  const question = (asked) => {
    const words = WORDS[asked];
    setText(title, words.question(name));
    setText(what, words.what);
    setText(confirm, words.confirm);
    setText(problem, '');
    confirm.value = asked;
    dialog.showModal();
    confirm.focus();
  };
  confirm.addEventListener('click', async () => {
    attribute(confirm, 'disabled', true);
    try {
      const { processes } = await change(`/live/${confirm.value}`, { topology: name });
      dialog.close();
      tell(result, confirm.value, processes);
    } catch (error) {
      setText(problem, error.message);
    }
    attribute(confirm, 'disabled', false);
  });
  return {
    buttons: [first, second],
    dialog,
    result,
    update: ({ state, processes }) => {
      const paused = processes.some((process) => process.state === 'paused');
      const ends = state === 'failed' || state === 'stopped' || state === 'stopping';
      const both = paused && processes.some((process) => GOES.has(process.state));
      action = paused ? 'resume' : 'pause';
      setText(first, WORDS[action].button);
      attribute(first, 'disabled', ends && !paused);
      // Whoever has just used it stays where the buttons are.
      if (!both && document.activeElement === second) first.focus();
      attribute(second, 'hidden', !both);
    },
  };
}

function tell(place, action, processes) {
  const done = processes.filter((process) => !process.error).length;
  const failed = processes.filter((process) => process.error);
  const verb = action === 'pause' ? 'paused' : 'resumed';
  const lines = failed.map((process) =>
    h('p', { class: 'problem' }, `${process.address ?? 'This process'} was not ${verb}: ${process.error}`),
  );
  place.replaceChildren(
    `${done} of ${processes.length} ${processes.length === 1 ? 'process' : 'processes'} ${verb}.`,
    ...lines,
  );
}
