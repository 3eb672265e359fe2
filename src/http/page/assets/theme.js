// Light, dark, or what the system prefers; the choice is remembered.

import { h } from './dom.js';

const KEY = 'millstream-theme';
const CHOICES = [
  ['auto', 'Auto', 'Colours as the system prefers'],
  ['light', 'Light', 'Light colours'],
  ['dark', 'Dark', 'Dark colours'],
];
const dark = matchMedia('(prefers-color-scheme: dark)');

/** Tells when the colours have changed: charts are drawn with colours of their own. */
export const themeChanges = new EventTarget();

/** The value of a custom property, such as `--text`, as it is now. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The colours of a chart's series, in their order. */
export function seriesColours() {
  return Array.from({ length: 12 }, (_, index) => colour(`--series-${index + 1}`));
}

function chosen() {
  return document.documentElement.dataset.theme ?? 'auto';
}

function choose(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Not remembered, then.
  }
  announce();
}

function announce() {
  for (const button of document.querySelectorAll('#theme button[value]:not([value=""])')) {
    button.setAttribute('aria-pressed', String(button.value === chosen()));
  }
  themeChanges.dispatchEvent(new Event('change'));
}

/** Fills the switch of colours. */
export function startTheme(place) {
  for (const [value, name, label] of CHOICES) {
    place.append(h('button', { type: 'button', value, title: label, on: { click: () => choose(value) } }, name));
  }
  dark.addEventListener('change', announce);
  announce();
}
