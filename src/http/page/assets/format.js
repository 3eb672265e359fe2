// Numbers, rates, ages and times as people read them.

const PREFIXES = ['', ' k', ' M', ' G', ' T'];

/** A number in three digits or so with an SI prefix: 12.5, 830, 1.2 k. What is not known is a dash. */
export function si(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  let scaled = Math.abs(value);
  let prefix = 0;
  while (scaled >= 999.5 && prefix < PREFIXES.length - 1) {
    scaled /= 1000;
    prefix += 1;
  }
  const digits = scaled >= 99.95 || (prefix === 0 && Number.isInteger(value)) ? 0 : 1;
  return `${value < 0 ? '−' : ''}${scaled.toFixed(digits)}${PREFIXES[prefix]}`;
}

/** Records a second. */
export function rate(value) {
  if (value === null || value === undefined) return '–';
  if (value < 0.05) return '0/s';
  // Always with its tenths, so that nothing jumps where they happen to be zero.
  return `${value < 99.95 ? value.toFixed(1) : si(value)}/s`;
}

/** A count with all its digits, in groups. */
export function count(value) {
  return value === null || value === undefined ? '–' : value.toLocaleString('en');
}

/** "1 task", "3 tasks". */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

const UNITS = [
  [31_557_600_000, 'y'],
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
];

/** A time span in words, its two greatest units at most: "4 s", "2 min 5 s", "118 d". */
export function span(ms) {
  if (ms === null || ms === undefined) return '–';
  const size = Math.abs(ms);
  if (size < 1000) return `${Math.round(size)} ms`;
  const first = UNITS.findIndex(([unit]) => size >= unit);
  const [unit, name] = UNITS[first];
  const whole = Math.floor(size / unit);
  const next = UNITS[first + 1];
  const rest = next && whole < 10 ? Math.floor((size - whole * unit) / next[0]) : 0;
  return rest ? `${whole} ${name} ${rest} ${next[1]}` : `${whole} ${name}`;
}

const NOT_BEGUN_MS = 20 * 31_557_600_000;

/** How far a watermark is behind the clock, or, where event time runs faster, ahead of it. Near 1970 it has not begun. */
export function behind(ms) {
  if (ms === null || ms === undefined) return 'not known yet';
  if (ms > NOT_BEGUN_MS) return 'not begun';
  return ms < -999 ? `${span(ms)} ahead` : span(Math.max(0, ms));
}

const LAST_INSTANT_MS = 8.64e15;

/** Whether a calendar has it: what has been written in nanoseconds lies beyond all dates. */
export function isInstant(ms) {
  return ms !== null && ms !== undefined && Math.abs(ms) <= LAST_INSTANT_MS;
}

/** The time of day, for what is of today. Of what is no instant the number as it is. */
export function clock(ms) {
  if (ms === null || ms === undefined) return '–';
  return isInstant(ms) ? new Date(ms).toLocaleTimeString('en-GB') : String(ms);
}

/** An instant in full, in UTC, as logs have it. Of what is none the number as it is. */
export function instant(ms) {
  if (ms === null || ms === undefined) return '–';
  if (!isInstant(ms)) return String(ms);
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/(\.000)?Z$/, '');
}

/** Text that is cut where it would be too long for its place. */
export function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
