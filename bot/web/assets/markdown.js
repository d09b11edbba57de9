// Markdown to DOM nodes. Nothing here ever parses HTML: what a text says is what a reader sees.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const TABLE_LINE = /^\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-{1,}:?\s*)*\|?\s*$/;

export function element(name, options = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Only plain web addresses become links. */
export function safeLink(address) {
  try {
    const url = new URL(address);
    return (url.protocol === "https:" || url.protocol === "http:") && !url.username ? url.href : null;
  } catch {
    return null;
  }
}

export function link(address, ...children) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/** Render a text. `cite(n)` gives the node for the marker [n], or null to leave it as it is. */
export function renderMarkdown(text, cite = () => null) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.replace(/\r\n?/g, "\n").split("\n"), cite));
  return fragment;
}

function blocks(lines, cite) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) { at += 1; continue; }
    const [node, next] = block(lines, at, cite);
    nodes.push(node);
    at = next;
  }
  return nodes;
}

function block(lines, at, cite) {
  const line = lines[at];
  let match;
  if ((match = FENCE.exec(line))) return code(lines, at, match);
  if ((match = HEADING.exec(line))) {
    const level = Math.min(match[1].length + 2, 6);
    return [element(`h${level}`, {}, ...inline(match[2], cite)), at + 1];
  }
  if (RULE.test(line)) return [element("hr"), at + 1];
  if (QUOTE.test(line)) return quote(lines, at, cite);
  if (ITEM.test(line)) return list(lines, at, cite);
  if (line.includes("|") && at + 1 < lines.length && lines[at + 1].includes("-") && TABLE_LINE.test(lines[at + 1])) {
    return table(lines, at, cite);
  }
  return paragraph(lines, at, cite);
}

function code(lines, at, [, marks, language]) {
  const body = [];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const closing = lines[next].trim();
    if (closing.length >= marks.length && closing === marks[0].repeat(closing.length)) break;
    body.push(lines[next]);
  }
  const copy = element("button", { type: "button", class: "copy" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(body.join("\n"));
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  const bar = element("div", { class: "code-bar" }, element("span", {}, language || "text"), copy);
  return [element("div", { class: "code" }, bar, element("pre", { tabindex: "0" }, element("code", {}, body.join("\n")))), next + 1];
}

function quote(lines, at, cite) {
  const body = [];
  let match;
  while (at < lines.length && (match = QUOTE.exec(lines[at]))) { body.push(match[1]); at += 1; }
  return [element("blockquote", {}, ...blocks(body, cite)), at];
}

function list(lines, at, cite) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const node = element(ordered ? "ol" : "ul", ordered && parseInt(mark, 10) !== 1 ? { start: parseInt(mark, 10) } : {});
  while (at < lines.length) {
    const match = ITEM.exec(lines[at]);
    if (!match || match[1].length > indent.length + 1 || match[1].length < indent.length || /\d/.test(match[2]) !== ordered) break;
    const width = match[1].length + match[2].length + 1;
    const body = [match[3]];
    at += 1;
    while (at < lines.length) {
      const line = lines[at];
      const depth = line.length - line.trimStart().length;
      const goesOn = !line.trim()
        ? at + 1 < lines.length && lines[at + 1].startsWith(" ".repeat(Math.min(width, match[1].length + 2)))
        : depth > match[1].length || (!ITEM.test(line) && !HEADING.test(line) && !FENCE.test(line) && body.at(-1).trim());
      if (!goesOn) break;
      body.push(line.slice(Math.min(depth, width)));
      at += 1;
    }
    const loose = body.some((line) => !line.trim());
    node.append(element("li", {}, ...tighten(blocks(body, cite), loose)));
    while (at + 1 < lines.length && !lines[at].trim() && ITEM.test(lines[at + 1])) at += 1;
  }
  return [node, at];
}

/** A list item of one paragraph needs no paragraph. */
function tighten(nodes, loose) {
  return loose ? nodes : nodes.flatMap((node) => (node.tagName === "P" ? [...node.childNodes] : [node]));
}

function table(lines, at, cite) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
  const row = (line, name) => element("tr", {}, ...cells(line).map((cell) => element(name, {}, ...inline(cell, cite))));
  const head = element("thead", {}, row(lines[at], "th"));
  const body = element("tbody");
  let next = at + 2;
  for (; next < lines.length && lines[next].includes("|") && lines[next].trim(); next += 1) body.append(row(lines[next], "td"));
  return [element("div", { class: "table", tabindex: "0" }, element("table", {}, head, body)), next];
}

function paragraph(lines, at, cite) {
  const body = [lines[at]];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    if (!line.trim() || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || ITEM.test(line) || RULE.test(line)) break;
    body.push(line);
  }
  const nodes = [];
  body.forEach((line, index) => {
    const breaks = /(?: {2,}|\\)$/.test(line) && index < body.length - 1;
    nodes.push(...inline(line.replace(/\\$/, "").trim(), cite), breaks ? element("br") : "\n");
  });
  nodes.pop();
  return [element("p", {}, ...nodes), next];
}

const INLINE = new RegExp([
  "(?<ticks>`+)(?<code>[^`]|[^`][\\s\\S]*?[^`])\\k<ticks>(?!`)",
  "\\\\(?<escaped>[\\\\`*_{}\\[\\]()#+\\-.!|>~])",
  "!?\\[(?<title>(?:[^\\[\\]]|\\[[^\\[\\]]*\\])*)\\]\\(\\s*<?(?<target>[^\\s()<>]*(?:\\([^\\s()<>]*\\)[^\\s()<>]*)*)>?(?:\\s+\"[^\"]*\")?\\s*\\)",
  "\\[(?<mark>\\d{1,3})\\]",
  "<(?<angled>https?:\\/\\/[^\\s<>]+)>",
  "(?<url>https?:\\/\\/[^\\s<>()\\[\\]`\"']+[^\\s<>()\\[\\]`\"'.,;:!?*_~])",
  "\\*\\*(?<bold>\\S(?:[\\s\\S]*?\\S)?)\\*\\*",
  "__(?<bold2>\\S(?:[\\s\\S]*?\\S)?)__",
  "~~(?<struck>\\S(?:[\\s\\S]*?\\S)?)~~",
  "\\*(?<italic>[^\\s*](?:[^*]*?[^\\s*])?)\\*",
  "(?<![A-Za-z0-9_])_(?<italic2>[^\\s_](?:[^_]*?[^\\s_])?)_(?![A-Za-z0-9_])",
].join("|"), "g");

function inline(text, cite) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) nodes.push(text.slice(end, match.index));
    nodes.push(...span(match, cite));
    end = match.index + match[0].length;
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}

function span({ 0: whole, groups: g }, cite) {
  if (g.code !== undefined) return [element("code", {}, g.code.replace(/^ (.*\S.*) $/, "$1"))];
  if (g.escaped !== undefined) return [g.escaped];
  if (g.mark !== undefined) return [cite(Number(g.mark)) ?? whole];
  if (g.title !== undefined) {
    const address = safeLink(g.target);
    return address ? [link(address, ...inline(g.title, cite))] : inline(g.title, cite);
  }
  const bare = g.angled ?? g.url;
  if (bare !== undefined) {
    const address = safeLink(bare);
    return [address ? link(address, bare) : bare];
  }
  const bold = g.bold ?? g.bold2;
  if (bold !== undefined) return [element("strong", {}, ...inline(bold, cite))];
  if (g.struck !== undefined) return [element("s", {}, ...inline(g.struck, cite))];
  return [element("em", {}, ...inline(g.italic ?? g.italic2, cite))];
}
