// One turn on the page: the question, the answer as it grows, its sources, what was retrieved, feedback.

import { rate } from "./client.js";
import { element, link, renderMarkdown, safeLink } from "./markdown.js";

const UP = "M7 9v8H4V9h3Zm0 0 3-6.2c1.4 0 2.2.9 2.2 2.2V8h3.6c1 0 1.7.9 1.5 1.9l-1.1 5.6c-.2.9-.9 1.5-1.8 1.5H7";
const DOWN = "M13 11V3h3v8h-3Zm0 0-3 6.2c-1.4 0-2.2-.9-2.2-2.2V12H4.2c-1 0-1.7-.9-1.5-1.9l1.1-5.6C4 3.6 4.7 3 5.6 3H13";

export class TurnView {
  constructor(question, { card, onRetry }) {
    this.card = card;
    this.onRetry = onRetry;
    this.began = performance.now();
    this.status = element("p", { class: "status", role: "status" }, element("span", { class: "pulse" }), element("span", {}, "Reading the question"));
    this.body = element("div", { class: "body" });
    this.answer = element("article", { class: "answer", "aria-busy": "true" }, this.status, this.body);
    this.node = element("section", { class: "turn" }, element("div", { class: "question" }, element("p", {}, question)), this.answer);
  }

  showStatus(text) {
    this.status.hidden = !text;
    if (text) this.status.lastChild.textContent = text;
  }

  showText(text) {
    this.status.hidden = true;
    this.body.replaceChildren(renderMarkdown(text, (n) => element("span", { class: "cite" }, String(n))));
    this.body.classList.add("writing");
  }

  showAnswer(answer) {
    this.settle();
    const notice = answer.outcome === "failed" || answer.outcome === "refused";
    if (notice) this.answer.prepend(label("notice", answer.outcome === "failed" ? "Could not answer" : "Not taken up"));
    else if (answer.abstained) this.answer.prepend(label("abstained", "Not in the documents"));
    this.answer.classList.toggle("is-notice", notice);
    this.answer.classList.toggle("is-abstained", answer.abstained && !notice);
    const byNumber = new Map(answer.citations.map((citation) => [citation.n, citation]));
    this.sources = new Map();
    const sources = this.renderSources(answer.citations);
    this.body.replaceChildren(renderMarkdown(answer.answer, (n) => (byNumber.has(n) ? this.renderMark(byNumber.get(n)) : null)));
    if (sources) this.answer.append(sources);
    if (!notice) this.answer.append(this.renderFoot(answer));
    if (answer.passages?.length) this.answer.append(renderRetrieved(answer.passages, answer.citations));
  }

  showError(error) {
    this.settle();
    this.answer.classList.add("is-notice");
    const again = element("button", { type: "button", class: "small", onclick: () => this.onRetry() }, "Ask again");
    this.body.replaceChildren(element("p", {}, error.message));
    this.answer.prepend(label("notice", "Could not answer"));
    this.answer.append(element("div", { class: "foot" }, again));
  }

  settle() {
    this.status.remove();
    this.body.classList.remove("writing");
    this.answer.removeAttribute("aria-busy");
  }

  renderMark(citation) {
    const mark = element("button", { type: "button", class: "cite", "aria-label": `Source ${citation.n}: ${citation.title}` }, String(citation.n));
    const show = () => this.card.show(mark, citation);
    mark.addEventListener("mouseenter", show);
    mark.addEventListener("focus", show);
    mark.addEventListener("mouseleave", () => this.card.hide());
    mark.addEventListener("blur", () => this.card.hide());
    mark.addEventListener("click", () => {
      const source = this.sources.get(citation.n);
      source.open = true;
      source.scrollIntoView({ block: "nearest", behavior: "smooth" });
      source.classList.remove("flash");
      void source.offsetWidth;
      source.classList.add("flash");
    });
    return mark;
  }

  renderSources(citations) {
    if (!citations.length) return null;
    const rows = citations.map((citation) => {
      const row = element("details", { class: "source" },
        element("summary", {}, element("span", { class: "number" }, String(citation.n)),
          element("span", { class: "title" }, citation.title), element("span", { class: "place" }, shortAddress(citation.uri))),
        element("blockquote", {}, citation.quote), renderAddress(citation.uri));
      this.sources.set(citation.n, row);
      return row;
    });
    return element("div", { class: "sources", role: "group", "aria-label": "Sources" }, ...rows);
  }

