// The contrast of each text with what it stands on, as WCAG counts it. Runs in the page.

/** @returns {{text: string, ratio: number, colour: string, on: string}[]} the texts whose contrast is too small */
export function faintTexts() {
  const parse = (colour) => {
    const numbers = colour.match(/-?[\d.]+(e-?\d+)?/g).map(Number);
    if (colour.startsWith('color('))
      return { rgb: numbers.slice(0, 3).map((part) => part * 255), alpha: numbers[3] ?? 1 };
    return { rgb: numbers.slice(0, 3), alpha: numbers[3] ?? 1 };
  };
  const light = ({ rgb }) => {
    const [r, g, b] = rgb.map((part) =>
      part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) =>
    (Math.max(light(one), light(other)) + 0.05) / (Math.min(light(one), light(other)) + 0.05);
  const shape = (text) => {
    for (let group = text.closest('g'); group && group.closest('svg'); group = group.parentElement?.closest('g')) {
      const drawn = [...group.children].find(
        (child) =>
          ['rect', 'path', 'circle'].includes(child.tagName) &&
          !['none', 'rgba(0, 0, 0, 0)', 'transparent'].includes(getComputedStyle(child).fill),
      );
      if (drawn) return parse(getComputedStyle(drawn).fill);
    }
    return null;
  };
  const ground = (element) => {
    // The texts of charts stand beside what is drawn, not on it.
    const inside =
      !element.closest('.js-plotly-plot') && element instanceof SVGElement && element.tagName === 'text'
        ? shape(element)
        : null;
    if (inside) return inside;
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.alpha > 0.99) return colour;
    }
    return { rgb: [255, 255, 255], alpha: 1 };
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (
      !text ||
      ['SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION', 'title'].includes(element.tagName) ||
      !element.checkVisibility({ visibilityProperty: true })
    )
      continue;
    const style = getComputedStyle(element);
    if (element.closest('button:disabled')) continue;
    const colour = parse(element instanceof SVGElement ? style.fill : style.color);
    const large =
      parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    const on = ground(element);
    const contrast = ratio(colour, on);
    if (contrast < (large ? 3 : 4.5))
      faint.push({
        text: text.slice(0, 40),
        ratio: Number(contrast.toFixed(2)),
        colour: String(colour.rgb),
        on: String(on.rgb),
      });
  }
  return faint;
}
