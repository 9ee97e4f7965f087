// What stands within a block: emphasis, code, links, formulas. CommonMark's algorithm with a stack of delimiters.

const ESCAPABLE = /[!-/:-@[-`{-~]/;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const BARE_LINK = /(?:https?:\/\/|www\.)[^\s<>"`]+/y;
const ENTITY = /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]{2,8}));/y;
const ENTITIES = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", hellip: "…",
  mdash: "—", ndash: "–", larr: "←", rarr: "→", uarr: "↑", darr: "↓", times: "×", divide: "÷", deg: "°", plusmn: "±",
  le: "≤", ge: "≥", ne: "≠", infin: "∞", bull: "•", middot: "·", laquo: "«", raquo: "»", euro: "€", pound: "£",
};
const TAG = /<(\/?)(br|sub|sup|kbd|b|i|u|s|em|strong|mark|small|del|ins)\s*(\/?)>/iy;

function safeAddress(address) {
  const text = address.replace(/[\u0000-\u0020]/g, "");
  return /^(?:https?:|mailto:)/i.test(text) || !/^[^/?#]*:/.test(text) ? text : null;
}
const link = (address, kids, title) => el("a", {
  href: address, target: "_blank", rel: "noopener noreferrer", ...(title && { title }),
}, ...kids);

/// A text as a list of nodes.
function inline(text, context, depth = 0) {
  const out = [];             // strings, nodes, delimiters
  const brackets = [];        // places in `out` of `[` and `![`
  const missing = new Set();  // lengths of runs of ` that nothing closes
  let plain = "", at = 0;
  const flush = () => { if (plain) out.push(plain); plain = ""; };
  const add = (node, end) => { flush(); out.push(node); at = end; };
  const sticky = (expression) => { expression.lastIndex = at; return expression.exec(text); };
  while (at < text.length) {
    const c = text[at];
    let match;
    if (c === "\\") {
      const formula = inlineMath(text, at);
      if (formula) { add(mathNode(formula.text, formula.isDisplay), formula.end); continue; }
      if (text[at + 1] === "\n") { add(el("br"), at + 2); continue; }
      if (ESCAPABLE.test(text[at + 1] ?? "")) { plain += text[at + 1]; at += 2; continue; }
    } else if (c === "`") {
      const run = /^`+/.exec(text.slice(at, at + 64))[0];
      const end = missing.has(run.length) ? -1 : closingRun(text, at + run.length, run.length);
      if (end >= 0) {
        let code = text.slice(at + run.length, end).replace(/\n/g, " ");
        if (/^ .* $/.test(code) && code.trim()) code = code.slice(1, -1);
        add(el("code", {}, code), end + run.length);
        continue;
      }
      missing.add(run.length);
      plain += run;
      at += run.length;
      continue;
    } else if (c === "$") {
      const formula = inlineMath(text, at);
      if (formula) { add(mathNode(formula.text, formula.isDisplay), formula.end); continue; }
    } else if (c === "<") {
      const auto = /^<((?:https?:\/\/|mailto:)[^\s<>]+)>/i.exec(text.slice(at, at + 2000));
      if (auto) { add(link(auto[1], [auto[1]]), at + auto[0].length); continue; }
      if ((match = sticky(TAG))) {
        const tag = match[2].toLowerCase();
        if (tag === "br") { add(el("br"), at + match[0].length); continue; }
        const end = match[1] || match[3] || depth > DEEPEST ? -1 : closingTag(text, at + match[0].length, tag);
        if (end >= 0) {
          add(el(tag, {}, ...inline(text.slice(at + match[0].length, end), context, depth + 1)),
            end + tag.length + 3);
          continue;
        }
      }
    } else if (c === "&" && (match = sticky(ENTITY))) {
      const number = match[1] ? parseInt(match[1], 10) : match[2] ? parseInt(match[2], 16) : -1;
      const found = number > 0 && number <= 0x10ffff && (number < 0xd800 || number > 0xdfff)
        ? String.fromCodePoint(number) : ENTITIES[match[3]];
      if (found) { plain += found; at += match[0].length; continue; }
    } else if ((c === "h" || c === "w") && !/\w/.test(text[at - 1] ?? "") && (match = sticky(BARE_LINK))
      && !brackets.length) {
      const address = trimmedLink(match[0]);
      if (address.length > 8) {
        add(link(c === "w" ? "http://" + address : address, [address]), at + address.length);
        continue;
      }
    } else if (c === "\n") {
      plain = plain.replace(/ +$/, "");
      add(el("br"), at + 1);
      while (text[at] === " ") at++;
      continue;
    } else if (c === "*" || c === "_" || c === "~") {
      const run = new RegExp(`\\${c}+`, "y");
      const length = sticky(run)[0].length;
      // GitHub would make 2*3*4 slanted.
      const isTimes = c === "*" && length === 1 && /\d/.test(text[at - 1] ?? "") && /\d/.test(text[at + 1] ?? "");
      if (c === "~" ? length === 2 : !isTimes) {
        flush();
        out.push({ ...flanks(text, at, length), mark: c, count: length, original: length });
        at += length;
        continue;
      }
      plain += text.slice(at, at + length);
      at += length;
      continue;
    } else if (c === "[" || c === "!" && text[at + 1] === "[") {
      const note = c === "[" && /^\[\^([^\]\s]+)\]/.exec(text.slice(at, at + 200));
      if (note && context.notes.has(note[1])) {
        const number = String(context.used.indexOf(note[1]) + 1);
        add(el("sup", { title: context.notes.get(note[1]) }, `[${number}]`), at + note[0].length);
        continue;
      }
      flush();
      const isImage = c === "!";
      brackets.push({ place: out.length, isImage, from: at + (isImage ? 2 : 1) });
      out.push(isImage ? "![" : "[");
      at += isImage ? 2 : 1;
      continue;
    } else if (c === "]" && brackets.length) {
      flush();
      const open = brackets.pop();
      const target = linkTarget(text, at, text.slice(open.from, at), context);
      const address = target && safeAddress(target.address);
      if (target && address !== null) {
        const kids = emphasis(out.splice(open.place).slice(1));
        if (open.isImage) add(imageNode(address, plainText(kids)), target.end);
        else {
          add(link(address, kids, target.title), target.end);
          for (const other of brackets) other.isDead = !other.isImage;
          while (brackets.some((one) => one.isDead)) brackets.splice(brackets.findIndex((one) => one.isDead), 1);
        }
        continue;
      }
    }
    plain += c;
    at++;
  }
  flush();
  return emphasis(out);
}

function closingRun(text, from, length) {
  for (let at = text.indexOf("`", from); at >= 0; at = text.indexOf("`", at)) {
    let end = at;
    while (text[end] === "`") end++;
    if (end - at === length) return at;
    at = end;
  }
  return -1;
}
function closingTag(text, from, tag) {
  const end = text.slice(from).search(new RegExp(`</${tag}>`, "i"));
  return end < 0 ? -1 : from + end;
}

function trimmedLink(address) {
  for (;;) {
    const before = address;
    address = address.replace(/(?:[?!.,:*_~'"]|&[a-z]+;)+$/i, "");
    while (address.endsWith(")") && address.split(")").length > address.split("(").length) {
      address = address.slice(0, -1);
    }
    while (address.endsWith("]") && !address.includes("[")) address = address.slice(0, -1);
    if (address === before) return address;
  }
}

/// Where a formula that begins at `at` ends, or null. A dollar sign opens one only where it cannot be money.
function inlineMath(text, at) {
  const open = text.startsWith("$$", at) ? "$$" : text[at] === "$" ? "$" : text.slice(at, at + 2);
  if (!["$", "$$", "\\(", "\\["].includes(open)) return null;
  const close = { "\\(": "\\)", "\\[": "\\]" }[open] ?? open;
  const start = at + open.length;
  for (let end = start; end < Math.min(text.length, start + 2000); end++) {
    if (!text.startsWith(close, end)) {
      if (text[end] === "\\") end++;
      if (open === "$" && text[end] === "\n" && text[end + 1] === "\n") return null;
      continue;
    }
    const inner = text.slice(start, end);
    if (!inner.trim()) return null;
    if (open === "$" && (/^\s|\s$/.test(inner) || /\d/.test(text[end + 1] ?? "") || inner.includes("`"))) return null;
    return { text: inner.trim(), end: end + close.length, isDisplay: open === "$$" || open === "\\[" };
  }
  return null;
}

function linkTarget(text, at, label, context) {
  if (text[at + 1] === "(") {
    const match = /^\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.|\([^\s()]*\))*\))*))(?:\s+(?:"([^"]*)"|'([^']*)'))?\s*\)/
      .exec(text.slice(at + 1, at + 4000));
    if (match) {
      const address = (match[1] ?? match[2] ?? "").replace(/\\([!-/:-@[-`{-~])/g, "$1");
      return { address, title: match[3] ?? match[4], end: at + 1 + match[0].length };
    }
  }
  const reference = /^\[([^\]]*)\]/.exec(text.slice(at + 1, at + 400));
  const name = (reference?.[1] || label).toLowerCase();
  if (!context.links.has(name)) return null;
  return { address: context.links.get(name), end: at + 1 + (reference?.[0].length ?? 0) };
}

/// Pictures from elsewhere are links: the page asks nobody but its server.
const imageNode = (address, text) => /^data:image\/(?:png|jpe?g|gif|webp);/i.test(address)
  ? el("img", { src: address, alt: text }) : link(address, ["🖼 " + (text || address)]);
const plainText = (nodes) => nodes.map((one) => typeof one === "string" ? one : plainText(one.kids ?? [])).join("");

function flanks(text, at, length) {
  const before = at ? lastCharacter(text.slice(0, at)) : " ";
  const after = text.slice(at + length, at + length + 2) ? String.fromCodePoint(text.codePointAt(at + length)) : " ";
  const [spaceBefore, spaceAfter] = [/\s/.test(before), /\s/.test(after)];
  const [markBefore, markAfter] = [PUNCTUATION.test(before), PUNCTUATION.test(after)];
  const left = !spaceAfter && (!markAfter || spaceBefore || markBefore);
  const right = !spaceBefore && (!markBefore || spaceAfter || markAfter);
  return text[at] === "_"
    ? { opens: left && (!right || markBefore), closes: right && (!left || markAfter) }
    : { opens: left, closes: right };
}
function lastCharacter(text) {
  const last = text.slice(-2);
  return last.length === 2 && /[\ud800-\udbff]/.test(last[0]) ? last : last.slice(-1);
}

/// Pairs of delimiters become elements; what is left of them is text.
function emphasis(list) {
  const lowest = {};
  for (let close = 0; close < list.length; close++) {
    const closer = list[close];
    if (!closer?.mark || !closer.closes || !closer.count) continue;
    const key = closer.mark + closer.original % 3 + closer.opens;
    let open = close - 1;
    for (; open >= (lowest[key] ?? 0); open--) {
      const opener = list[open];
      if (!opener?.mark || opener.mark !== closer.mark || !opener.opens || !opener.count) continue;
      const isOdd = (opener.closes || closer.opens) && (opener.original + closer.original) % 3 === 0
        && (opener.original % 3 || closer.original % 3);
      if (closer.mark === "~" || !isOdd) break;
    }
    if (open < (lowest[key] ?? 0)) { lowest[key] = close; continue; }
    const opener = list[open];
    const width = opener.count >= 2 && closer.count >= 2 ? 2 : 1;
    const kids = list.slice(open + 1, close).map(undelimited).filter((one) => one !== "");
    const tag = closer.mark === "~" ? "del" : width === 2 ? "strong" : "em";
    opener.count -= width;
    closer.count -= width;
    list.splice(open + 1, close - open - 1, el(tag, {}, ...kids));
    for (const name in lowest) if (lowest[name] > open) lowest[name] = open + 1;
    close = open + 1;  // the new element; the closer, behind it, may close more
    if (!closer.count) continue;
  }
  return joined(list.map(undelimited));
}
const undelimited = (one) => one?.mark ? one.mark.repeat(one.count) : one;
function joined(list) {
  const result = [];
  for (const one of list) {
    if (typeof one === "string" && typeof result.at(-1) === "string") result[result.length - 1] += one;
    else if (one !== "") result.push(one);
  }
  return result;
}
