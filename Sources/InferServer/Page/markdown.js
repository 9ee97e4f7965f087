// GitHub's Markdown. Text becomes blocks, a block becomes a tree of plain objects, and `patch` (dom.js) makes elements
// of it: nothing in an answer is ever parsed as HTML.

const DEEPEST = 24;
const isBlank = (line) => !line || !line.trim();
const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +(.*)|[ \t]*)$/;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const DEFINITION = /^ {0,3}\[([^\]^][^\]]*)\]:[ \t]*<?([^\s>]+)>?(?:[ \t]+["'(](.*)["')])?[ \t]*$/;
const FOOTNOTE = /^ {0,3}\[\^([^\]\s]+)\]:[ \t]*(.*)$/;
const DETAILS = /^ {0,3}<details(?: open)?>/i;
const indentOf = (line) => line.length - line.trimStart().length;

function fenceAt(line) {
  const match = FENCE.exec(line);
  return match && !(match[2][0] === "`" && match[3].includes("`")) ? match : null;
}

/// Whether a line ends the paragraph before it.
const beginsBlock = (line) => fenceAt(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)
  || DETAILS.test(line) || /^ {0,3}(?:[-*+]|1[.)]) +\S/.test(line);

/// The top-level blocks of a text: `{ key, node }`; equal keys mean equal nodes.
function markdown(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n").map(expandTabs);
  const context = { links: new Map(), notes: new Map(), used: [] };
  collectDefinitions(lines, context);
  // Notes are numbered as they are met.
  const references = context.notes.size ? text.matchAll(/\[\^([^\]\s]+)\](?!:)/g) : [];
  for (const [, name] of references) {
    if (context.notes.has(name) && !context.used.includes(name)) context.used.push(name);
  }
  const suffix = context.links.size || context.used.length
    ? "\0" + JSON.stringify([[...context.links], context.used]) : "";
  const blocks = parseBlocks(lines, context, 0).map(({ from, to, block }) => ({
    key: lines.slice(from, to).join("\n") + suffix,
    get node() { return blockNode(block, context); },
  }));
  if (context.used.length) {
    blocks.push({
      key: "notes" + JSON.stringify([...context.notes]) + suffix,
      get node() {
        return el("ol", { class: "notes" },
          ...context.used.map((name) => el("li", {}, ...inline(context.notes.get(name), context))));
      },
    });
  }
  return blocks;
}

function expandTabs(line) {
  if (!/^ *\t/.test(line)) return line;
  let column = 0, at = 0;
  for (; line[at] === " " || line[at] === "\t"; at++) column += line[at] === "\t" ? 4 - column % 4 : 1;
  return " ".repeat(column) + line.slice(at);
}

function collectDefinitions(lines, context) {
  let fence = null;
  for (const line of lines) {
    const match = fenceAt(line.trimStart());
    if (fence) { if (match && match[2].startsWith(fence) && !match[3].trim()) fence = null; continue; }
    if (match) { fence = match[2]; continue; }
    const note = FOOTNOTE.exec(line);
    if (note) { context.notes.set(note[1], note[2]); continue; }
    const link = DEFINITION.exec(line);
    if (link && !context.links.has(link[1].toLowerCase())) context.links.set(link[1].toLowerCase(), link[2]);
  }
}

/// Blocks with the range of lines that each comes from.
function parseBlocks(lines, context, depth) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at]) || FOOTNOTE.test(lines[at]) || DEFINITION.test(lines[at])) { at++; continue; }
    const from = at;
    const [block, next] = blockAt(lines, at, context, depth);
    at = Math.max(next, at + 1);
    found.push({ from, to: at, block });
  }
  return found;
}
const children = (lines, context, depth) => parseBlocks(lines, context, depth).map((one) => one.block);

