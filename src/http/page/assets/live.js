// What the process says of itself: once a second by server-sent events, while somebody looks.

import { ask } from './ask.js';
import { track } from './history.js';

const SILENCE_MS = 4000;
const AGAIN_MS = 2000;

/**
 * The observation and its history. Events: `status` with each observation, `connection` when it is lost or back.
 */
export class Live extends EventTarget {
  /** The newest observation, as `/live/status` gives it. */
  status = null;
  /** By topology: the series of the last ten minutes. */
  history = new Map();
  /** Wall clock of this browser when something came last. */
  heardAt = null;
  connected = false;
  #source = null;
  #graphs = null;
  #topics = null;

  start() {
    this.#open();
    setInterval(() => this.#watch(), 1000);
    // A browser has six connections to a process: a tab that nobody sees leaves its own to others.
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#close() : this.#open()));
  }

  /** @returns {object|undefined} what is known of a topology */
  topology(name) {
    return this.status?.topologies.find((topology) => topology.name === name);
  }

  /** The graphs of all topologies; they do not change while a process runs. */
  graphs() {
    this.#graphs ??= kept(ask('/topology?format=json'), () => (this.#graphs = null));
    return this.#graphs;
  }

  /** The topics that can be watched. */
  topics() {
    this.#topics ??= kept(ask('/live/topics'), () => (this.#topics = null));
    return this.#topics;
  }

  #open() {
    this.#close();
    const source = new EventSource('/live/events');
    this.#source = source;
    source.addEventListener('history', (event) => this.#past(JSON.parse(event.data)));
    source.addEventListener('status', (event) => this.#now(JSON.parse(event.data)));
    source.addEventListener('error', () => this.#lost());
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }

  #past({ step_ms: step, topologies }) {
    this.history = new Map(topologies.map((topology) => [topology.name, { step, ...topology }]));
  }

  #now(status) {
    this.status = status;
    this.heardAt = Date.now();
    track(this.history, status);
    this.#connection(true);
    this.dispatchEvent(new Event('status'));
  }

  #lost() {
    this.#connection(false);
    // The browser tries again by itself, unless the answer was no stream: then it is up to us, or a login is needed.
    if (this.#source?.readyState !== EventSource.CLOSED) return;
    this.#close();
    ask('/live/status').catch(() => {});
    setTimeout(() => !this.#source && !document.hidden && this.#open(), AGAIN_MS);
  }

  #watch() {
    if (document.hidden || this.heardAt === null) return;
    if (Date.now() - this.heardAt > SILENCE_MS) this.#connection(false);
  }

  #connection(connected) {
    // Whoever was restarted may be another program: its graph is asked for anew.
    if (connected && !this.connected) this.#graphs = this.#topics = null;
    const changed = this.connected !== connected;
    this.connected = connected;
    if (changed || !connected) this.dispatchEvent(new Event('connection'));
  }
}

/** A promise that is forgotten where it fails, so that the next one who asks tries again. */
function kept(promise, forget) {
  promise.catch(forget);
  return promise;
}
