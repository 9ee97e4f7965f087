/// Reads grammars in GBNF, the notation of llama.cpp's `grammars/` (facts from its `grammars/README.md` and its parser's
/// tests).
///
/// `name ::= …` defines a rule; `root` is where texts begin. There are literals in quotes, classes in brackets, `.`,
/// groups, `|`, and the repetitions `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`. `#` starts a comment. A rule ends with its
/// line, except in parentheses and after `|` or `::=`.
struct GBNFParser {
    private let source: [UInt8]
    private var position = 0
    private var nesting = 0
    private var grammar = Grammar()
    private var ruleOfName: [[UInt8]: Int] = [:]
    private var isDefined: [Bool] = []

    static func parse(_ text: String) throws(GrammarError) -> Grammar {
        guard text.utf8.count <= GrammarLimits.sourceBytes else {
            throw .tooComplex("the grammar has \(text.utf8.count) bytes, at most \(GrammarLimits.sourceBytes) are read")
        }
        var parser = GBNFParser(source: Array(text.utf8))
        return try parser.parse()
    }

    private init(source: [UInt8]) { self.source = source }

    private mutating func parse() throws(GrammarError) -> Grammar {
        skipSpace(overLines: true)
        while position < source.count { try rule() }
        for (index, rule) in grammar.rules.enumerated() where !isDefined[index] { throw .undefinedRule(rule.name) }
        guard let root = ruleOfName[Array("root".utf8)] else { throw .undefinedRule("root") }
        grammar.root = root
        return grammar
    }

    // MARK: Rules

    private mutating func rule() throws(GrammarError) {
        let name = try ruleName()
        skipSpace(overLines: false)
        guard source[position...].starts(with: "::=".utf8) else { throw error("expected ::=") }
        position += 3
        skipSpace(overLines: true)
        let index = ruleIndex(name)
        guard !isDefined[index] else { throw error("the rule '\(grammar.rules[index].name)' is defined twice") }
        isDefined[index] = true
        grammar.rules[index].body = try alternatives()
        guard position == source.count || source[position] == 0x0A || source[position] == 0x0D else {
            throw error("unexpected '\(currentCharacter)'")
        }
        skipSpace(overLines: true)
    }

