// Colours for code: comments, strings, numbers, keywords, names. One reader for all languages, told apart by a table.

const listed = (text) => new Set(text.trim().split(/\s+/));
const C_LIKE = { line: ["//"], block: [["/*", "*/"]], quotes: "\"'" };
const LANGUAGES = {
  javascript: { ...C_LIKE, quotes: "\"'`", keywords: listed(`async await break case catch class const continue debugger
    default delete do else export extends false finally for from function get if import in instanceof let new null of
    return set static super switch this throw true try typeof undefined var void while with yield abstract as declare
    enum implements interface keyof namespace private protected public readonly satisfies type any boolean number string
    unknown never`) },
  python: { line: ["#"], quotes: "\"'", triple: true, keywords: listed(`and as assert async await break case class
    continue def del elif else except False finally for from global if import in is lambda match None nonlocal not or
    pass raise return True try while with yield self`) },
  swift: { ...C_LIKE, quotes: "\"", triple: true, keywords: listed(`actor any as associatedtype async await borrowing
    break case catch class consuming continue default defer deinit do else enum extension fallthrough false fileprivate
    final for func guard if import in indirect init inout internal is isolated lazy let mutating nil nonisolated open
    operator override package private protocol public repeat rethrows return self Self sending some static struct
    subscript super switch throw throws true try typealias unowned var weak where while`) },
  c: { ...C_LIKE, hash: true, keywords: listed(`alignas alignof auto bool break case catch char class concept const
    consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete do double
    dynamic_cast else enum explicit export extern false final float for friend goto if inline int int8_t int16_t int32_t
    int64_t uint8_t uint16_t uint32_t uint64_t size_t long mutable namespace new noexcept nullptr NULL operator override
    private protected public register reinterpret_cast requires restrict return short signed sizeof static static_assert
    static_cast struct switch template this thread_local throw true try typedef typename union unsigned using virtual
    void volatile while`) },
  java: { ...C_LIKE, triple: true, keywords: listed(`abstract as assert async await base bool boolean break by byte case
    catch char class companion const constructor continue crossinline data decimal default delegate do double else enum
    event explicit extends extern false final finally fixed float for foreach fun get if implements implicit import in
    inline instanceof int interface internal is it lateinit lock long namespace native new null object open operator out
    override package params permits private protected public readonly record ref reified return sealed set short static
    string struct super suspend switch synchronized this throw throws transient true try typealias typeof using val var
    virtual void volatile when where while yield def lazy match trait given then`) },
  go: { ...C_LIKE, quotes: "\"'`", keywords: listed(`any bool break byte case chan const continue default defer else
    error fallthrough false float32 float64 for func go goto if import int int8 int16 int32 int64 interface iota map nil
    package range return rune select string struct switch true type uint uint8 uint16 uint32 uint64 uintptr var`) },
  rust: { ...C_LIKE, quotes: "\"", keywords: listed(`as async await bool box break char const continue crate dyn else
    enum extern f32 f64 false fn for i8 i16 i32 i64 i128 if impl in isize let loop match mod move mut pub ref return self
    Self static str struct super trait true type u8 u16 u32 u64 u128 union unsafe use usize where while`) },
  ruby: { line: ["#"], quotes: "\"'", keywords: listed(`alias and begin break case class def defined? do else elsif end
    ensure false for if in module next nil not or redo rescue retry return self super then true undef unless until when
    while yield require attr_accessor puts local function elseif repeat`) },
  lua: { line: ["--"], block: [["--[[", "]]"]], quotes: "\"'", keywords: listed(`and break do else elseif end false for
    function goto if in local nil not or repeat return then true until while`) },
  haskell: { line: ["--"], block: [["{-", "-}"]], quotes: "\"", keywords: listed(`case class data default deriving do else
    forall foreign if import in infix infixl infixr instance let module newtype of qualified then type where`) },
  php: { ...C_LIKE, line: ["//", "#"], keywords: listed(`abstract and array as break callable case catch class clone const
    continue declare default do echo else elseif empty extends false final finally fn for foreach function global if
    implements include instanceof interface isset match namespace new null or print private protected public readonly
    require return static switch this throw trait true try unset use var while yield`) },
  shell: { line: ["#"], quotes: "\"'", keywords: listed(`alias break case cd continue declare do done echo elif else esac
    eval exec exit export fi for function if in local printf read return select set shift source test then trap unset
    until while sudo FROM RUN COPY CMD ENTRYPOINT ENV ARG WORKDIR EXPOSE`) },
  sql: { line: ["--"], block: [["/*", "*/"]], quotes: "\"'", anyCase: true, keywords: listed(`add all alter and as asc
    begin between bigint boolean by case cast check column commit constraint create cross date default delete desc
    distinct drop else end exists false foreign from full function group having if in index inner insert int integer
    into is join key left like limit not null offset on or order outer over partition primary references returning right
    rollback row select set table text then timestamp true union unique update using values varchar view when where
    with`) },
  json: { ...C_LIKE, quotes: "\"", keywords: listed("true false null"), keys: true },
  yaml: { line: ["#"], quotes: "\"'", keywords: listed("true false null yes no on off"), keys: true },
  css: { block: [["/*", "*/"]], line: [], quotes: "\"'", keywords: listed("important and not only from to"), keys: true },
  r: { line: ["#"], quotes: "\"'`", keywords: listed(`if else repeat while function for in next break TRUE FALSE NULL NA
    Inf NaN library require return`) },
};
const ALIASES = {
  js: "javascript", jsx: "javascript", ts: "javascript", tsx: "javascript", typescript: "javascript", mjs: "javascript",
  py: "python", python3: "python", "c++": "c", cpp: "c", h: "c", hpp: "c", cc: "c", objc: "c", cuda: "c", glsl: "c",
  kotlin: "java", kt: "java", "c#": "java", csharp: "java", cs: "java", scala: "java", dart: "java", groovy: "java",
  golang: "go", rs: "rust", rb: "ruby", elixir: "ruby", hs: "haskell", bash: "shell", sh: "shell", zsh: "shell",
  fish: "shell", console: "shell", dockerfile: "shell", makefile: "shell", powershell: "shell", jsonc: "json",
  json5: "json", jsonl: "json", yml: "yaml", toml: "yaml", ini: "yaml", scss: "css", less: "css", postgresql: "sql",
  mysql: "sql", sqlite: "sql", xml: "html", svg: "html", vue: "html", patch: "diff", julia: "python", jl: "python",
  nim: "python", zig: "rust",
};