  renderFoot(answer) {
    const seconds = (performance.now() - this.began) / 1000;
    const facts = element("span", { class: "facts", title: `Turn ${answer.turn_id}` }, `${seconds.toFixed(1)} s`);
    return element("div", { class: "foot" }, ...renderFeedback(answer.turn_id), facts);
  }
}

function label(kind, text) {
  return element("p", { class: `label ${kind}` }, text);
}

function renderAddress(uri) {
  const address = safeLink(uri);
  return element("p", { class: "address" }, address ? link(address, uri) : uri);
}

function shortAddress(uri) {
  const address = safeLink(uri);
  if (address) return new URL(address).host;
  return uri.replace(/^file:\/\//, "").split("/").slice(-2).join("/");
}

function renderFeedback(turnId) {
  const up = thumb("This helped", UP);
  const down = thumb("This did not help", DOWN);
  const said = element("span", { class: "said", role: "status" });
  const field = element("input", { type: "text", maxlength: "2000", placeholder: "What was wrong or missing? (optional)", "aria-label": "Comment" });
  const form = element("form", { class: "comment", hidden: true }, field, element("button", { type: "submit", class: "small" }, "Send"));
  let rating = null;
  const show = () => {
    up.setAttribute("aria-pressed", rating === 1);
    down.setAttribute("aria-pressed", rating === -1);
    form.hidden = rating !== -1;
  };
  const choose = async (wanted) => {
    const before = rating;
    rating = rating === wanted ? null : wanted;
    show();
    if (rating === -1) field.focus();
    said.textContent = rating === null ? "Taken back" : rating === 1 ? "Thank you" : "";
    await send(before);
  };
  const send = async (before, comment) => {
    try {
      await rate(turnId, rating, comment);
    } catch (error) {
      rating = before;
      show();
      said.textContent = error.message;
    }
  };
  up.addEventListener("click", () => choose(1));
  down.addEventListener("click", () => choose(-1));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    said.textContent = "Thank you";
    form.hidden = true;
    if (field.value.trim()) await send(rating, field.value.trim());
  });
  return [up, down, form, said];
}

function thumb(title, path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return element("button", { type: "button", class: "thumb", "aria-pressed": "false", "aria-label": title, title }, svg);
}

function renderRetrieved(passages, citations) {
  const cited = new Set(citations.map((citation) => `${citation.title}\n${citation.uri}`));
  const rows = passages.map((passage) => {
    const path = passage.heading_path.filter((part) => part !== passage.title).join(" › ");
    return element("li", {},
      element("div", { class: "passage-head" }, element("span", { class: "rank" }, String(passage.rank)),
        element("span", { class: "title" }, passage.title, path ? element("small", {}, ` › ${path}`) : null),
        cited.has(`${passage.title}\n${passage.uri}`) ? element("span", { class: "used" }, "source cited") : null),
      renderScores(passage),
      element("details", { class: "passage-text" }, element("summary", {}, excerpt(passage.text)), element("p", {}, passage.text)),
      renderAddress(passage.uri),
      passage.author ? element("p", { class: "explain" }, `by ${passage.author}`) : null);
  });
  return element("details", { class: "retrieved" },
    element("summary", {}, `What was retrieved (${passages.length})`),
    element("p", { class: "explain" }, "Each passage is looked for by meaning and by words; similarity and coverage of the question's words add up to the score. No author and no source takes all places: what is too much of one stands further down."),
    element("ol", {}, ...rows));
}

function renderScores(passage) {
  const place = (rank) => (rank === null ? "not found" : `no. ${rank}`);
  const figure = (name, value) => value === null ? null : element("span", { class: "fact" }, `${name} `,
    element("meter", { min: "0", max: "1", value: String(Math.max(0, value)) }), element("b", {}, value.toFixed(2)));
  return element("p", { class: "scores" },
    element("span", { class: "fact" }, "score ", element("b", {}, passage.score.toPrecision(3))),
    figure("similarity", passage.similarity), figure("coverage", passage.coverage),
    element("span", { class: "fact" }, "by meaning ", element("b", {}, place(passage.dense_rank))),
    element("span", { class: "fact" }, "by words ", element("b", {}, place(passage.lexical_rank))));
}

function excerpt(text) {
  const flat = text.replace(/\s+/g, " ").trim();
  return flat.length > 150 ? `${flat.slice(0, 150)}…` : flat;
}
