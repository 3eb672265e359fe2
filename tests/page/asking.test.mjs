import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, traces, visit } from './browser.mjs';
import { start, until } from './program.mjs';

let program;
let browser;

before(async () => {
  [program, browser] = await Promise.all([start(['running-totals', 'sales-windows']), launch()]);
});
after(async () => {
  await browser?.close();
  await program?.stop();
});

/** A view where answers of the process that are no success are expected. */
async function asking(view) {
  const visitor = await visit(browser, program.base);
  await open(visitor.page, program.base, view);
  const refusals = () => visitor.faults.filter((fault) => !/status of (400|404)/.test(fault));
  return { ...visitor, unharmed: () => assert.deepEqual(refusals(), []) };
}

test('a query answers with the rows and the commits that they are of, and goes on with the next page', async () => {
  const { page, unharmed, close } = await asking('state/running-totals/totals');
  await until(
    'there is state',
    async () =>
      (await (await page.request.get(`${program.base}/state/running-totals/totals?limit=30`)).json()).rows.length > 8,
  );
  await page.getByLabel('Rows at most').fill('4');
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await until('there are four rows', async () => (await page.locator('.answer tbody tr').count()) === 4);
  assert.match(
    await page.locator('.answer .note').textContent(),
    /4 rows\. Cut at the limit of rows\. As of the commits of partitions 0: \d+/,
  );
  const first = await page.locator('.answer tbody tr').first().textContent();
  await page.getByRole('button', { name: 'Next page' }).click();
  await until('there are others', async () => (await page.locator('.answer tbody tr').first().textContent()) !== first);
  unharmed();
  await close();
});

test('a key answers with its row, digit by digit', async () => {
  const { page, unharmed, close } = await asking('state/running-totals/totals');
  const rows = await until(
    'there is state',
    async () => (await (await page.request.get(`${program.base}/state/running-totals/totals`)).json()).rows[0],
  );
  await page.getByLabel('Key', { exact: true }).fill(rows.key);
  await page.keyboard.press('Enter');
  await until('there is one row', async () => (await page.locator('.answer tbody tr').count()) === 1);
  assert.match(await page.locator('.answer .note').textContent(), /1 row\. As of commit \d+ of partition \d/);
  assert.match(await page.locator('.answer tbody tr').textContent(), /\d+\.\d\d/, 'money with its cents');
  unharmed();
  await close();
});

test('a wrong query says the sentence of the server', async () => {
  const { page, unharmed, close } = await asking('state/sales-windows/windows');
  const expected = (
    await (await page.request.get(`${program.base}/state/sales-windows/windows?from=yesterday&limit=20`)).json()
  ).error;
  assert.ok(expected.includes('yesterday'), expected);
  await page.getByLabel('From', { exact: true }).fill('yesterday');
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await until('the sentence is there', async () => (await page.locator('.problem').textContent()) === expected);
  assert.equal(await page.locator('.answer').isVisible(), false, 'and no old answer');
  unharmed();
  await close();
});

