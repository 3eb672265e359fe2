import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, traces, visit } from './browser.mjs';
import { residentMb, start, until } from './program.mjs';

let browser;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('a process that asks for a token shows the page after a login, and only then', async () => {
  const token = 'a-token-of-the-tests';
  const program = await start(['running-totals'], { token });
  try {
    const { page, faults, close } = await visit(browser, program.base);
    await page.goto(program.base);
    assert.equal(new URL(page.url()).pathname, '/login');
    await page.getByLabel('Token').fill('another');
    await page.keyboard.press('Enter');
    await until('it is refused', async () => (await page.getByRole('alert').textContent()).trim() !== '');
    await page.getByLabel('Token').fill(token);
    await page.keyboard.press('Enter');
    await page.locator('main h1').waitFor();
    await page.locator('article.card').first().waitFor();
    const cookies = await page.context().cookies();
    assert.ok(
      cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === 'Strict',
      'a cookie that no script sees',
    );
    assert.ok(!JSON.stringify(cookies).includes(token), 'and that is not the token');
    assert.ok(!(await page.content()).includes(token));
    assert.deepEqual(
      faults.filter((fault) => !/status of 401|status of 403/.test(fault)),
      [],
    );
    await close();
  } finally {
    await program.stop();
  }
});

test('a connection that is lost is said at once, and found again by itself', async () => {
  const program = await start(['running-totals']);
  let again;
  try {
    const { page, close } = await visit(browser, program.base);
    await open(page, program.base, 'overview');
    await page.locator('article.card').first().waitFor();
    program.signal('SIGSTOP');
    await until('a process that hangs is noticed', () => page.locator('#lost').isVisible(), 10_000);
    assert.match(await page.locator('#lost').textContent(), /does not answer\. What is below is of \d\d:\d\d:\d\d/);
    assert.equal(await page.evaluate(() => 'lost' in document.body.dataset), true, 'what is below is grey');
    program.signal('SIGCONT');
    await until('it is back', () => page.locator('#lost').isHidden());
    await program.stop();
    await until('a process that ended is noticed', () => page.locator('#lost').isVisible(), 10_000);
    again = await start(['running-totals'], { port: Number(new URL(program.base).port) });
    await until('the page has found the new one', () => page.locator('#lost').isHidden());
    await close();
  } finally {
    await program.stop();
    await again?.stop();
  }
});

const SOAK_S = Number(process.env.PAGE_SOAK ?? 12);

test(
  `a second page that stays open for ${SOAK_S} s grows neither the process nor itself`,
  { timeout: (2 * SOAK_S + 180) * 1000 },
  async () => {
    const program = await start(['running-totals', 'clickstream-referrers']);
    try {
      const first = await visit(browser, program.base);
      await open(first.page, program.base, 'overview');
      // The embedded broker keeps what it is given, page or not: what it grows by beside one page is taken off.
      const alone = await grown(program, [first]);
      const second = await visit(browser, program.base);
      await open(second.page, program.base, 'charts/clickstream-referrers');
      await until('the chart is drawn', async () => (await traces(second.page)).length > 0);
      const beside = await grown(program, [first, second]);
      console.log(
        `each ${SOAK_S} s: the process grew by ${round(alone.process)} MB with one page and by ${round(beside.process)} MB with two; heaps of the pages by ${beside.heaps.map(round)} MB`,
      );
      assert.ok(
        beside.process - alone.process < 16,
        `a second page costs ${beside.process - alone.process} MB of the process`,
      );
      for (const heap of beside.heaps) assert.ok(heap < 12, `a page grew by ${heap} MB`);
      for (const visitor of [first, second]) {
        visitor.unharmed();
        await visitor.close();
      }
    } finally {
      await program.stop();
    }
  },
);

/** By how many MB a process and pages grow while they stay open, after they have come to rest. */
async function grown(program, visitors) {
  const measure = async () => ({
    process: residentMb(program.pid),
    heaps: await Promise.all(visitors.map(({ page }) => heapMb(page))),
  });
  await visitors[0].page.waitForTimeout(Math.min(20, SOAK_S / 3) * 1000);
  const begin = await measure();
  await visitors[0].page.waitForTimeout(SOAK_S * 1000);
  const end = await measure();
  return { process: end.process - begin.process, heaps: end.heaps.map((heap, index) => heap - begin.heaps[index]) };
}

function round(number) {
  return number.toFixed(1);
}

/** What a page holds on to, once the garbage is collected. */
async function heapMb(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize / 1024 / 1024;
}
