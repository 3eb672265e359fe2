// The small pictures beside the names of the views; they say nothing that the name does not.

import { svg } from './dom.js';

const PATHS = {
  overview: 'M2.5 2.5h4.5v4.5h-4.5zM9 2.5h4.5v4.5H9zM2.5 9h4.5v4.5h-4.5zM9 9h4.5v4.5H9z',
  graph: 'M1.5 6h3.5v4H1.5zM11 1.5h3.5v4H11zM11 10.5h3.5v4H11zM5 8h3M11 3.5H8v9h3',
  charts: 'M1.5 14h13M2 11l3.5-4.5 3 2.5L14 2.5',
  state: 'M2.5 4c0-3 11-3 11 0v8c0 3-11 3-11 0zM2.5 4c0 3 11 3 11 0M2.5 8c0 3 11 3 11 0',
  refused: 'M1.5 9.5 4 2.5h8l2.5 7v4h-13zM1.5 9.5h4l1 2h3l1-2h4',
  tasks: 'M2 3.5h2M6.5 3.5h7.5M2 8h2M6.5 8h7.5M2 12.5h2M6.5 12.5h7.5',
  history: 'M8 1.5a6.5 6.5 0 1 0 6.5 6.5M8 4.5V8l3 2M11 2l3.5-.5L14 5',
};

/** The picture of a view. */
export function icon(name) {
  return svg('svg', { viewBox: '0 0 16 16', class: 'icon', 'aria-hidden': 'true' }, svg('path', { d: PATHS[name] }));
}
