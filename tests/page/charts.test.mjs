import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, traces, visit } from './browser.mjs';
import { start, until } from './program.mjs';

let program;
let browser;

before(async () => {
  [program, browser] = await Promise.all([start(), launch()]);
});
after(async () => {
  await browser?.close();
  await program?.stop();
});

async function charted(view) {
  const visitor = await visit(browser, program.base);
  await open(visitor.page, program.base, view);
  await until('the chart is drawn', async () => (await traces(visitor.page)).some((trace) => trace.y.length > 0));
  return visitor;
}

/** Waits until the picture is another one. */
async function moves(page) {
  const before = JSON.stringify(await traces(page));
  await until('the chart moves', async () => JSON.stringify(await traces(page)) !== before);
}

test('referrers are a stacked area by key that moves', async () => {
  const { page, unharmed, close } = await charted('charts/clickstream-referrers/demo.referrers');
  assert.equal(await page.getByLabel('Of', { exact: true }).inputValue(), 'count');
  await moves(page);
  await until('a band a referrer', async () => (await traces(page)).length === 6);
  const bands = await traces(page);
  assert.ok(bands.every((band) => band.stackgroup && band.type === 'scatter'));
  assert.deepEqual(bands.map((band) => band.name).sort(), [
    'amazon',
    'bing',
    'google',
    'reddit',
    'stackoverflow',
    'yahoo',
  ]);
  await until('a value a second', async () => (await traces(page))[0].x.length > 3);
  unharmed();
  await close();
});

test('running totals are ranked bars, the greatest first, that grow', async () => {
  const { page, unharmed, close } = await charted('charts/running-totals/demo.running.totals');
  await until('there are many bars', async () => (await traces(page))[0].y.length > 10);
  await moves(page);
  const [bars] = await traces(page);
  assert.equal(bars.type, 'bar');
  assert.equal(bars.orientation, 'h');
  assert.deepEqual(
    bars.x,
    [...bars.x].sort((one, other) => other - one),
  );
  const total = (trace) => trace.x.reduce((sum, value) => sum + value, 0);
  await until('the totals grow', async () => total((await traces(page))[0]) > total(bars));
  unharmed();
  await close();
});

test('windows are lines by key over the start of the window', async () => {
  const { page, unharmed, close } = await charted('charts/sales-windows/demo.sales.windows');
  await until('there are lines', async () => (await traces(page)).length > 5);
  const lines = await traces(page);
  assert.ok(lines.length <= 12, `${lines.length} lines`);
  assert.ok(lines.every((line) => line.type === 'scatter' && !line.stackgroup));
  assert.ok(
    lines[0].x.every((time) => /:[0-5][05]:00/.test(time)),
    `windows begin every five minutes: ${lines[0].x}`,
  );
  await moves(page);
  unharmed();
  await close();
});

test('a picture can be chosen, and held', async () => {
  const { page, unharmed, close } = await charted('charts/running-totals/demo.running.totals');
  await page.getByLabel('Of', { exact: true }).selectOption('quantities');
  await page.getByLabel('Picture').selectOption('lines');
  await until('it is lines', async () => (await traces(page))[0].type === 'scatter');
  await page.getByRole('button', { name: 'Hold the picture' }).click();
  const held = JSON.stringify(await traces(page));
  const rows = await page.locator('tbody tr').first().textContent();
  // Redraws come twice a second: three of them would have been seen.
  await page.waitForTimeout(1600);
  assert.equal(JSON.stringify(await traces(page)), held);
  assert.equal(await page.locator('tbody tr').first().textContent(), rows);
  await page.getByRole('button', { name: 'Let it move' }).click();
  await until('it moves again', async () => JSON.stringify(await traces(page)) !== held);
  unharmed();
  await close();
});

test('the history has rates, lag and the age of the watermark', async () => {
  const { page, unharmed, close } = await visit(browser, program.base);
  await open(page, program.base, 'history/running-totals');
  for (const index of [1, 2, 3]) {
    const place = `.view section:nth-of-type(${index}) .past`;
    await until(`chart ${index} has points`, async () =>
      (await traces(page, place)).some((trace) => trace.y.some((value) => value !== null)),
    );
  }
  const before = (await traces(page, '.past'))[0].x.length;
  await until('it goes on', async () => (await traces(page, '.past'))[0].x.length > before);
  unharmed();
  await close();
});
