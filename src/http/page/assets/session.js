// A button to log out, where a login was needed.

import { ask, change } from './ask.js';
import { h } from './dom.js';

/** Puts the button into `place` if this browser has a session. */
export async function startSession(place) {
  const { session } = await ask('/session').catch(() => ({ session: false }));
  if (!session) return;
  const leave = () => change('/logout', {}, () => null).finally(() => location.assign('/login'));
  place.append(h('button', { type: 'button', class: 'logout', on: { click: leave } }, 'Log out'));
}
