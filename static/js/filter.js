/**
 * The filter language in the browser: where a text is wrong, what could come next, its chips. The controller has the last word; the
 * grammar is that of `wire/filters.py`.
 * @typedef {{kind: string, text: string, at: number}} Token
 * @typedef {{at: number, length: number, message: string}} Problem
 * @typedef {"field" | "set" | "operator" | "value" | "list" | "logic" | "sort" | "number" | "sign"} Expected
 */

const KEYWORDS = new Set("and or not in between contains icontains true false null allof anyof count isempty asc desc sort by skip limit none where from".split(" "));
const NAME = String.raw`[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*`;
const TOKEN = new RegExp(
  String.raw`(?<blank>[ \n\t\r]+)` +
    String.raw`|(?<datetime>datetime\([ \n\t\r]*[0-9]+-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})[ \n\t\r]*\))` +
    String.raw`|(?<name>${NAME}|'${NAME}')` +
    String.raw`|(?<string>"(?:\\["\\fnrt]|[^"\\\x00-\x1f])*")` +
    String.raw`|(?<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[Ee][+-]?(?:0|[1-9][0-9]*))?)` +
    String.raw`|(?<sign><=|>=|!=|[=<>()\[\],])` +
    String.raw`|(?<bad>"(?:[^"\\]|\\.)*$|[\s\S])`,
  "y",
);

/** @param {string} text @returns {Token[]} without blanks, with a token "end" at the end */
export function tokenize(text) {
  const tokens = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const groups = /** @type {any} */ (TOKEN.exec(text))?.groups || {};
    const kind = Object.keys(groups).find((k) => groups[k] !== undefined) || "bad";
    if (kind !== "blank") tokens.push({ kind: kindOf(kind, groups[kind]), text: groups[kind], at });
  }
  tokens.push({ kind: "end", text: "", at: text.length });
  return tokens;
}

/** @param {string} kind @param {string} text */
function kindOf(kind, text) {
  if (kind === "sign") return text;
  const word = text.toLowerCase();
  if (kind === "name" && KEYWORDS.has(word)) return word === "true" || word === "false" ? "bool" : word;
  return kind;
}

class Stop extends Error {
  /** @param {Token} token @param {Expected[]} expected @param {string} words */
  constructor(token, expected, words) {
    super(words);
    this.token = token;
    this.expected = expected;
  }
}

const COMPARE = ["=", "!=", "<", "<=", ">", ">="];
const TESTS = ["contains", "icontains", "in", "between"];
const LITERALS = ["string", "number", "datetime"];

/** Recursive descent over the grammar; it only finds out where the text stops making sense, and what could stand there. */
class Parser {
  /** @param {Token[]} tokens */
  constructor(tokens) {
    this.tokens = tokens;
    this.next = 0;
    /** The name that the value at the cursor belongs to. */
    this.field = "";
    /** @type {Token[]} */
    this.names = [];
  }

  get token() {
    return this.tokens[this.next];
  }

  /** @param {...string} kinds */
  accept(...kinds) {
    if (!kinds.includes(this.token.kind)) return null;
    return this.tokens[this.next++];
  }

  /** @param {string[]} kinds @param {Expected[]} expected @param {string} words @returns {Token} */
  expect(kinds, expected, words) {
    const found = this.accept(...kinds);
    if (!found) throw new Stop(this.token, expected, words);
    return found;
  }

  whole() {
    if (!["sort", "skip", "limit"].includes(this.token.kind)) this.condition();
    if (this.accept("sort")) this.sortBy();
    if (this.accept("skip")) this.expect(["number"], ["number"], "a number");
    if (this.accept("limit") && !this.accept("none")) this.expect(["number"], ["number"], "a number or none");
    this.expect(["end"], ["logic"], "and, or, sort by, or the end");
  }

  sortBy() {
    this.expect(["by"], ["sort"], "by");
    do {
      this.name(["field"]);
      this.accept("asc", "desc");
    } while (this.accept(","));
  }

  /** @param {Expected[]} expected */
  name(expected) {
    const token = this.expect(["name"], expected, "the name of a property");
    this.names.push(token);
    this.field = token.text.replaceAll("'", "");
    return token;
  }

  condition() {
    do this.both();
    while (this.accept("or"));
  }

