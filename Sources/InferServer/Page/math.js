// LaTeX's formulas as MathML, which browsers draw by themselves.

/// A formula as a tree; what cannot be read is shown as it was written.
function mathNode(text, isDisplay) {
  try {
    if (text.length > 8000) throw new Error("too long");
    const row = new MathReader(text, isDisplay).whole();
    return el("math", { ...(isDisplay && { display: "block" }), alttext: text },
      el("semantics", {}, row, el("annotation", { encoding: "application/x-tex" }, text)));
  } catch {
    return el("code", { class: "unread" }, isDisplay ? `$$${text}$$` : `$${text}$`);
  }
}

const mo = (text, attributes = {}) => el("mo", attributes, text);
const mrow = (nodes) => nodes.length === 1 ? nodes[0] : el("mrow", {}, ...nodes);
const mspace = (width) => el("mspace", { width });
const mfenced = (open, inner, close) => mrow([
  ...(open ? [mo(open, { fence: "true", stretchy: "true" })] : []), inner,
  ...(close ? [mo(close, { fence: "true", stretchy: "true" })] : []),
]);
function inAlphabet(text, font) {
  const [upper, lower, digit, others] = ALPHABETS[font];
  return [...text].map((c) => {
    const elsewhere = others.indexOf(c);
    if (elsewhere >= 0 && elsewhere % 2 === 0 && /[A-Za-z]/.test(c)) return others[elsewhere + 1];
    if (/[A-Z]/.test(c)) return String.fromCodePoint(upper + c.charCodeAt(0) - 65);
    if (/[a-z]/.test(c)) return String.fromCodePoint(lower + c.charCodeAt(0) - 97);
    return digit && /\d/.test(c) ? String.fromCodePoint(digit + Number(c)) : c;
  }).join("");
}

class MathReader {
  constructor(text, isDisplay) {
    this.tokens = text.match(/\\(?:[a-zA-Z]+|[^])|\d+(?:[.,]\d+)*|\s+|[^]/gu) ?? [];
    this.at = 0;
    this.isDisplay = isDisplay;
    this.depth = 0;
    this.font = null;
  }

  whole() {
    const rows = this.table((token) => token === undefined, "align");
    if (this.at < this.tokens.length) throw new Error("more than one formula");
    return rows;
  }

  peek() { this.skip(); return this.tokens[this.at]; }
  next() { this.skip(); return this.tokens[this.at++]; }
  skip() {
    for (;;) {
      const token = this.tokens[this.at];
      if (token === "%") while (this.at < this.tokens.length && !this.tokens[this.at].includes("\n")) this.at++;
      else if (token !== undefined && !token.trim()) this.at++;
      else return;
    }
  }

  /// Everything up to a token that ends it, which is left.
  row(isEnd) {
    if (++this.depth > 60) throw new Error("too deep");
    const font = this.font;
    let nodes = [];
    for (let token = this.peek(); !isEnd(token); token = this.peek()) {
      if (token === undefined || token === "}" || token === "\\right" || token === "\\end") {
        throw new Error("unbalanced");
      }
      if (token === "\\over" || token === "\\choose" || token === "\\atop") {
        this.next();
        const below = this.row(isEnd);
        const bar = token === "\\over" ? {} : { linethickness: "0" };
        const fraction = el("mfrac", bar, mrow(nodes), mrow(below));
        nodes = [token === "\\choose" ? mfenced("(", fraction, ")") : fraction];
        break;
      }
      const node = this.scripted();
      if (node) nodes.push(node);
    }
    this.depth--;
    this.font = font;
    return nodes;
  }