function blockAt(lines, at, context, depth) {
  const line = lines[at];
  const fence = fenceAt(line);
  if (fence) return fencedCode(lines, at, fence);
  const formula = displayMath(lines, at);
  if (formula) return formula;
  const heading = HEADING.exec(line);
  if (heading) return [{ type: "heading", level: heading[1].length, text: heading[2] ?? "" }, at + 1];
  if (RULE.test(line)) return [{ type: "rule" }, at + 1];
  if (depth < DEEPEST) {
    if (QUOTE.test(line)) return quoteAt(lines, at, context, depth);
    if (DETAILS.test(line)) return detailsAt(lines, at, context, depth);
    const item = ITEM.exec(line);
    if (item && item[1].length < 4) return listAt(lines, at, item, context, depth);
  }
  const table = tableAt(lines, at);
  if (table) return table;
  if (line.startsWith("    ")) return indentedCode(lines, at);
  return paragraphAt(lines, at);
}

function fencedCode(lines, at, [, indent, mark, info]) {
  const code = [];
  let next = at + 1, closed = false;
  const end = new RegExp("^ {0,3}" + (mark[0] === "`" ? "`" : "~") + "{" + mark.length + ",}[ \\t]*$");
  for (; next < lines.length; next++) {
    if (end.test(lines[next])) { closed = true; next++; break; }
    code.push(lines[next].slice(Math.min(indent.length, indentOf(lines[next]))));
  }
  const language = info.trim().split(/[\s{:,]/)[0].replace(/^\./, "").slice(0, 40);
  return [{ type: "code", language, text: code.join("\n"), closed }, next];
}

function indentedCode(lines, at) {
  const code = [];
  let next = at;
  while (next < lines.length && (lines[next].startsWith("    ") || isBlank(lines[next]))) {
    code.push(lines[next++].slice(4));
  }
  while (isBlank(code.at(-1))) { code.pop(); next--; }
  return [{ type: "code", language: "", text: code.join("\n"), closed: true }, next];
}

/// `$$…$$` or `\[…\]` on lines of their own.
function displayMath(lines, at) {
  const open = /^ *(\$\$|\\\[)/.exec(lines[at])?.[1];
  if (!open) return null;
  const close = open === "$$" ? "$$" : "\\]";
  let text = lines[at].trim().slice(2);
  for (let next = at; next < Math.min(lines.length, at + 200); text += "\n" + (lines[++next] ?? "")) {
    if (isBlank(lines[next])) return null;
    const trimmed = text.trimEnd();
    const end = text.indexOf(close);
    if (end < 0) continue;
    return end + 2 === trimmed.length && trimmed.length > 2
      ? [{ type: "math", text: trimmed.slice(0, -2).trim() }, next + 1] : null;
  }
  return null;
}

function quoteAt(lines, at, context, depth) {
  const inner = [];
  let next = at;
  while (next < lines.length) {
    if (QUOTE.test(lines[next])) inner.push(expandTabs(lines[next].replace(QUOTE, "")));
    // A paragraph goes on without the mark.
    else if (!isBlank(lines[next]) && !beginsBlock(lines[next]) && !isBlank(inner.at(-1))
      && !fenceAt(inner.at(-1)) && !HEADING.test(inner.at(-1)) && !RULE.test(inner.at(-1))) inner.push(lines[next]);
    else break;
    next++;
  }
  const alert = /^\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\s*$/i.exec(inner[0]);
  if (alert) inner.shift();
  return [{ type: "quote", alert: alert?.[1].toLowerCase(), blocks: children(inner, context, depth + 1) }, next];
}

function detailsAt(lines, at, context, depth) {
  let next = at, level = 0;
  const inner = [];
  for (; next < lines.length; next++) {
    level += (lines[next].match(/<details/gi) ?? []).length - (lines[next].match(/<\/details>/gi) ?? []).length;
    inner.push(lines[next]);
    if (level <= 0) { next++; break; }
  }
  const text = inner.join("\n").replace(/^ *<details(?: open)?>/i, "").replace(/<\/details>\s*$/i, "");
  const summary = /^\s*<summary>([\s\S]*?)<\/summary>/i.exec(text);
  const rest = text.slice(summary?.[0].length ?? 0).split("\n");
  return [{ type: "details", summary: summary?.[1].trim() ?? "Details", blocks: children(rest, context, depth + 1) },
    next];
}

function listAt(lines, at, first, context, depth) {
  const kind = /\d/.test(first[2]) ? first[2].at(-1) : first[2];
  const base = first[1].length;
  const list = { type: "list", ordered: /\d/.test(first[2]), start: parseInt(first[2], 10), items: [], loose: false };
  let next = at, wasBlank = false;
  while (next < lines.length) {
    const match = ITEM.exec(lines[next]);
    const mark = match && (/\d/.test(match[2]) ? match[2].at(-1) : match[2]);
    if (!match || mark !== kind || match[1].length > base + 3 || match[1].length < base && next > at && base < 2
      || RULE.test(lines[next])) break;
    if (wasBlank) list.loose = true;
    const spaces = lines[next].length - (match[1] + match[2]).length - (match[3] ?? "").length;
    const offset = match[1].length + match[2].length + (match[3] && spaces < 5 ? spaces : 1);
    const inner = [lines[next].slice(offset)];
    next++;
    let fence = fenceAt(inner[0].trimStart())?.[2] ?? null;
    wasBlank = false;
    for (; next < lines.length; next++) {
      const line = lines[next];
      if (isBlank(line)) { inner.push(""); wasBlank = true; continue; }
      const indent = indentOf(line);
      // Two columns are enough for what is plainly meant to stand within the item.
      const isInside = indent >= offset || indent >= match[1].length + 2 && (ITEM.test(line) || fenceAt(line.trim()))
        || fence !== null && indent > match[1].length;
      if (isInside) {
        if (wasBlank && !fence && indent < offset + 2 && !ITEM.test(line)) list.loose = true;
        inner.push(line.slice(Math.min(indent, offset)));
        const found = fenceAt(inner.at(-1).trimStart());
        if (fence) { if (found && found[2].startsWith(fence) && !found[3].trim()) fence = null; }
        else if (found) fence = found[2];
        wasBlank = false;
      } else if (!wasBlank && !fence && !beginsBlock(line) && !ITEM.test(line) && !isBlank(inner.at(-1))) {
        inner.push(line);
      } else break;
    }
    while (isBlank(inner.at(-1)) && inner.length > 1) inner.pop();
    const task = /^\[([ xX])\] +/.exec(inner[0]);
    if (task) inner[0] = inner[0].slice(task[0].length);
    list.items.push({ task: task && task[1] !== " ", isTask: !!task, blocks: children(inner, context, depth + 1) });
  }
  while (next > at + 1 && isBlank(lines[next - 1])) next--;
  return [list, next];
}

function rowCells(line, count) {
  const text = line.trim().replace(/^\|/, "");
  const split = (inCode) => {
    const cells = [""];
    for (let at = 0; at < text.length; at++) {
      const run = inCode && text[at] === "`" ? /^`+/.exec(text.slice(at))[0] : "";
      const end = run ? text.indexOf(run, at + run.length) : -1;
      if (text[at] === "\\" && text[at + 1] === "|") { cells[cells.length - 1] += "|"; at++; }
      else if (text[at] === "\\" && at + 1 < text.length) { cells[cells.length - 1] += text[at] + text[++at]; }
      else if (end > 0) {
        cells[cells.length - 1] += text.slice(at, end + run.length).replace(/\\\|/g, "|");
        at = end + run.length - 1;
      } else if (text[at] === "|") cells.push("");
      else cells[cells.length - 1] += text[at];
    }
    if (cells.length > 1 && isBlank(cells.at(-1))) cells.pop();
    return cells.map((cell) => cell.trim());
  };
  // GitHub cuts at every bar; a bar in code is meant where the row then has as many cells as the head.
  const [plain, careful] = [split(false), split(true)];
  return count !== undefined && plain.length !== count && careful.length <= count ? careful : plain;
}

function tableAt(lines, at) {
  const marks = lines[at + 1];
  if (!lines[at].includes("|") || !marks?.includes("|") || !DELIMITERS.test(marks)) return null;
  const sides = rowCells(marks).map((cell) =>
    cell.startsWith(":") && cell.endsWith(":") ? "center" : cell.endsWith(":") ? "right" : "");
  const head = rowCells(lines[at], sides.length);
  if (head.length !== sides.length) return null;
  const rows = [];
  let next = at + 2;
  while (next < lines.length && !isBlank(lines[next]) && lines[next].includes("|") && !beginsBlock(lines[next])) {
    rows.push(rowCells(lines[next++], sides.length));
  }
  return [{ type: "table", sides, head, rows }, next];
}

function paragraphAt(lines, at) {
  const text = [lines[at].trimStart()];
  let next = at + 1;
  for (; next < lines.length && !isBlank(lines[next]); next++) {
    const under = /^ {0,3}(=+|-{2,})[ \t]*$/.exec(lines[next]);
    if (under) return [{ type: "heading", level: under[1][0] === "=" ? 1 : 2, text: text.join("\n").trim() }, next + 1];
    if (beginsBlock(lines[next]) || displayMath(lines, next)) break;
    if (tableAt(lines, next)) break;
    text.push(lines[next].trimStart());
  }
  return [{ type: "paragraph", text: text.join("\n") }, next];
}

// ---- Blocks as trees ----
function blockNode(block, context) {
  switch (block.type) {
    case "heading": return el("h" + block.level, {}, ...inline(block.text, context));
    case "rule": return el("hr");
    case "code": return codeNode(block);
    case "math": return el("div", { class: "formula", tabindex: "0" }, mathNode(block.text, true));
    case "table": return tableNode(block, context);
    case "list": return listNode(block, context);
    case "details":
      return el("details", {}, el("summary", {}, ...inline(block.summary, context)),
        ...block.blocks.map((one) => blockNode(one, context)));
    case "quote":
      return el("blockquote", block.alert ? { class: "alert " + block.alert } : {},
        ...(block.alert ? [el("p", { class: "title" }, block.alert[0].toUpperCase() + block.alert.slice(1))] : []),
        ...block.blocks.map((one) => blockNode(one, context)));
    default: return el("p", {}, ...inline(block.text.trimEnd(), context));
  }
}
function codeNode({ language, text }) {
  const name = language || "text";
  return el("div", { class: "block" },
    el("div", { class: "bar" }, el("span", {}, language),
      el("button", { class: "quiet copy", type: "button", "aria-label": `Copy ${name}` }, "Copy")),
    el("pre", { tabindex: "0", role: "region", "aria-label": `Code: ${name}` },
      el("code", {}, ...highlight(text, language))));
}
function tableNode({ sides, head, rows }, context) {
  const row = (tag, cells) => el("tr", {}, ...sides.map((side, column) =>
    el(tag, { ...(side && { class: side }), ...(tag === "th" && { scope: "col" }) },
      ...inline(cells[column] ?? "", context))));
  return el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" },
    el("table", {}, el("thead", {}, row("th", head)), el("tbody", {}, ...rows.map((cells) => row("td", cells)))));
}
function listNode({ ordered, start, items, loose }, context) {
  const kids = items.map((item) => {
    const parts = item.blocks.flatMap((block) => block.type === "paragraph" && !loose
      ? inline(block.text.trimEnd(), context) : [blockNode(block, context)]);
    if (!item.isTask) return el("li", {}, ...parts);
    const box = el("input", {
      type: "checkbox", disabled: "", "aria-label": item.task ? "done" : "to do", ...(item.task && { checked: "" }),
    });
    return el("li", { class: "task" }, box, " ", ...parts);
  });
  return el(ordered ? "ol" : "ul", ordered && start !== 1 ? { start: String(start) } : {}, ...kids);
}
