// The page of the sources: what each is up to, what could not be read, and a button to sync it now.

import { embedding, keepToken, sources, syncSource } from "./client.js";
import { element, link, safeLink } from "./markdown.js";

const find = (id) => document.getElementById(id);
const STATES = {
  new: "Not synced yet", due: "About to be synced", syncing: "Syncing", interrupted: "Interrupted",
  ok: "In sync", incomplete: "Partly read", failed: "Cannot be read",
};
const BUSY = new Set(["due", "syncing"]);
const BUSY_MS = 2000;
const IDLE_MS = 15000;
const opened = new Set();
let timer = null;
let shown = "";

function show(list) {
  const key = JSON.stringify(list);
  if (key === shown) return;
  shown = key;
  const documents = list.reduce((sum, source) => sum + source.documents, 0);
  find("lead").textContent = list.length
    ? `${count(documents, "document")} from ${count(list.length, "source")}, as this page may read them.`
    : "There is no source yet. Name some in KNOWLEDGE, or run threadlore ingest.";
  find("sources").replaceChildren(...list.map(renderSource));
}

function showEmbedding(state) {
  const waits = state.serving !== state.wanted;
  find("embedding").hidden = !waits;
  if (waits) {
    find("embedding").replaceChildren(
      `Embedding everything with ${state.wanted}: ${state.done.toLocaleString()} of ${count(state.total, "chunk")}. Until it is complete, ${state.serving} serves. `,
      element("progress", { max: String(Math.max(state.total, 1)), value: String(state.done), "aria-label": "Chunks embedded" }));
  }
  return waits;
}

function renderSource(source) {
  const busy = BUSY.has(source.state);
  const sync = element("button", { type: "button", class: "small", disabled: busy, onclick: () => requestSync(source.id) }, busy ? "Syncing…" : "Sync now");
  const address = safeLink(source.uri);
  return element("article", { class: `source-card is-${source.state}` },
    element("div", { class: "source-head" },
      element("h2", {}, address ? link(address, source.uri) : source.uri),
      element("span", { class: "state-chip" }, element("span", { class: "dot" }), STATES[source.state] ?? source.state)),
    element("dl", { class: "source-facts" },
      ...fact("Documents", documentsOf(source)),
      ...fact("Collection", source.collection),
      ...fact("Kind", source.kind),
      ...fact("Last sync", moment(source.synced_at, "never")),
      ...fact("Next sync", source.next_sync_at ? moment(source.next_sync_at) : "when asked for")),
    busy && source.total ? element("progress", { max: String(source.total), value: String(source.done), "aria-label": "Documents looked at" }) : null,
    source.error && !source.failed.length ? element("p", { class: "source-error" }, source.error) : null,
    source.failed.length ? renderFailed(source) : null,
    element("div", { class: "source-foot" }, sync));
}

function documentsOf(source) {
  if (source.state === "syncing" && source.total) return `${source.documents}, ${source.done} of ${source.total} looked at`;
  return `${source.documents} in ${count(source.chunks, "chunk")}`;
}

function renderFailed(source) {
  const rows = source.failed.map((failed) => element("li", {}, element("b", {}, failed.uri), ` ${failed.reason}`,
    element("small", {}, ` Tried again when it changes, or ${moment(failed.retry_at)}.`)));
  const more = source.failed_documents - source.failed.length;
  if (more > 0) rows.push(element("li", {}, `and ${more} more`));
  return element("details", { class: "source-failed", open: opened.has(source.id), ontoggle: (event) => {
    if (event.target.open) opened.add(source.id); else opened.delete(source.id);
  } }, element("summary", {}, `${count(source.failed_documents, "document")} could not be read`), element("ul", {}, ...rows));
}

function fact(name, value) {
  return [element("dt", {}, name), element("dd", {}, value)];
}

function count(number, word) {
  return `${number.toLocaleString()} ${word}${number === 1 ? "" : "s"}`;
}

function moment(text, otherwise = "") {
  if (!text) return otherwise;
  const at = new Date(text);
  const minutes = Math.round((at - Date.now()) / 60000);
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  if (Math.abs(minutes) < 1) return at < Date.now() ? "just now" : "in a moment";
  if (Math.abs(minutes) < 90) return relative.format(minutes, "minute");
  if (Math.abs(minutes) < 2160) return relative.format(Math.round(minutes / 60), "hour");
  return at.toLocaleString();
}

async function requestSync(id) {
  try {
    await syncSource(id);
    await load();
  } catch (error) {
    tell(error.message);
  }
}

function tell(problem) {
  find("problem").textContent = problem ?? "";
  find("problem").hidden = !problem;
}

async function load(afterToken = false) {
  clearTimeout(timer);
  let pause = IDLE_MS;
  try {
    const [list, state] = await Promise.all([sources(), embedding()]);
    show(list);
    const filling = showEmbedding(state);
    tell(null);
    find("token-dialog").close();
    if (filling || list.some((source) => BUSY.has(source.state))) pause = BUSY_MS;
  } catch (error) {
    if (error.status === 401) {
      find("token-wrong").hidden = !afterToken;
      if (!find("token-dialog").open) find("token-dialog").showModal();
      return;
    }
    tell(error.message);
  } finally {
    document.querySelector("main").removeAttribute("aria-busy");
  }
  timer = setTimeout(load, pause);
}

find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(find("token").value.trim());
  load(true);
});
find("token-dialog").addEventListener("cancel", (event) => event.preventDefault());
load();