const MOST_CODE = 60_000;

/// Code as a list of texts and coloured spans; unknown languages stay plain.
function highlight(text, language) {
  const name = language.toLowerCase();
  const known = ALIASES[name] ?? name;
  if (text.length > MOST_CODE) return [text];
  if (known === "diff") return colouredLines(text);
  if (known === "html") return colouredTags(text);
  return Object.hasOwn(LANGUAGES, known) ? coloured(text, LANGUAGES[known]) : [text];
}

class Spans {
  constructor() { this.list = []; this.plain = ""; }
  add(kind, text) {
    if (!kind) { this.plain += text; return; }
    this.flush();
    this.list.push(el("span", { class: "k-" + kind }, text));
  }
  flush() { if (this.plain) this.list.push(this.plain); this.plain = ""; }
  all() { this.flush(); return this.list; }
}

function coloured(text, rules) {
  const spans = new Spans();
  const word = /[\p{L}_$][\p{L}\p{N}_$]*[?!]?/uy, number = /(?:0[xX][\da-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)\w*/y;
  let at = 0;
  while (at < text.length) {
    const c = text[at];
    const block = rules.block?.find(([open]) => text.startsWith(open, at));
    if (block) {
      const end = text.indexOf(block[1], at + block[0].length);
      const stop = end < 0 ? text.length : end + block[1].length;
      spans.add("comment", text.slice(at, stop));
      at = stop;
      continue;
    }
    const isLine = rules.line.some((mark) => text.startsWith(mark, at))
      && (c !== "#" || at === 0 || /[\s;({]/.test(text[at - 1]));
    if (isLine || rules.hash && c === "#" && /(^|\n)[ \t]*$/.test(text.slice(Math.max(0, at - 40), at))) {
      const end = text.indexOf("\n", at);
      const stop = end < 0 ? text.length : end;
      spans.add(isLine ? "comment" : "keyword", text.slice(at, stop));
      at = stop;
      continue;
    }
    if (rules.quotes.includes(c)) {
      const stop = stringEnd(text, at, rules);
      const isKey = rules.keys && /^\s*:/.test(text.slice(stop, stop + 20));
      spans.add(isKey ? "name" : "string", text.slice(at, stop));
      at = stop;
      continue;
    }
    word.lastIndex = number.lastIndex = at;
    let match = word.exec(text);
    if (match) {
      const found = match[0];
      const rest = text.slice(at + found.length, at + found.length + 20);
      const isKeyword = rules.keywords.has(rules.anyCase ? found.toLowerCase() : found) && text[at - 1] !== ".";
      spans.add(isKeyword ? "keyword" : rules.keys && /^\s*[:=]/.test(rest) || /^\(/.test(rest) ? "name"
        : /^\p{Lu}\p{L}*\p{Ll}/u.test(found) && !rules.keys ? "type" : "", found);
      at += found.length;
      continue;
    }
    match = number.exec(text);
    if (match) { spans.add("number", match[0]); at += match[0].length; continue; }
    spans.add("", c);
    at++;
  }
  return spans.all();
}

function stringEnd(text, at, rules) {
  const quote = text[at];
  if (rules.triple && text.startsWith(quote.repeat(3), at)) {
    const end = text.indexOf(quote.repeat(3), at + 3);
    return end < 0 ? text.length : end + 3;
  }
  for (let end = at + 1; end < text.length; end++) {
    if (text[end] === "\\" && quote !== "`") end++;
    else if (text[end] === quote) return end + 1;
    else if (text[end] === "\n" && quote !== "`") return end;
  }
  return text.length;
}

function colouredLines(text) {
  const spans = new Spans();
  text.split("\n").forEach((line, index) => {
    if (index) spans.add("", "\n");
    const kind = line.startsWith("@@") ? "keyword" : /^(\+\+\+|---)/.test(line) ? "comment"
      : line[0] === "+" ? "added" : line[0] === "-" ? "removed" : "";
    spans.add(kind, line);
  });
  return spans.all();
}

function colouredTags(text) {
  const spans = new Spans();
  for (const [part, comment, open, rest, close] of
    text.matchAll(/(<!--[^]*?(?:-->|$))|(<\/?[\w:-]+)([^<>]*)(\/?>)|[^<]+|</g)) {
    if (comment) spans.add("comment", part);
    else if (!open) spans.add("", part);
    else {
      spans.add("keyword", open);
      for (const [piece, name, value] of rest.matchAll(/([\w:@.-]+)(?==)|("[^"]*"|'[^']*')|[^]/g)) {
        spans.add(name ? "name" : value ? "string" : "", piece);
      }
      spans.add("keyword", close);
    }
  }
  return spans.all();
}
