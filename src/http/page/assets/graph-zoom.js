// How large the graph is shown: the box around it scrolls, and can be dragged.

import { h } from './dom.js';

const LEAST = 0.3;
const MOST = 2;
const READABLE = 0.66;

/**
 * Makes `picture` zoom in `box`. It begins at the size that shows all of it, but never smaller than can be read.
 * @returns {{tools: HTMLElement, show(picture: SVGElement, size: {width: number, height: number}): void}}
 */
export function zooming(box) {
  let shown = null;
  let scale = 1;
  const set = (next) => {
    if (!shown) return;
    scale = Math.min(MOST, Math.max(LEAST, next));
    shown.picture.setAttribute('width', Math.round(shown.size.width * scale));
    shown.picture.setAttribute('height', Math.round(shown.size.height * scale));
  };
  const button = (text, label, act) =>
    h('button', { type: 'button', 'aria-label': label, title: label, on: { click: act } }, text);
  const tools = h(
    'div',
    { class: 'zoom', role: 'group', 'aria-label': 'Size of the graph' },
    button('−', 'Smaller', () => set(scale / 1.2)),
    button('+', 'Larger', () => set(scale * 1.2)),
    button('Fit', 'Show all of it', () => set(fitting(box, shown.size))),
  );
  box.addEventListener(
    'wheel',
    (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      set(scale * Math.exp(-event.deltaY / 300));
    },
    { passive: false },
  );
  dragging(box);
  return {
    tools,
    show(picture, size) {
      shown = { picture, size };
      box.replaceChildren(picture);
      set(Math.max(READABLE, Math.min(1, fitting(box, size))));
    },
  };
}

/** The scale at which all of the width is seen. */
export function fitting(box, size) {
  return (box.clientWidth - 8) / size.width;
}

/** Moves what is seen with the mouse; fingers scroll by themselves. */
function dragging(box) {
  let from = null;
  box.addEventListener('pointerdown', (event) => {
    if (event.pointerType !== 'mouse' || event.button !== 0) return;
    from = { x: event.clientX + box.scrollLeft, y: event.clientY + box.scrollTop };
  });
  box.addEventListener('pointermove', (event) => {
    if (!from || !(event.buttons & 1)) return;
    box.classList.add('drags');
    box.scrollLeft = from.x - event.clientX;
    box.scrollTop = from.y - event.clientY;
  });
  for (const end of ['pointerup', 'pointerleave']) {
    box.addEventListener(end, () => {
      from = null;
      box.classList.remove('drags');
    });
  }
}
