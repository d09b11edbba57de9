// The page: the composer, the thread, what this installation runs on, the token.

import { about, ask, keepToken } from "./client.js";
import { element, link, safeLink } from "./markdown.js";
import { TurnView } from "./turn.js";

const find = (id) => document.getElementById(id);
const question = find("question");
const send = find("send");
const turns = find("turns");
let thread = null;
let busy = false;
let view = 0;

/** The card that shows a source beside its marker. */
const card = {
  node: find("card"),
  show(mark, citation) {
    const address = safeLink(citation.uri);
    this.node.replaceChildren(element("strong", {}, citation.title), element("p", {}, citation.quote),
      element("small", {}, address ? link(address, citation.uri) : citation.uri));
    this.node.hidden = false;
    const at = mark.getBoundingClientRect();
    const width = this.node.offsetWidth;
    const height = this.node.offsetHeight;
    const left = Math.min(Math.max(8, at.left + at.width / 2 - width / 2), innerWidth - width - 8);
    const above = at.top - height - 8;
    this.node.style.left = `${left}px`;
    this.node.style.top = `${above > 64 ? above : at.bottom + 8}px`;
  },
  hide() { this.node.hidden = true; },
};

function followEnd(work) {
  const near = innerHeight + scrollY >= document.documentElement.scrollHeight - 160;
  work();
  if (near) scrollTo({ top: document.documentElement.scrollHeight });
}

async function submit(text) {
  if (busy || !text) return;
  setBusy(true);
  openAbout(false);
  find("welcome").hidden = true;
  const mine = view;
  const turn = new TurnView(text, { card, onRetry: () => { turn.node.remove(); submit(text); } });
  turns.append(turn.node);
  turn.node.scrollIntoView({ block: "start", behavior: "smooth" });
  try {
    for await (const { event, data } of ask(text, thread)) {
      if (mine !== view) return;
      followEnd(() => {
        if (event === "status") turn.showStatus(data.text);
        else if (event === "text") turn.showText(data.text);
        else if (event === "answer") { thread = data.thread; turn.showAnswer(data); }
      });
    }
  } catch (error) {
    if (mine !== view) return;
    turn.showError(error);
    if (error.status === 401) openTokenDialog();
  } finally {
    if (mine === view) setBusy(false);
  }
}

function setBusy(now) {
  busy = now;
  send.disabled = busy || !question.value.trim();
  document.body.classList.toggle("busy", busy);
}

function fit() {
  question.style.height = "auto";
  question.style.height = `${Math.min(question.scrollHeight, 220)}px`;
  send.disabled = busy || !question.value.trim();
}

function submitComposer() {
  const text = question.value.trim();
  if (busy || !text) return;
  question.value = "";
  fit();
  submit(text);
}

function beginThread() {
  view += 1;
  thread = null;
  turns.replaceChildren();
  find("welcome").hidden = false;
  setBusy(false);
  question.focus();
}

function showAbout(facts) {
  const extractive = facts.answerer === "extractive";
  const chip = find("answerer");
  chip.replaceChildren(element("span", { class: extractive ? "dot plain" : "dot" }), extractive ? "Extractive answers" : facts.answerer);
  chip.title = "What this installation runs on";
  find("state").hidden = false;
  const rows = facts.platforms.map((platform) => element("li", {}, element("span", { class: platform.on ? "dot" : "dot off" }),
    element("b", {}, platform.name), platform.on ? " is on" : " is off", platform.remedy ? element("small", {}, platform.remedy) : null));
  find("about").replaceChildren(element("div", { class: "about-inner" },
    element("div", {}, element("h2", {}, "Answers"), element("p", {}, extractive
      ? "The best sentences of your documents, word for word. Set CHAT_MODEL to have a language model write the answers."
      : `Written by ${facts.answerer}.`), element("p", {}, `Searched with ${facts.embedder}. Threadlore ${facts.version}.`)),
    element("div", {}, element("h2", {}, "Platforms"), element("ul", {}, ...rows))));
  find("examples").replaceChildren(...facts.examples.map((text) => element("li", {},
    element("button", { type: "button", onclick: () => submit(text) }, text))));
}

function openAbout(open) {
  find("about").hidden = !open;
  find("answerer").setAttribute("aria-expanded", String(open));
}

function openTokenDialog(wrong = false) {
  find("token-wrong").hidden = !wrong;
  if (!find("token-dialog").open) find("token-dialog").showModal();
}

async function load(afterToken = false) {
  try {
    showAbout(await about());
    find("token-dialog").close();
    question.focus();
  } catch (error) {
    if (error.status === 401) openTokenDialog(afterToken);
  }
}

question.addEventListener("input", fit);
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submitComposer();
  }
});
find("ask").addEventListener("submit", (event) => { event.preventDefault(); submitComposer(); });
find("new-thread").addEventListener("click", beginThread);
find("answerer").addEventListener("click", () => openAbout(find("about").hidden));
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(find("token").value.trim());
  load(true);
});
find("token-dialog").addEventListener("cancel", (event) => event.preventDefault());
document.addEventListener("scroll", () => card.hide(), { passive: true });
load();
