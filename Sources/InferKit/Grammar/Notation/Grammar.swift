import ChatTemplates

/// A context-free grammar over bytes: what GBNF texts, schemas and tool calls are all turned into.
struct Grammar: Sendable {
    struct Rule: Sendable {
        var name: String
        var body: GrammarExpression
    }

    var rules: [Rule] = []
    var root = 0

    /// Makes room for a rule whose body may refer to itself.
    mutating func reserve(_ name: String) -> Int {
        rules.append(Rule(name: name, body: .never))
        return rules.count - 1
    }

    mutating func add(_ name: String, _ body: GrammarExpression) -> GrammarExpression {
        rules.append(Rule(name: name, body: body))
        return .rule(rules.count - 1)
    }
}

/// What a rule stands for.
indirect enum GrammarExpression: Sendable {
    case empty
    /// No text at all.
    case never
    case bytes([UInt8])
    case byteRange(ClosedRange<UInt8>)
    /// One character of the set, in UTF-8.
    case scalars(ScalarSet)
    case sequence([GrammarExpression])
    case choice([GrammarExpression])
    /// `maximum` nil: without end.
    case repeated(GrammarExpression, minimum: Int, maximum: Int?)
    case rule(Int)
    /// The texts of a finite automaton, written as they are or inside the quotes of a JSON string.
    case automaton(ScalarAutomaton, Spelling)
    /// A token of the vocabulary that stands for itself and not for its text, such as `<|tool_call_begin|>`.
    case marker(String)

    enum Spelling: Sendable {
        case plain
        case jsonString
    }

    static func text(_ text: String) -> GrammarExpression { .bytes(Array(text.utf8)) }

    /// Whether copies of it cost no more than calls of a rule.
    var isSmall: Bool {
        switch self {
        case .empty, .never, .byteRange, .scalars, .rule: true
        case .bytes(let bytes): bytes.count <= 2
        default: false
        }
    }

    static func optional(_ expression: GrammarExpression) -> GrammarExpression {
        .repeated(expression, minimum: 0, maximum: 1)
    }
}

/// How a marker is written in the byte alphabet: between bytes that UTF-8 never has, so that no text can imitate it.
enum MarkerSpelling {
    static let open: UInt8 = 0xFF
    static let close: UInt8 = 0xFE

    static func bytes(_ marker: some Sequence<UInt8>) -> [UInt8] { [open] + marker + [close] }
}

/// Limits that bound the time and memory of compiling, whatever the request says.
enum GrammarLimits {
    /// Bytes of a GBNF text.
    static let sourceBytes = 1 << 20
    /// Parentheses in GBNF and in regular expressions, subschemas in schemas.
    static let nesting = 100
    /// A count in GBNF braces, `maxLength`, `maxItems`.
    static let repetition = 20_000
    static let rules = 50_000
    static let states = 250_000
    static let edges = 1_500_000
    /// States of the automaton of one regular expression, one string or one number.
    static let automatonStates = 30_000
    /// Pairs of transitions looked at where two automata are put together.
    static let pairs = 20_000_000
    /// Numbers that a schema excludes one by one.
    static let excludedNumbers = 200
}
