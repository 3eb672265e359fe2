// Addresses of views: #/VIEW/TOPOLOGY/WHAT, each part percent-encoded.

/** @returns {{view: string, args: string[]}} */
export function here() {
  const [view, ...args] = location.hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(decode);
  return { view: view ?? 'overview', args };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view. */
export function href(view, ...args) {
  return `#/${[view, ...args.filter((arg) => arg !== undefined && arg !== null)].map(encodeURIComponent).join('/')}`;
}

/** Goes to a view; `quietly` without a step to go back to. */
export function go(address, quietly = false) {
  if (quietly) location.replace(address);
  else location.hash = address;
}