    private mutating func ruleName() throws(GrammarError) -> [UInt8] {
        let start = position
        while position < source.count, Self.isNameByte(source[position]) { position += 1 }
        guard position > start else {
            throw position < source.count ? error("unexpected '\(currentCharacter)'") : error("expected a rule's name")
        }
        return Array(source[start..<position])
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private mutating func ruleIndex(_ name: [UInt8]) -> Int {
        if let index = ruleOfName[name] { return index }
        let index = grammar.reserve(String(decoding: name, as: UTF8.self))
        ruleOfName[name] = index
        isDefined.append(false)
        return index
    }

    private mutating func alternatives() throws(GrammarError) -> GrammarExpression {
        var choices = [try sequence()]
        while position < source.count, source[position] == UInt8(ascii: "|") {
            position += 1
            skipSpace(overLines: true)
            choices.append(try sequence())
        }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func sequence() throws(GrammarError) -> GrammarExpression {
        var parts: [GrammarExpression] = []
        while position < source.count, let part = try item() {
            skipSpace(overLines: nesting > 0)
            parts.append(try repetitions(of: part))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    /// nil: the sequence is over.
    private mutating func item() throws(GrammarError) -> GrammarExpression? {
        switch source[position] {
        case UInt8(ascii: "\""): return try literal()
        case UInt8(ascii: "["): return try characterClass()
        case UInt8(ascii: "."):
            position += 1
            return .scalars(.all)
        case UInt8(ascii: "("):
            nesting += 1
            guard nesting <= GrammarLimits.nesting else {
                throw .tooComplex("more than \(GrammarLimits.nesting) nested parentheses")
            }
            position += 1
            skipSpace(overLines: true)
            let group = try alternatives()
            guard position < source.count, source[position] == UInt8(ascii: ")") else { throw error("expected ')'") }
            position += 1
            nesting -= 1
            return group
        case let byte where Self.isNameByte(byte): return .rule(ruleIndex(try ruleName()))
        default: return nil
        }
    }

    // MARK: Repetitions

    private mutating func repetitions(of item: GrammarExpression) throws(GrammarError) -> GrammarExpression {
        var item = item
        var count = 0
        while position < source.count {
            switch source[position] {
            case UInt8(ascii: "*"): item = .repeated(item, minimum: 0, maximum: nil)
            case UInt8(ascii: "+"): item = .repeated(item, minimum: 1, maximum: nil)
            case UInt8(ascii: "?"): item = .optional(item)
            case UInt8(ascii: "{"): item = try counted(item)
            default: return item
            }
            count += 1
            guard count <= GrammarLimits.nesting else { throw .tooComplex("repetitions of repetitions") }
            position += 1
            skipSpace(overLines: nesting > 0)
        }
        return item
    }

    /// Ends at the closing brace.
    private mutating func counted(_ item: GrammarExpression) throws(GrammarError) -> GrammarExpression {
        position += 1
        skipSpace(overLines: false)
        guard let minimum = try number() else { throw error("expected a number after '{'") }
        var maximum: Int? = minimum
        if position < source.count, source[position] == UInt8(ascii: ",") {
            position += 1
            skipSpace(overLines: false)
            maximum = try number()
        }
        guard position < source.count, source[position] == UInt8(ascii: "}") else { throw error("expected '}'") }
        if let maximum, maximum < minimum { throw error("the repetition {\(minimum),\(maximum)} is reversed") }
        return .repeated(item, minimum: minimum, maximum: maximum)
    }

    private mutating func number() throws(GrammarError) -> Int? {
        var value: Int?
        while position < source.count, 0x30...0x39 ~= source[position] {
            let next = (value ?? 0) * 10 + Int(source[position] - 0x30)
            guard next <= GrammarLimits.repetition else {
                throw .tooComplex("a repetition of more than \(GrammarLimits.repetition) (line \(line))")
            }
            value = next
            position += 1
        }
        skipSpace(overLines: false)
        return value
    }

    // MARK: Characters

    private mutating func literal() throws(GrammarError) -> GrammarExpression {
        position += 1
        var bytes: [UInt8] = []
        while true {
            guard position < source.count, source[position] != 0x0A else { throw error("unterminated literal") }
            if source[position] == UInt8(ascii: "\"") { break }
            bytes += String(try character()).utf8
        }
        position += 1
        return bytes.isEmpty ? .empty : .bytes(bytes)
    }

    private mutating func characterClass() throws(GrammarError) -> GrammarExpression {
        position += 1
        var isNegated = false
        if position < source.count, source[position] == UInt8(ascii: "^") {
            isNegated = true
            position += 1
        }
        var ranges: [ClosedRange<UInt32>] = []
        while true {
            guard position < source.count, source[position] != 0x0A else { throw error("unterminated class") }
            if source[position] == UInt8(ascii: "]") { break }
            let first = try character().value
            if position + 1 < source.count, source[position] == UInt8(ascii: "-"),
                source[position + 1] != UInt8(ascii: "]")
            {
                position += 1
                let last = try character().value
                guard first <= last else { throw error("a reversed range in a class") }
                ranges.append(first...last)
            } else {
                ranges.append(first...first)
            }
        }
        position += 1
        let set = ScalarSet(ranges)
        return .scalars(isNegated ? set.complement : set)
    }

    /// One character of a literal or class, escaped or not.
    private mutating func character() throws(GrammarError) -> Unicode.Scalar {
        guard position < source.count else { throw error("unexpected end of the grammar") }
        guard source[position] == UInt8(ascii: "\\") else {
            var decoder = UTF8()
            var rest = source[position...].makeIterator()
            guard case .scalarValue(let scalar) = decoder.decode(&rest) else { throw error("invalid UTF-8") }
            position += UTF8.width(scalar)
            return scalar
        }
        position += 1
        guard position < source.count else { throw error("unexpected end of the grammar") }
        let escape = source[position]
        position += 1
        switch escape {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "-"),
            UInt8(ascii: "^"):
            return Unicode.Scalar(escape)
        case UInt8(ascii: "x"): return try hexadecimal(2)
        case UInt8(ascii: "u"): return try hexadecimal(4)
        case UInt8(ascii: "U"): return try hexadecimal(8)
        default:
            position -= 1
            throw error("unknown escape '\\\(currentCharacter)'")
        }
    }

    private mutating func hexadecimal(_ digits: Int) throws(GrammarError) -> Unicode.Scalar {
        let end = position + digits
        guard end <= source.count,
            let value = UInt32(String(decoding: source[position..<end], as: UTF8.self), radix: 16),
            source[position..<end].allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
        else { throw error("expected \(digits) hexadecimal digits") }
        guard let scalar = Unicode.Scalar(value) else { throw error("U+\(String(value, radix: 16)) is no character") }
        position = end
        return scalar
    }

    // MARK: Layout and errors

    private mutating func skipSpace(overLines: Bool) {
        while position < source.count {
            switch source[position] {
            case 0x20, 0x09: position += 1
            case 0x0A, 0x0D:
                guard overLines else { return }
                position += 1
            case UInt8(ascii: "#"):
                while position < source.count, source[position] != 0x0A, source[position] != 0x0D { position += 1 }
            default: return
            }
        }
    }

    private var line: Int { 1 + source[..<min(position, source.count)].count { $0 == 0x0A } }

    private var currentCharacter: Character {
        guard position < source.count else { return " " }
        return String(decoding: source[position...].prefix(4), as: UTF8.self).first ?? " "
    }

    private func error(_ message: String) -> GrammarError { .syntax(message: message, line: line) }
}
