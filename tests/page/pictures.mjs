// Makes docs/pictures from the running program: each view, in light or dark, and on a phone.

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { launch, open, traces, visit } from './browser.mjs';
import { start, until } from './program.mjs';

const OUT = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
const QUALITY = 82;
const WARM_MS = Number(process.env.PAGE_WARM ?? 60) * 1000;
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

const drawn = (page) =>
  until('the chart is drawn', async () => (await traces(page)).some((trace) => trace.y.length > 5));
const ask = async (page) => {
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await page.locator('.answer tbody tr').first().waitFor();
};
/** @type {{name: string, view: string, size: object, theme: string, ready?: (page: import('playwright-core').Page) => Promise<any>}[]} */
const PICTURES = [
  { name: 'overview', view: 'overview', size: { width: 1280, height: 900 }, theme: 'light' },
  { name: 'overview-dark', view: 'overview', size: { width: 1280, height: 900 }, theme: 'dark' },
  { name: 'graph', view: 'graph/clickstream-referrers', size: { width: 1280, height: 1000 }, theme: 'light' },
  { name: 'graph-dark', view: 'graph/sensor-report', size: { width: 1440, height: 1340 }, theme: 'dark' },
  {
    name: 'referrers',
    view: 'charts/clickstream-referrers/demo.referrers',
    size: WIDE,
    theme: 'light',
    ready: drawn,
  },
  {
    name: 'referrers-dark',
    view: 'charts/clickstream-referrers/demo.referrers',
    size: WIDE,
    theme: 'dark',
    ready: drawn,
  },
  {
    name: 'running-totals-dark',
    view: 'charts/running-totals/demo.running.totals',
    size: { width: 1280, height: 900 },
    theme: 'dark',
    ready: drawn,
  },
  {
    name: 'sales-windows',
    view: 'charts/sales-windows/demo.sales.windows',
    size: WIDE,
    theme: 'light',
    ready: (page) => until('there are windows', async () => (await traces(page))[0]?.x.length > 3),
  },
  { name: 'state', view: 'state/sales-windows/windows', size: WIDE, theme: 'light', ready: ask },
  { name: 'late-dark', view: 'refused/sensors', size: WIDE, theme: 'dark' },
  { name: 'tasks', view: 'tasks/purchases-enriched', size: WIDE, theme: 'light' },
  { name: 'history-dark', view: 'history/sales-windows', size: { width: 1280, height: 940 }, theme: 'dark' },
  { name: 'phone', view: 'overview', size: PHONE, theme: 'light' },
  { name: 'phone-dark', view: 'graph/running-totals', size: PHONE, theme: 'dark' },
];

async function picture(browser, base, { name, view, size, theme, ready }) {
  const { page, context, unharmed, close } = await visit(browser, base, {
    viewport: size,
    colorScheme: theme,
    deviceScaleFactor: size === PHONE ? 2 : 1,
  });
  await open(page, base, view);
  await ready?.(page);
  // A few observations, so that what moves has come to its place.
  await page.waitForTimeout(6000);
  const session = await context.newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY });
  const bytes = Buffer.from(data, 'base64');
  writeFileSync(`${OUT}${name}.webp`, bytes);
  console.log(`${name}.webp ${(bytes.length / 1024).toFixed(0)} kB`);
  unharmed();
  await close();
}

const only = process.argv.slice(2);
mkdirSync(OUT, { recursive: true });
const program = await start([]);
const browser = await launch();
try {
  // The sparklines and windows need something to show.
  await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  for (const one of PICTURES.filter(({ name }) => !only.length || only.includes(name)))
    await picture(browser, program.base, one);
} finally {
  await browser.close();
  await program.stop();
}
