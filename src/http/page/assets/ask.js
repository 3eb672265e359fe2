// Requests to the process that serves the page.

/** What a server said instead of an answer. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * The JSON at an address.
 * @param {string} path
 * @param {RequestInit} [options]
 * @param {(text: string) => any} [read] `json.parse` where numbers are shown and must keep their digits
 * @throws {Refusal} with the server's own sentence, or what became of the connection
 */
export async function ask(path, options = {}, read = JSON.parse) {
  let response;
  let text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal(0, 'the process that serves this page does not answer');
  }
  if (response.status === 401) location.assign('/login');
  if (!response.ok) throw new Refusal(response.status, sentence(text, response.status));
  return read(text);
}

/** Asks for a change: the header is one that no foreign page can send. */
export function change(path, body, read = JSON.parse) {
  const headers = { 'content-type': 'application/json', 'x-millstream': '1' };
  return ask(path, { method: 'POST', headers, body: JSON.stringify(body) }, read);
}

function sentence(text, code) {
  try {
    const { error } = JSON.parse(text);
    if (typeof error === 'string') return error;
  } catch {
    // Not JSON: the text itself is the sentence.
  }
  return text.trim() || `the process answered with code ${code}`;
}
