// Lays the OpenAPI document out for people. Everything comes from /openapi.json; nothing is loaded from elsewhere.

import { element, renderMarkdown } from "./markdown.js";

const page = document.getElementById("reference");

function resolve(schema, document) {
  if (!schema) return {};
  if (schema.$ref) return resolve(document.components.schemas[schema.$ref.split("/").pop()], document);
  if (schema.allOf?.length === 1) return { ...resolve(schema.allOf[0], document), ...schema };
  return schema;
}

function typeOf(schema, document) {
  const resolved = resolve(schema, document);
  const choices = resolved.anyOf ?? resolved.oneOf;
  if (choices) return [...new Set(choices.map((choice) => typeOf(choice, document)))].join(" or ");
  if (resolved.const !== undefined) return JSON.stringify(resolved.const);
  if (resolved.enum) return resolved.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (resolved.type === "array") return `list of ${typeOf(resolved.items, document)}`;
  return resolved.format ?? resolved.type ?? "any";
}

function inner(schema, document) {
  const resolved = resolve(schema, document);
  if (resolved.properties) return resolved;
  if (resolved.type === "array") return inner(resolved.items, document);
  for (const choice of resolved.anyOf ?? resolved.oneOf ?? []) {
    const found = inner(choice, document);
    if (found) return found;
  }
  return null;
}

function fields(schema, document, depth = 0) {
  const list = element("dl");
  for (const [name, property] of Object.entries(schema.properties)) {
    const required = schema.required?.includes(name);
    const nested = depth < 3 ? inner(property, document) : null;
    const description = property.description ?? "";
    list.append(
      element("dt", {}, element("code", {}, name), element("br"),
        element("small", {}, typeOf(property, document), required ? "" : ", optional")),
      element("dd", {}, renderMarkdown(description), nested ? fields(nested, document, depth + 1) : null));
  }
  return list;
}

function example(method, path, body, document) {
  const host = location.origin;
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${host}${path.replace(/\{(\w+)\}/g, "<$1>")}`];
  if (path.startsWith("/v1") || path === "/metrics") lines.push("  -H 'Authorization: Bearer <HTTP_TOKEN>'");
  if (body) {
    const sample = {};
    for (const [name, property] of Object.entries(body.properties)) {
      if (!body.required?.includes(name)) continue;
      const resolved = resolve(property, document);
      sample[name] = resolved.examples?.[0] ?? (resolved.anyOf?.[0]?.enum ?? resolved.enum)?.[0] ?? (resolved.type === "string" ? "…" : 1);
    }
    lines.push("  -H 'Content-Type: application/json'", `  -d '${JSON.stringify(sample)}'`);
  }
  return renderMarkdown(`\`\`\`sh\n${lines.join(" \\\n")}\n\`\`\``);
}

function operation(method, path, facts, document) {
  const content = facts.requestBody?.content?.["application/json"]?.schema;
  const body = content ? inner(content, document) : null;
  const rows = element("div", { class: "inner" });
  if (facts.description) rows.append(element("div", { class: "body" }, renderMarkdown(facts.description)));
  if (body) rows.append(element("h3", {}, "Body"), fields(body, document));
  for (const [status, answer] of Object.entries(facts.responses ?? {})) {
    const shape = inner(answer.content?.["application/json"]?.schema, document);
    rows.append(element("h3", {}, `Answer ${status}`), element("div", { class: "body" }, renderMarkdown(answer.description ?? "")));
    if (shape) rows.append(fields(shape, document));
  }
  rows.append(element("h3", {}, "Example"), example(method, path, body, document));
  return element("details", { class: "operation", open: path === "/v1/turns" },
    element("summary", {}, element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path),
      element("span", { class: "what" }, facts.summary ?? "")), rows);
}

async function show() {
  const document = await (await fetch("/openapi.json", { credentials: "omit" })).json();
  const groups = new Map();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, facts] of Object.entries(methods)) {
      const group = facts.tags?.[0] ?? "other";
      groups.set(group, [...(groups.get(group) ?? []), operation(method, path, facts, document)]);
    }
  }
  page.append(element("h1", {}, "HTTP interface"),
    element("p", { class: "lead" }, `${document.info.description} Version ${document.info.version}.`));
  for (const group of [...groups.keys()].sort((a, b) => (b === "turns") - (a === "turns"))) {
    page.append(element("h2", {}, group), ...groups.get(group));
  }
  page.removeAttribute("aria-busy");
}

show();
