// Speaks with the server: the token of this tab, questions as streams, ratings.

const TOKEN = "threadlore-token";
const AUTHOR = "threadlore-author";

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function author() {
  let name = sessionStorage.getItem(AUTHOR);
  if (!name) {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    name = `web:${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    sessionStorage.setItem(AUTHOR, name);
  }
  return name;
}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

async function call(path, body, accept = "application/json") {
  const headers = { Accept: accept };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store",
    });
  } catch {
    throw new Refused(0, "unreachable", "The server cannot be reached.");
  }
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({}));
    throw new Refused(response.status, error?.code ?? "failed", error?.message ?? "The server could not do that.");
  }
  return response;
}

export const sources = async () => (await call("/v1/sources")).json();

export const embedding = async () => (await call("/v1/embedding")).json();

export async function syncSource(id) {
  await call(`/v1/sources/${id}/sync`, {});
}

export const about = async () => (await call("/v1/about")).json();

export async function rate(turnId, rating, comment) {
  const body = { rating, author: author() };
  if (comment) body.comment = comment;
  await call(`/v1/turns/${encodeURIComponent(turnId)}/feedback`, body);
}

/** Yields {event, data} as they come; the last one is `answer`. */
export async function* ask(text, thread) {
  const body = { text, author: author(), stream: true, include_passages: true };
  if (thread) body.thread = thread;
  const response = await call("/v1/turns", body, "text/event-stream");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    buffer += value;
    const parts = buffer.split("\n\n");
    buffer = parts.pop();
    for (const part of parts) {
      const message = parse(part);
      if (message.event === "error") throw new Refused(200, message.data.code, message.data.message);
      yield message;
      if (message.event === "answer") return;
    }
  }
  throw new Refused(0, "cut", "The connection was cut before the answer was complete.");
}

function parse(part) {
  let event = "message";
  const data = [];
  for (const line of part.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return { event, data: data.length ? JSON.parse(data.join("\n")) : null };
}