  /// `{…}` or one atom.
  argument() {
    if (this.peek() !== "{") {
      // Without braces it is one digit.
      const number = this.tokens[this.at];
      if (/^\d./.test(number ?? "")) this.tokens.splice(this.at, 1, number[0], number.slice(1));
      const node = this.atom();
      if (!node) throw new Error("nothing to take");
      return node;
    }
    this.next();
    const nodes = this.row((token) => token === "}");
    this.next();
    return mrow(nodes);
  }
  option() {
    if (this.peek() !== "[") return null;
    this.next();
    const nodes = this.row((token) => token === "]");
    this.next();
    return mrow(nodes);
  }
  /// The text of `{…}`, spaces included.
  raw() {
    if (this.peek() !== "{") return this.next() ?? "";
    this.at++;
    let text = "", level = 1;
    for (; this.at < this.tokens.length; this.at++) {
      const token = this.tokens[this.at];
      if (token === "{") level++;
      if (token === "}" && --level === 0) { this.at++; return text; }
      text += token;
    }
    throw new Error("unbalanced");
  }

  scripted() {
    const token = this.peek();
    const base = token === "^" || token === "_" || token === "'" ? el("mrow") : this.atom();
    if (!base) return null;
    let [above, below] = [null, null];
    let hasLimits = base.limits && this.isDisplay;
    for (;;) {
      const mark = this.peek();
      if (mark === "\\limits" || mark === "\\nolimits") { this.next(); hasLimits = mark === "\\limits"; }
      else if (mark === "^" && !above) { this.next(); above = this.argument(); }
      else if (mark === "_" && !below) { this.next(); below = this.argument(); }
      else if (mark === "'") {
        let primes = "";
        while (this.peek() === "'") { this.next(); primes += "′"; }
        if (this.peek() === "^") { this.next(); above = mrow([mo(primes), this.argument()]); } else above = mo(primes);
      } else if (mark === "^" || mark === "_") throw new Error("two of them");
      else break;
    }
    if (!above && !below) return base;
    const [both, upper, lower] = hasLimits || base.stacks ? ["munderover", "mover", "munder"] : ["msubsup", "msup", "msub"];
    return above && below ? el(both, {}, base, below, above) : above ? el(upper, {}, base, above) : el(lower, {}, base, below);
  }

  atom() {
    const token = this.next();
    if (token === undefined) return null;
    if (token[0] === "\\") return this.command(token.slice(1));
    if (token === "{") {
      const nodes = this.row((one) => one === "}");
      this.next();
      return el("mrow", {}, ...nodes);
    }
    if (token === "~") return mspace("0.333em");
    if (token === "&" || token === "}") throw new Error("out of place");
    if (/^\d/.test(token)) return el("mn", {}, this.styled(token));
    if (/^\p{L}$/u.test(token)) return this.letter(token);
    if (token === "|") return mo(token, { stretchy: "false", lspace: "0.05em", rspace: "0.05em" });
    if ("()[]".includes(token)) return mo(token, { stretchy: "false" });
    return mo({ "-": "−", "*": "∗", ":": "∶" }[token] ?? token);
  }
  styled(text) { return ALPHABETS[this.font] ? inAlphabet(text, this.font) : text; }
  letter(text) {
    const styled = this.styled(text);
    return el("mi", this.font && this.font !== "italic" ? { mathvariant: "normal" } : {}, styled);
  }

