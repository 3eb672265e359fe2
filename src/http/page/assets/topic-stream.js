// The records of a topic as they come, by server-sent events.

import { parse } from './json.js';

/**
 * Follows a topic.
 * @param {string} topic
 * @param {{records(batch: {snapshot: boolean, skipped: number, records: object[]}): void, problem(sentence: string): void}} to
 * @returns {() => void} ends it
 */
export function follow(topic, to) {
  let source = null;
  const open = () => {
    close();
    source = new EventSource(`/live/events/topic/${encodeURIComponent(topic)}`);
    source.addEventListener('records', (event) => {
      to.problem('');
      to.records(parse(event.data));
    });
    source.addEventListener('problem', (event) => to.problem(JSON.parse(event.data).error));
    source.addEventListener('error', () =>
      to.problem(
        source?.readyState === EventSource.CLOSED
          ? `The process does not give the records of ${topic}.`
          : 'The stream of records was lost. Trying again…',
      ),
    );
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const seen = () => (document.hidden ? close() : open());
  document.addEventListener('visibilitychange', seen);
  open();
  return () => {
    document.removeEventListener('visibilitychange', seen);
    close();
  };
}