  both() {
    do this.unary();
    while (this.accept("and"));
  }

  /** @returns {void} */
  unary() {
    if (this.accept("not")) return this.unary();
    if (this.accept("(")) {
      this.condition();
      this.expect([")"], ["logic", "sign"], "a closing parenthesis");
      return;
    }
    if (this.accept("bool")) return;
    if (this.accept("isempty")) return this.inParentheses();
    this.test();
  }

  inParentheses() {
    this.expect(["("], ["sign"], "an opening parenthesis");
    this.name(["set"]);
    this.expect([")"], ["sign"], "a closing parenthesis");
  }

  test() {
    const isPlain = !this.accept("count", "anyof", "allof");
    if (isPlain) this.name(["field"]);
    else this.inParentheses();
    const isNegated = this.accept("not");
    const operator = this.accept(...TESTS) || (isNegated ? null : this.accept(...COMPARE));
    if (!operator) {
      // A boolean may stand alone; but then something must follow that can.
      if (isPlain && !isNegated && ["and", "or", ")", "end", "sort", "skip", "limit"].includes(this.token.kind)) return;
      throw new Stop(this.token, ["operator"], "a comparison");
    }
    this.values(operator.kind);
  }

  /** @param {string} operator */
  values(operator) {
    if (operator === "in") {
      this.expect(["["], ["sign"], "[");
      do this.value(LITERALS);
      while (this.accept(","));
      this.expect(["]"], ["list", "sign"], "] or a comma");
    } else if (operator === "between") {
      const kinds = ["number", "datetime"];
      this.value(kinds);
      this.expect(["and"], ["logic"], "and");
      this.value(kinds);
    } else {
      this.value(COMPARE.includes(operator) ? [...LITERALS, "bool", "null"] : ["string", "number"]);
    }
  }

  /** @param {string[]} kinds */
  value(kinds) {
    this.expect(kinds, ["value"], "a value");
  }
}

/**
 * Whether the text is plain words to look for in names, not the filter language. A text that has any sign of it is taken for it.
 * @param {string} text @param {string[]} fields
 */