  command(name) {
    if (name in LETTERS) {
      const isUpright = !/\p{L}/u.test(LETTERS[name]) || /[\p{Lu}]/u.test(LETTERS[name]);
      const isBold = this.font === "bold" || this.font === "boldItalic";
      return el("mi", { ...(isUpright && { mathvariant: "normal" }), ...(isBold && { class: "bold" }) }, LETTERS[name]);
    }
    if (name in OPERATORS) return mo(OPERATORS[name], /^[lr]?[vV]ert$/.test(name) ? { stretchy: "false" } : {});
    if (name in LARGE) return Object.assign(mo(LARGE[name], { movablelimits: "false" }), { limits: true });
    if (name in INTEGRALS) return mo(INTEGRALS[name]);
    if (FUNCTIONS.has(name)) return this.applied(el("mi", { mathvariant: "normal" }, name));
    if (LIMITS.has(name)) {
      const text = { limsup: "lim sup", liminf: "lim inf", argmax: "arg max", argmin: "arg min" }[name] ?? name;
      return Object.assign(el("mi", { mathvariant: "normal" }, text), { limits: true });
    }
    if (name in SPACES) return mspace(SPACES[name]);
    if (name in TEXTS) return this.words(TEXTS[name]);
    if (name in FONTS) return this.withFont(FONTS[name]);
    if (name in ACCENTS) {
      const isWide = /^(wide|over)/.test(name);
      const accent = mo(ACCENTS[name], { stretchy: String(isWide), ...(!isWide && { accent: "true" }) });
      return Object.assign(el("mover", isWide ? {} : { accent: "true" }, this.argument(), accent),
        { stacks: name.startsWith("overbr") });
    }
    if (name in UNDERS) {
      return Object.assign(el("munder", {}, this.argument(), mo(UNDERS[name], { stretchy: "true" })),
        { stacks: name.startsWith("underbr") });
    }
    const size = /^(big|Big|bigg|Bigg)[lrm]?$/.exec(name)?.[1];
    if (size) {
      const height = { big: "1.2em", Big: "1.8em", bigg: "2.4em", Bigg: "3em" }[size];
      return mo(this.fence(), { stretchy: "true", minsize: height, maxsize: height });
    }
    if (name in ARROWS) {
      const below = this.option();
      const arrow = mo(ARROWS[name], { stretchy: "true" });
      return below ? el("munderover", {}, arrow, below, this.argument()) : el("mover", {}, arrow, this.argument());
    }
    switch (name) {
      case " ": case "\n": return mspace("0.333em");
      case "frac": case "dfrac": case "tfrac": case "cfrac": return el("mfrac", {}, this.argument(), this.argument());
      case "binom": case "dbinom": case "tbinom":
        return mfenced("(", el("mfrac", { linethickness: "0" }, this.argument(), this.argument()), ")");
      case "sqrt": {
        const index = this.option();
        return index ? el("mroot", {}, this.argument(), index) : el("msqrt", {}, this.argument());
      }
      case "left": return this.fenced();
      case "middle": return mo(this.fence(), { stretchy: "true" });
      case "begin": return this.environment();
      case "operatorname": case "mathop": {
        const limits = this.peek() === "*";
        if (limits) this.next();
        const text = this.raw().replace(/\\[,;: !]/g, " ").replace(/\\[a-z]+\s*/gi, "").replace(/[{}]/g, "");
        const node = el("mi", { mathvariant: "normal" }, text);
        return limits ? Object.assign(node, { limits }) : this.applied(node);
      }
      case "overset": case "stackrel": {
        const above = this.argument();
        return el("mover", {}, this.argument(), above);
      }
      case "underset": {
        const below = this.argument();
        return el("munder", {}, this.argument(), below);
      }
      case "substack": {
        this.next();
        const rows = this.table((token) => token === "}", "");
        this.next();
        return rows;
      }
      case "not": {
        const node = this.atom();
        if (typeof node?.kids[0] !== "string") throw new Error("nothing to deny");
        return el(node.tag, node.attributes, node.kids[0] + "\u0338");
      }
      case "boxed": case "fbox": return el("mrow", { class: "boxed" }, this.argument());
      case "cancel": case "bcancel": case "xcancel": return el("mrow", { class: "cancelled" }, this.argument());
      case "phantom": case "hphantom": case "vphantom": return el("mphantom", {}, this.argument());
      case "color": { this.raw(); return null; }
      case "textcolor": case "colorbox": { this.raw(); return this.argument(); }
      case "pmod": return mrow([mspace("1em"), mo("("), el("mi", { mathvariant: "normal" }, "mod"), mspace("0.3em"),
        this.argument(), mo(")")]);
      case "bmod": case "mod": return mo("mod", { lspace: "0.3em", rspace: "0.3em" });
      case "tag": return mrow([mspace("2em"), el("mtext", {}, `(${this.raw()})`)]);
      case "label": this.raw(); return null;
      case "hspace": case "vspace": this.raw(); return mspace("0.5em");
      case "displaystyle": case "textstyle": case "scriptstyle": case "nonumber": case "notag": case "hline":
      case "limits": case "nolimits": case "allowbreak": case "newline": case "centering": case "noindent":
        return null;
      case "mathstrut": case "strut": return el("mrow");
      case "ce": return el("mtext", {}, this.raw());
      case "|": return mo("‖", { stretchy: "false" });
      default:
        if (name.length === 1 && /[^a-zA-Z]/.test(name)) return mo(name);
        throw new Error("unknown " + name);
    }
  }

