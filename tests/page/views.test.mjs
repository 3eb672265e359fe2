import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, traces, visit } from './browser.mjs';
import { faintTexts } from './contrast.mjs';
import { SHOP, start, until } from './program.mjs';

const VIEWS = [
  'overview',
  'graph/sales-windows',
  'charts/running-totals',
  'state/running-totals',
  'refused/sensors',
  'tasks/sales-windows',
  'history/running-totals',
];
let program;
let browser;

before(async () => {
  [program, browser] = await Promise.all([start(), launch()]);
});
after(async () => {
  await browser?.close();
  await program?.stop();
});

async function visited(view, options) {
  const visitor = await visit(browser, program.base, options);
  await open(visitor.page, program.base, view);
  return visitor;
}

test('each view opens, with no request that leaves the process and nothing said against it', async () => {
  const { page, unharmed, close } = await visited('overview');
  for (const view of VIEWS) {
    await open(page, program.base, view);
    await until(`${view} shows something`, () =>
      page.evaluate(() => document.querySelector('main .view').textContent.length > 40),
    );
  }
  await open(page, program.base, 'charts/running-totals');
  await until('the chart is drawn', async () => (await traces(page)).length > 0);
  unharmed();
  await close();
});

test('the overview has a card for each topology, and rates that are not zero', async () => {
  const { page, unharmed, close } = await visited('overview');
  for (const name of SHOP) {
    const card = page.locator(`article[aria-labelledby="card-${name}"]`);
    await until(`records come into ${name}`, async () => parseFloat(await card.locator('.in b').textContent()) > 1);
    assert.equal(await card.locator('.state').textContent(), 'running');
  }
  unharmed();
  await close();
});

test('the graph has every topic and operator of the topology, with rates on its edges', async () => {
  const { page, unharmed, close } = await visited('graph/sales-windows');
  for (const topic of [
    'demo.purchases',
    'by-product-repartition',
    'demo.sales.windows',
    'demo.sales.windows.late',
    'by-window-repartition',
  ]) {
    await page.locator(`.graph [aria-label="Topic ${topic}"]`).waitFor();
  }
  for (const operator of ['demo.purchases-rekey', 'windows', 'windows-flat-map', 'top'])
    await page.locator(`.graph [aria-label="Operator ${operator}"]`).waitFor();
  await until('an edge has a rate', () =>
    page.evaluate(() =>
      [...document.querySelectorAll('.graph .rate')].some((label) => parseFloat(label.textContent) > 1),
    ),
  );
  await until('operators have rates', () =>
    page.evaluate(() =>
      [...document.querySelectorAll('.graph .operator .small')].every((label) => label.textContent.endsWith('/s')),
    ),
  );
  await page.locator('summary').click();
  await until('the table has the same nodes', async () => (await page.locator('details.table tbody tr').count()) >= 19);
  unharmed();
  await close();
});

test('nothing in a graph lies on something else', async () => {
  const { page, close } = await visited('graph/sales-windows');
  const graphs = await (await page.request.get(`${program.base}/topology?format=json`)).json();
  for (const { name } of graphs) {
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await open(page, program.base, `graph/${name}`);
      await page.locator('.graph .topic').first().waitFor();
      const clashes = await page.evaluate(() => {
        const boxes = [...document.querySelectorAll('.graph .topic, .graph .stack .border, .graph .store')].map(
          (element) => ({ name: element.textContent, ...element.getBoundingClientRect().toJSON() }),
        );
        const meet = (one, other) =>
          one.left < other.right - 1 &&
          other.left < one.right - 1 &&
          one.top < other.bottom - 1 &&
          other.top < one.bottom - 1;
        return boxes.flatMap((one, index) =>
          boxes
            .slice(index + 1)
            .filter((other) => meet(one, other))
            .map((other) => `${one.name} and ${other.name}`),
        );
      });
      assert.deepEqual(clashes, [], `${name} at ${width} px`);
    }
  }
  await close();
});

test('a phone has no view that is wider than its screen', async () => {
  const { page, unharmed, close } = await visited('overview', {
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
  });
  for (const view of VIEWS) {
    await open(page, program.base, view);
    await until('it is filled', () =>
      page.evaluate(() => document.querySelector('main .view').textContent.length > 40),
    );
    const [wide, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    assert.ok(wide <= screen, `${view} is ${wide} px wide on a screen of ${screen}`);
  }
  unharmed();
  await close();
});

for (const colorScheme of ['light', 'dark']) {
  test(`texts can be read in ${colorScheme} colours`, async () => {
    const { page, close } = await visited('overview', { colorScheme });
    for (const view of VIEWS) {
      await open(page, program.base, view);
      if (view.startsWith('charts')) await until('the chart is drawn', async () => (await traces(page)).length > 0);
      if (view.startsWith('graph')) await page.locator('.graph .topic').first().waitFor();
      assert.deepEqual(await page.evaluate(faintTexts), [], view);
    }
    await close();
  });
}

test('the switch of colours is remembered, and charts follow it', async () => {
  const { page, unharmed, close } = await visited('charts/running-totals', { colorScheme: 'light' });
  const ink = () => page.evaluate(() => document.querySelector('.plot')?.layout?.font.color);
  const before = await until('the chart is drawn', ink);
  await page.getByRole('button', { name: 'Dark' }).click();
  await until('the chart has other colours', async () => (await ink()) !== before);
  await page.reload();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  unharmed();
  await close();
});

test('all of it can be done by keyboard: skip, choose a view, open a node, ask a store', async () => {
  const { page, unharmed, close } = await visited('overview');
  const focused = () =>
    page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  const tabTo = async (wanted) => {
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press('Tab');
      if ((await focused()) === wanted) return;
    }
    assert.fail(`Tab does not lead to ${wanted}`);
  };
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the view');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
  await page.reload();
  await page.locator('main h1').waitFor();
  await tabTo('Graph');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, 'solid', 'the focus is seen');
  await page.keyboard.press('Enter');
  await page.locator('.graph').waitFor();
  await tabTo('Topic demo.purchases');
  await page.keyboard.press('Enter');
  await until('the details are open', () => page.locator('.details h2').isVisible());
  await page.keyboard.press('Escape');
  assert.equal(await focused(), 'Topic demo.purchases', 'the focus is back where it was');
  await page.reload();
  await page.locator('.graph').waitFor();
  await tabTo('State');
  await page.keyboard.press('Enter');
  await page.locator('form').waitFor();
  await tabTo('Ask');
  await page.keyboard.press('Enter');
  await until('there are rows', async () => (await page.locator('.answer tbody tr').count()) > 0);
  unharmed();
  await close();
});