export function isPlain(text, fields = []) {
  const tokens = tokenize(text);
  if (!text.trim()) return false;
  if (tokens.some((t) => ["=", "!=", "<", "<=", ">", ">=", "contains", "icontains", "between"].includes(t.kind))) return false;
  if (/^\s*(sort\s+by|skip|limit)\b/i.test(text) || /^\s*(anyof|allof|isempty|count)\s*\(/i.test(text)) return false;
  if (/\bin\s*\[/i.test(text) || /^\s*not\s/i.test(text)) return false;
  const [first, second] = tokens;
  if (first.kind === "bool" && second.kind === "end") return false;
  return !(first.kind === "name" && fields.includes(first.text) && ["end", "and", "or", "sort", "not"].includes(second.kind));
}

/** A string of the language. @param {string} text */
export function literal(text) {
  const escapes = /** @type {Record<string, string>} */ ({ "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f" });
  return `"${text.replace(/[\\"\n\r\t\f]/g, (c) => escapes[c])}"`;
}

/** What is sent for what was typed. @param {string} typed @param {string[]} [fields] @param {string} [field] where plain words are looked for */
export function toFilter(typed, fields = [], field = "name") {
  const text = typed.trim();
  return isPlain(text, fields) ? `${field} icontains ${literal(text)}` : text;
}

/** The first thing that is wrong, or null. @param {string} typed @param {string[]} [fields] the known names; unknown ones are told when given @returns {Problem | null} */
export function problem(typed, fields = []) {
  if (!typed.trim() || isPlain(typed, fields)) return null;
  const tokens = tokenize(typed);
  const bad = tokens.find((t) => t.kind === "bad");
  const parser = new Parser(tokens);
  try {
    parser.whole();
  } catch (stop) {
    if (!(stop instanceof Stop)) throw stop;
    const { token } = stop;
    if (token.kind !== "bad") return { at: token.at, length: Math.max(1, token.text.length), message: token.kind === "end" ? `${stop.message} is missing here` : `${stop.message} is expected here, not ${token.text}` };
  }
  if (bad) return { at: bad.at, length: Math.max(1, bad.text.length), message: bad.text.startsWith('"') ? "this text has no closing quotation mark" : `${bad.text} has no meaning here` };
  const unknown = fields.length ? parser.names.find((t) => !isKnown(t.text.replaceAll("'", ""), fields)) : undefined;
  return unknown ? { at: unknown.at, length: unknown.text.length, message: `there is no property ${unknown.text} here` } : null;
}

/** @param {string} name @param {string[]} fields */
function isKnown(name, fields) {
  return fields.includes(name) || name.startsWith("tags.");
}

/** Where the controller's complaint about a filter points to. @param {string} message @param {string} typed @returns {Problem | null} */
export function problemOf(message, typed) {
  const found = /column: (\d+)/.exec(message);
  if (found) return { at: Math.min(Number(found[1]), typed.length), length: 1, message };
  const word = /unknown symbol '([^']+)'|symbol '([^']+)'|operation (\S+) |: (\w+)$/.exec(message);
  const at = word ? typed.indexOf(word.slice(1).find(Boolean) || "\0") : -1;
  return at >= 0 ? { at, length: /** @type {RegExpExecArray} */ (word).slice(1).find(Boolean)?.length || 1, message } : null;
}

/**
 * What could stand at the cursor.
 * @param {string} typed @param {number} cursor
 * @returns {{from: number, word: string, expected: Expected[], field: string}} `from`: where the word that is being typed begins
 */
export function expectedAt(typed, cursor) {
  const before = typed.slice(0, cursor);
  const last = tokenize(before).at(-2);
  // A closed string is finished; only an open one is a word that is still being typed.
  const isOpen = last && last.at + last.text.length === cursor && (/^[\w']/.test(last.text) || (last.kind === "bad" && last.text[0] === '"'));
  const from = isOpen ? last.at : cursor;
  const parser = new Parser(tokenize(before.slice(0, from)));
  const word = before.slice(from);
  try {
    parser.whole();
    return { from, word, expected: before.slice(0, from).trim() ? ["logic"] : ["field"], field: parser.field };
  } catch (stop) {
    if (!(stop instanceof Stop)) throw stop;
    return { from, word, expected: stop.token.kind === "end" ? stop.expected : [], field: parser.field };
  }
}

/** The conditions that are joined by "and", each with its place; one if they are joined otherwise. @param {string} typed */
export function chips(typed) {
  const tokens = tokenize(typed);
  const end = tokens.findIndex((t) => ["sort", "skip", "limit", "end"].includes(t.kind));
  const cuts = [];
  let depth = 0;
  let isBetween = false;
  for (let i = 0; i < end; i++) {
    const { kind } = tokens[i];
    if (kind === "(" || kind === "[") depth += 1;
    if (kind === ")" || kind === "]") depth -= 1;
    if (kind === "between") isBetween = true;
    if (depth) continue;
    if (kind === "or") return [{ text: typed.slice(0, tokens[end].at).trim(), from: 0, to: tokens[end].at }];
    if (kind === "and" && isBetween) isBetween = false;
    else if (kind === "and") cuts.push(tokens[i]);
  }
  const bounds = [...cuts.map((c) => [c.at, c.at + 3]), [tokens[end].at, tokens[end].at]];
  let from = 0;
  return bounds.map(([stop, next]) => {
    const chip = { text: typed.slice(from, stop).trim(), from, to: stop };
    from = next;
    return chip;
  }).filter((c) => c.text);
}

/** The text without one of its chips. @param {string} typed @param {number} index */
export function without(typed, index) {
  const all = chips(typed);
  const tail = typed.slice(all.at(-1)?.to ?? typed.length).trim();
  return [all.filter((_, i) => i !== index).map((c) => c.text).join(" and "), tail].filter(Boolean).join(" ");
}

/** The text with one more condition. @param {string} typed @param {string} condition @param {string[]} [fields] */
export function withCondition(typed, condition, fields = []) {
  if (!typed.trim()) return condition;
  const base = toFilter(typed, fields);
  const all = chips(base);
  const tail = base.slice(all.at(-1)?.to ?? base.length).trim();
  const joined = all.map((c) => (/\bor\b/i.test(c.text) && all.length === 1 ? `(${c.text})` : c.text));
  return [[...joined, condition].join(" and "), tail].filter(Boolean).join(" ");
}
