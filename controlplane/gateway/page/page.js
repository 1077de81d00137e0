"use strict";
// Shows openapi.json to people. Everything is set as text, never as markup.

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
};

let schemas = {};

const named = (schema) => (schema?.$ref ? schemas[schema.$ref.split("/").pop()] ?? {} : schema ?? {});

const typeOf = (schema) => {
  if (schema?.$ref) return schema.$ref.split("/").pop().split(".").pop();
  if (schema?.oneOf) return typeOf(schema.oneOf[0]);
  if (schema?.type === "array") return `${typeOf(schema.items)}[]`;
  if (schema?.enum) return schema.enum.join(" | ");
  return [schema?.type ?? "any", schema?.format].filter(Boolean).join(" ");
};

// An example of a schema, each message once: some hold themselves.
const example = (schema, above = []) => {
  if (schema?.$ref) {
    if (above.includes(schema.$ref)) return {};
    return example(named(schema), [...above, schema.$ref]);
  }
  if (schema?.example !== undefined) return schema.example;
  if (schema?.oneOf) return example(schema.oneOf[0], above);
  if (schema?.enum) return schema.enum[schema.enum.length > 1 ? 1 : 0];
  if (schema?.type === "array") return [example(schema.items, above)];
  if (schema?.type === "object") {
    const fields = Object.entries(schema.properties ?? {});
    return Object.fromEntries(fields.map(([name, field]) => [name, example(field, above)]));
  }
  if (schema?.type === "boolean") return true;
  if (schema?.type === "integer" || schema?.type === "number") return schema.minimum > 0 ? schema.minimum : 0;
  return schema?.format === "date-time" ? "2026-03-01T12:00:00Z" : schema?.format?.endsWith("int64") ? "0" : "…";
};

const pretty = (value) => element("pre", {}, JSON.stringify(value, null, 2));

const table = (headings, rows) =>
  element("table", {},
    element("thead", {}, element("tr", {}, ...headings.map((text) => element("th", {}, text)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))));

const parameters = (operation) => {
  const rows = (operation.parameters ?? []).map((one) => [
    element("code", {}, one.name), one.in, typeOf(one.schema), one.description ?? "", one.required ? "yes" : "",
  ]);
  return rows.length ? table(["parameter", "in", "type", "what", "needed"], rows) : null;
};

const contents = (content) =>
  Object.entries(content ?? {}).flatMap(([type, { schema }]) => [
    element("p", { class: "what" }, type),
    type === "application/json" || type.endsWith("ndjson") ? pretty(example(schema)) : null,
  ]);

const needs = (operation) => {
  const rows = Object.entries(operation).filter(([key]) => key.startsWith("x-solward-"));
  const shown = rows.map(([key, value]) => [key.slice("x-solward-".length).replaceAll("-", " "), String(value)]);
  return shown.length ? table(["needs", ""], shown) : null;
};

const details = (operation) => {
  const answer = operation.responses?.["200"];
  return element("div", { class: "body" },
    operation.description ? element("p", {}, operation.description) : null,
    needs(operation), parameters(operation),
    operation.requestBody ? element("h3", {}, "Body") : null, ...contents(operation.requestBody?.content),
    element("h3", {}, "Answer"), ...contents(answer?.content));
};

const row = (path, verb, operation) => {
  const shown = element("details", { id: operation.operationId },
    element("summary", {}, element("span", { class: `verb ${verb}` }, verb.toUpperCase()), element("code", {}, path),
      element("span", { class: "what" }, operation.summary ?? "")));
  // Made when it is opened: there are hundreds.
  shown.addEventListener("toggle", () => {
    if (shown.open && !shown.querySelector(".body")) shown.append(details(operation));
  });
  shown.dataset.text = [verb, path, operation.summary, operation["x-solward-rpc"], operation["x-solward-permission"]].join(" ").toLowerCase();
  return shown;
};

const show = (found) => {
  schemas = found.components.schemas;
  const areas = new Map();
  for (const [path, verbs] of Object.entries(found.paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      const tag = operation.tags?.[0] ?? "other";
      if (!areas.has(tag)) areas.set(tag, []);
      areas.get(tag).push(row(path, verb, operation));
    }
  }
  const main = document.getElementById("all");
  main.replaceChildren();
  main.setAttribute("aria-busy", "false");
  for (const [tag, rows] of [...areas].sort()) {
    main.append(element("section", {}, element("h2", { id: `area-${tag}` }, tag), ...rows));
    document.getElementById("tags").append(element("a", { href: `#area-${tag}` }, tag));
  }
  const find = document.getElementById("find");
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const one of main.querySelectorAll("details")) {
      one.hidden = !words.every((word) => one.dataset.text.includes(word));
    }
    for (const section of main.querySelectorAll("section")) {
      section.hidden = !section.querySelector("details:not([hidden])");
    }
    document.getElementById("count").textContent = `${main.querySelectorAll("details:not([hidden])").length} calls`;
  };
  find.addEventListener("input", filter);
  filter();
  const jump = () => {
    const aim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (aim?.matches("details")) aim.open = true;
    aim?.scrollIntoView();
  };
  window.addEventListener("hashchange", jump);
  if (location.hash) jump();
};

fetch("/openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById("all").textContent = `The document cannot be read: ${error}`;
});
