// A headless Chromium that notices everything that a page must not do.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

/** Files of the page that stand in for those in the program: what was changed is seen without a build. */
const ASSETS = process.env.PAGE_ASSETS;
const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** The browser. Debian's own: nothing is downloaded. */
export function launch() {
  return chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/**
 * A page of which every request, message and violation is watched.
 * @param {import('playwright-core').Browser} browser
 * @param {string} base the address of the program
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function visit(browser, base, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const faults = [];
  const origin = new URL(base).origin;
  await context.route(
    (url) => url.origin !== origin && !['data:', 'blob:'].includes(url.protocol),
    (route) => {
      faults.push(`a request left the origin: ${route.request().url()}`);
      return route.abort();
    },
  );
  if (ASSETS) await context.route(`${origin}/**`, fromDisk);
  const page = await context.newPage();
  await page.addInitScript(() =>
    addEventListener('securitypolicyviolation', (event) =>
      console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`),
    ),
  );
  page.on(
    'console',
    (message) => ['error', 'warning'].includes(message.type()) && faults.push(`${message.type()}: ${message.text()}`),
  );
  page.on('pageerror', (error) => faults.push(`thrown: ${error.stack}`));
  page.on(
    'requestfailed',
    (request) =>
      !/ERR_ABORTED/.test(request.failure().errorText) &&
      faults.push(`failed: ${request.url()} ${request.failure().errorText}`),
  );
  return { page, context, faults, unharmed: () => assert.deepEqual(faults, []), close: () => context.close() };
}

async function fromDisk(route) {
  const { pathname } = new URL(route.request().url());
  if (pathname === '/') {
    // A process with a token sends whoever has not logged in elsewhere.
    const response = await route.fetch({ maxRedirects: 0 });
    return response.ok() ? route.fulfill({ path: `${ASSETS}/index.html` }) : route.fulfill({ response });
  }
  const path = `${ASSETS}/${pathname.replace('/assets/', '')}`;
  return pathname.startsWith('/assets/') && existsSync(path) ? route.fulfill({ path }) : route.fallback();
}

/** Opens a view and waits until it shows what the process said. */
export async function open(page, base, view) {
  await page.goto(`${base}/#/${view}`);
  await page.locator('main h1').waitFor();
  await page.locator('#connection:has-text("live")').waitFor();
}

/** The data of the traces of a chart as it is drawn. */
export function traces(page, selector = '.plot') {
  return page.evaluate(
    (place) =>
      (document.querySelector(place)?.data ?? []).map(({ type, name, orientation, stackgroup, x, y }) => ({
        type,
        name,
        orientation,
        stackgroup,
        x: [...x],
        y: [...y],
      })),
    selector,
  );
}
