// The address that a query of a store is asked at.

/**
 * @typedef {{key: string, from: string, to: string, limit: string}} Query what stands in the fields
 * @param {string} topology
 * @param {string} store
 * @param {Query} query
 * @param {string|null} cursor where an answer before went on
 */
export function address(topology, store, { key, from, to, limit }, cursor = null) {
  const path = ['state', topology, store, ...(key === '' ? [] : [key])].map(encodeURIComponent).join('/');
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries({ from, to, limit: key === '' ? limit : '', cursor: cursor ?? '' })) {
    if (value !== '') parameters.set(name, value);
  }
  const question = parameters.toString();
  return `/${path}${question ? `?${question}` : ''}`;
}

/**
 * The rows of any answer, and as of which commits they are.
 * @returns {{rows: object[], next: string|null, cut: string|null, commits: string}}
 */
export function answered(answer) {
  const rows = answer.rows ?? answer.windows ?? [answer];
  return { rows, next: answer.next ?? null, cut: answer.cut ?? null, commits: commits(answer) };
}

function commits(answer) {
  if (answer.commits) {
    const each = answer.commits.map(
      ({ partition, first, last }) => `${partition}: ${first === last ? first : `${first} to ${last}`}`,
    );
    return each.length ? `As of the commits of partitions ${each.join(', ')}.` : '';
  }
  return answer.commit === undefined ? '' : `As of commit ${answer.commit} of partition ${answer.partition}.`;
}
