// JSON whose numbers keep all their digits: 204.70 and 16765595397502534671 are shown as they were written.

/** A number that JavaScript's own would not give back digit by digit. */
export class Digits {
  constructor(text) {
    this.text = text;
  }

  valueOf() {
    return Number(this.text);
  }

  toString() {
    return this.text;
  }
}

/** Parses JSON. Where a browser does not hand over a number's text (before 2025), numbers are as JavaScript has them. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    const exact = typeof value === 'number' && context?.source !== undefined && context.source !== String(value);
    return exact ? new Digits(context.source) : value;
  });
}

/** JSON of what `parse` gave. */
export function write(value) {
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (isObject(value))
    return `{${Object.entries(value)
      .map(([name, field]) => `${JSON.stringify(name)}:${write(field)}`)
      .join(',')}}`;
  return JSON.stringify(value) ?? 'null';
}

/** A value as a cell shows it: a text without its quotes, nothing for null. */
export function show(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : write(value);
}

/** Whether it has fields. */
export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Digits);
}

const NUMBER = /^-?\d{1,30}(\.\d{1,30})?$/;

/** The number in a value, for a picture; a decimal in a string is one. Else null. */
export function numeric(value) {
  if (typeof value === 'number') return value;
  if (value instanceof Digits) return Number(value.text);
  if (typeof value === 'string' && NUMBER.test(value)) return Number(value);
  return null;
}