  /// A function's name with a little room before what it is applied to.
  applied(node) {
    const next = this.peek();
    return next !== undefined && /^[\p{L}\d]|^\\[a-zA-Z]/u.test(next) && !/^\\(right|end|over|[,;!])/.test(next)
      ? mrow([node, mspace("0.167em")]) : node;
  }

  words(style) {
    const text = this.raw().replace(/\\([%&#_{}$ ])/g, "$1").replace(/^\s|\s$/g, "\u00a0").replace(/~/g, "\u00a0");
    // A formula within the words.
    const parts = text.split(/\$([^$]*)\$/);
    return mrow(parts.flatMap((part, index) => index % 2
      ? [new MathReader(part, false).whole()] : part ? [el("mtext", style ? { class: style } : {}, part)] : []));
  }

  withFont(font) {
    const before = this.font;
    const isSwitch = this.peek() !== "{" && !/^\p{L}|^\d|^\\/u.test(this.peek() ?? "");
    this.font = font;
    if (isSwitch) return null;
    // Letters of an upright word stand together.
    const word = font === "plain" && /^[a-zA-Z]{2,}$/.test(this.tokens.slice(this.at + 1, this.tokens.indexOf("}", this.at)).join(""));
    const node = word ? el("mi", { mathvariant: "normal" }, this.raw()) : this.argument();
    this.font = before;
    return node;
  }

  fence() {
    const token = this.next() ?? "";
    if (token === ".") return "";
    if (token[0] !== "\\") return token;
    const name = token.slice(1);
    return { "{": "{", "}": "}", "|": "‖" }[name] ?? OPERATORS[name] ?? LETTERS[name] ?? "";
  }
  fenced() {
    const open = this.fence();
    const inner = this.row((token) => token === "\\right");
    this.next();
    return mfenced(open, mrow(inner), this.fence());
  }

  environment() {
    const name = this.raw().replace(/\*$/, "");
    if (!(name in ENVIRONMENTS)) throw new Error("unknown environment");
    const [open, close, sides] = ENVIRONMENTS[name];
    const columns = ["array", "alignat", "subarray"].includes(name) ? this.raw().replace(/[^lcr]/g, "") : sides;
    const table = this.table((token) => token === "\\end", columns, true);
    this.next();
    if (this.raw().replace(/\*$/, "") !== name) throw new Error("unbalanced");
    return mfenced(open, table, close);
  }

  /// Rows of cells; a single cell is no table.
  table(isEnd, columns, isTable = false) {
    const rows = [[]];
    for (;;) {
      const cell = this.row((token) => isEnd(token) || token === "&" || token === "\\\\" || token === "\\cr");
      rows.at(-1).push(mrow(cell));
      const token = this.peek();
      if (isEnd(token)) break;
      this.next();
      if (token !== "&") {
        if (this.tokens[this.at] === "[") this.option();
        rows.push([]);
      }
    }
    const last = rows.at(-1);
    if (rows.length > 1 && last.length === 1 && last[0].tag === "mrow" && !last[0].kids.length) rows.pop();
    if (!isTable && rows.length === 1 && rows[0].length === 1) return rows[0][0];
    const side = (index) => columns === "align" ? (index % 2 ? "left" : "right") : columns === "left" ? "left"
      : { l: "left", r: "right" }[columns[index]] ?? "center";
    return el("mtable", columns === "align" ? { class: "aligned", displaystyle: "true" } : {},
      ...rows.map((cells) => el("mtr", {}, ...cells.map((cell, index) => el("mtd", { class: side(index) }, cell)))));
  }
}
