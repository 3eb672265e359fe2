// Making and updating elements. Whatever comes from topics is set as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element.
 * @param {string} tag
 * @param {Object<string, any>} [props] attributes; `on` has listeners, `text` the text; null, undefined and false are left out
 * @param {...(Node|string|null|undefined|false)} children
 */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === 'text') element.textContent = value;
    else attribute(element, name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets an attribute where it is another one than before; null, undefined and false take it away. */
export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Sets the text where it is another one: what a reader has selected stays selected. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The same, where what stands between backticks is code. */
export function setProse(element, text) {
  const parts = text.split('`');
  if (element.textContent === parts.join('')) return;
  element.replaceChildren(...parts.map((part, place) => (place % 2 === 0 ? part : h('code', { text: part }))));
}

/**
 * Makes the children of `parent` those of `items`: kept by key, so that focus, scrolling and open details stay.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => Element} make
 * @param {(element: Element, item: T) => void} update
 */
export function keyed(parent, items, key, make, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let child = before.get(name);
    before.delete(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  for (const left of before.values()) left.remove();
}

/**
 * A row of a table whose cells are texts; `update` gives them anew.
 * @param {HTMLTableRowElement} row
 * @param {(string|Node|{text: string, title?: string, class?: string})[]} cells
 */
export function setCells(row, cells) {
  while (row.cells.length < cells.length) row.insertCell();
  while (row.cells.length > cells.length) row.deleteCell(-1);
  cells.forEach((cell, index) => setCell(row.cells[index], cell));
}

function setCell(place, cell) {
  if (cell instanceof Node) {
    if (place.firstChild !== cell) place.replaceChildren(cell);
  } else if (typeof cell === 'string') setText(place, cell);
  else {
    setText(place, cell.text);
    attribute(place, 'title', cell.title);
    attribute(place, 'class', cell.class);
  }
}

/**
 * A table with a caption for those who do not see it, in a box that scrolls by itself where it is too wide.
 * @param {string} caption
 * @param {(string|{text: string, class?: string})[]} columns a class `n` is for numbers
 */
export function table(caption, columns) {
  const heads = columns.map((column) => {
    const { text, class: name } = typeof column === 'string' ? { text: column } : column;
    return h('th', { scope: 'col', class: name }, text);
  });
  const body = h('tbody');
  const element = h(
    'table',
    {},
    h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, ...heads)),
    body,
  );
  const box = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, element);
  return { box, body, element };
}

let fields = 0;

/** A control with its name above it. */
export function field(label, control) {
  fields += 1;
  control.id = `field-${fields}`;
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
}