test('pause pauses, the overview says so, and resume resumes', async () => {
  const { page, unharmed, close } = await asking('tasks/running-totals');
  const received = async () => {
    const { topologies } = await (await page.request.get(`${program.base}/live/status`)).json();
    const { state, topics } = topologies.find((topology) => topology.name === 'running-totals');
    return { state, rate: topics.find((topic) => topic.topic === 'demo.purchases').in_rate };
  };
  await until('records come in', async () => (await received()).rate > 1);
  await page.getByRole('button', { name: 'Pause…' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  assert.equal((await received()).state, 'running', 'nothing happens before it is confirmed');
  await page.getByRole('button', { name: 'Pause…' }).click();
  await page.getByRole('button', { name: 'Pause it' }).click();
  await until('the page says so', async () => (await page.locator('.tools .state').textContent()) === 'paused');
  await until('nothing comes in', async () => (await received()).rate === 0);
  await open(page, program.base, 'overview');
  const finding = page.locator('.finding[data-kind="paused"]');
  await finding.waitFor();
  assert.match(await finding.textContent(), /running-totals/);
  assert.ok((await finding.locator('.remedy').textContent()).length > 5, 'and what to do');
  await open(page, program.base, 'tasks/running-totals');
  await page.getByRole('button', { name: 'Resume…' }).click();
  await page.getByRole('button', { name: 'Resume it' }).click();
  await until('it runs', async () => (await page.locator('.tools .state').textContent()) === 'running');
  await until('records come in again', async () => (await received()).rate > 1);
  unharmed();
  await close();
});

test('where only some processes are paused, resume comes first and pause stays', async () => {
  const { page, context, unharmed, close } = await asking('tasks/running-totals');
  const status = await (await page.request.get(`${program.base}/live/status`)).json();
  const topology = status.topologies.find(({ name }) => name === 'running-totals');
  const [process] = topology.processes;
  let states = [];
  await context.route('**/live/events', (route) => {
    const row = (state, index) => ({ ...process, address: `10.0.0.${index}:80`, here: index === 0, state });
    topology.processes = states.map(row);
    return route.fulfill({
      contentType: 'text/event-stream',
      body: `retry: 50\nevent: status\ndata: ${JSON.stringify(status)}\n\n`,
    });
  });
  for (const [given, offered] of [
    [['running', 'paused'], ['Resume…', 'Pause…']],
    [['paused', 'paused'], ['Resume…']],
    [['running', 'running'], ['Pause…']],
    [['failed', 'paused'], ['Resume…']],
  ]) {
    states = given;
    await page.reload();
    const buttons = page.locator('.tools button:visible:enabled');
    await until(`${given}: ${offered}`, async () => `${await buttons.allTextContents()}` === `${offered}`);
  }
  unharmed();
  await close();
});

test('a record time that no calendar has is shown as it is, and the others are drawn', async () => {
  const { page, context, unharmed, close } = await asking('overview');
  const lines = [1_700_000_000_000, 1_700_000_060_000].map((t, o) => ({ p: 0, o, t, k: null, v: { count: 1 } }));
  // In nanoseconds.
  const records = [...lines, { ...lines[0], o: 2, t: 1_700_000_000_000_000_000 }];
  const batch = `event: records\ndata: ${JSON.stringify({ snapshot: true, skipped: 0, records })}\n\n`;
  await context.route('**/live/events/topic/**', (route) =>
    route.fulfill({ contentType: 'text/event-stream', body: batch }),
  );
  await open(page, program.base, 'charts/running-totals/demo.purchases');
  await until('the number is shown', async () =>
    (await page.locator('tbody').textContent()).includes('1700000000000000000'),
  );
  await until('the others are drawn', async () => (await traces(page)).some((trace) => trace.x.length > 0));
  const times = (await traces(page)).flatMap((trace) => trace.x);
  assert.ok(
    times.every((time) => time.startsWith('2023-11-14')),
    `${times}`,
  );
  unharmed();
  await close();
});

test('what comes from topics and messages is text, whatever it is', async () => {
  const hostile = '<img src=x onerror="window.harmed=1"><b>bold</b>';
  const visitor = await visit(browser, program.base);
  const { page, context } = visitor;
  const record = {
    p: 0,
    o: 1,
    t: 1_700_000_000_000,
    k: hostile,
    v: { name: hostile, [hostile]: 7 },
    h: { [hostile]: hostile },
  };
  const batch = `event: records\ndata: ${JSON.stringify({ snapshot: true, skipped: 0, records: [record, { ...record, o: 2, k: `${hostile}2` }] })}\n\n`;
  await context.route('**/live/events/topic/**', (route) =>
    route.fulfill({ contentType: 'text/event-stream', body: batch }),
  );
  const refused = {
    topology: 'running-totals',
    process: null,
    at: 1_700_000_000_000,
    task: hostile,
    topic: hostile,
    partition: 0,
    offset: 1,
    timestamp: null,
    reason: hostile,
    operator: hostile,
    message: hostile,
  };
  await context.route('**/live/refused', (route) => route.fulfill({ json: [refused] }));
  await open(page, program.base, 'charts/running-totals');
  await until('its records are shown', async () => (await page.locator('tbody').textContent()).includes(hostile));
  await until('its bars are named', async () => (await page.locator('.plot').textContent()).includes('<img src=x'));
  await open(page, program.base, 'refused/running-totals');
  await until('the refused one is shown', async () =>
    (await page.getByRole('region', { name: 'The newest refused records' }).textContent()).includes(hostile),
  );
  assert.equal(await page.locator('main img, main b').count(), 0);
  assert.equal(await page.evaluate(() => window.harmed), undefined);
  visitor.unharmed();
  await visitor.close();
});
