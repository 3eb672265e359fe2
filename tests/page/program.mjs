// Starts and stops the real program on its embedded broker.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** The program that is tested: a debug or a release build. */
export const PROGRAM = process.env.MILLSTREAM ?? `${ROOT}target/debug/millstream`;
export const SHOP = ['running-totals', 'sales-windows', 'clickstream-referrers', 'sensors'];
const START_MS = 60_000;

/**
 * Runs the demo of these topologies.
 * @param {string[]} topologies
 * @param {{port?: number, token?: string, options?: string[]}} [more]
 * @returns {Promise<{base: string, pid: number, signal(name: string): void, stop(): Promise<void>, said(): string}>}
 */
export async function start(topologies = SHOP, { port = 0, token, options = [] } = {}) {
  const environment = { ...process.env, ...(token ? { MILLSTREAM_HTTP_TOKEN: token } : {}) };
  const child = spawn(PROGRAM, ['demo', ...topologies, '--http', `127.0.0.1:${port}`, '--seed', '7', ...options], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const base = await new Promise((resolve, reject) => {
    const failed = (why) => reject(new Error(`${PROGRAM} did not start: ${why}\n${said}`));
    const late = setTimeout(() => failed('it said no address'), START_MS);
    const hear = (chunk) => {
      // What it says is for the error alone: not all of a long run is kept.
      said = `${said}${chunk}`.slice(-20_000);
      const address = said.match(/http:\/\/[\d.]+:\d+/);
      if (!address) return;
      clearTimeout(late);
      resolve(address[0]);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('error', (error) => failed(error.message));
    child.once('exit', (code) => failed(`it ended with ${code}`));
  });
  const ended = once(child, 'exit');
  return {
    base,
    pid: child.pid,
    said: () => said,
    signal: (name) => child.kill(name),
    async stop() {
      child.kill('SIGCONT');
      child.kill('SIGINT');
      const patience = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(patience);
    },
  };
}

/** The memory of a process that is really in use, in MB. */
export function residentMb(pid) {
  const [, kb] = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/);
  return Number(kb) / 1024;
}

/** Waits until something holds, and says what it was where it never does. */
export async function until(what, holds, ms = 30_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
