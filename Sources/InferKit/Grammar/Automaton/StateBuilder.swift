/// Turns the rules of a grammar into states with bytes, calls and empty transitions (Thompson's construction).
struct StateBuilder {
    struct State {
        var bytes: [(range: ClosedRange<UInt8>, target: Int)] = []
        var calls: [(rule: Int, back: Int)] = []
        var empty: [Int] = []
    }

    private(set) var grammar: Grammar
    private(set) var states: [State] = []
    /// First and last state of each rule. Nothing leads to the first.
    private(set) var starts: [Int] = []
    private(set) var ends: [Int] = []
    private var ruleOfSet: [ScalarSet: Int] = [:]
    private var anyEscapeRule: Int?
    private var depth = 0

    init(_ grammar: Grammar) { self.grammar = grammar }

    /// Builds all rules; those for sets of characters are added on the way.
    mutating func build() throws(GrammarError) {
        var rule = 0
        while rule < grammar.rules.count {
            guard rule < GrammarLimits.rules else { throw .tooComplex("more than \(GrammarLimits.rules) rules") }
            let start = try newState()
            starts.append(start)
            ends.append(try add(grammar.rules[rule].body, from: try branch(of: start)))
            rule += 1
        }
    }

    private mutating func newState() throws(GrammarError) -> Int {
        guard states.count < GrammarLimits.states else {
            throw .tooComplex("more than \(GrammarLimits.states) states")
        }
        states.append(State())
        return states.count - 1
    }

    private mutating func branch(of state: Int) throws(GrammarError) -> Int {
        let next = try newState()
        states[state].empty.append(next)
        return next
    }

    /// Adds an expression behind a state; gives the state behind the expression.
    private mutating func add(_ expression: GrammarExpression, from state: Int) throws(GrammarError) -> Int {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 4 * GrammarLimits.nesting else { throw .tooComplex("nested too deep") }
        switch expression {
        case .empty: return state
        case .never: return try newState()
        case .bytes(let bytes): return try add(bytes, from: state)
        case .marker(let marker): return try add(MarkerSpelling.bytes(marker.utf8), from: state)
        case .byteRange(let range):
            let next = try newState()
            states[state].bytes.append((range, next))
            return next
        case .scalars(let set):
            let next = try newState()
            try connect(state, set, to: next)
            return next
        case .sequence(let parts):
            var state = state
            for part in parts { state = try add(part, from: state) }
            return state
        case .choice(let choices):
            let end = try newState()
            for choice in choices {
                let last = try add(choice, from: try branch(of: state))
                states[last].empty.append(end)
            }
            return end
        case .repeated(let item, let minimum, let maximum):
            return try add(item, minimum: minimum, maximum: maximum, from: state)
        case .rule(let rule):
            let next = try newState()
            states[state].calls.append((rule, next))
            return next
        case .automaton(let automaton, let spelling):
            return try add(automaton, spelling, from: state)
        }
    }

    private mutating func add(_ bytes: [UInt8], from state: Int) throws(GrammarError) -> Int {
        var state = state
        for byte in bytes {
            let next = try newState()
            states[state].bytes.append((byte...byte, next))
            state = next
        }
        return state
    }

    private mutating func add(
        _ item: GrammarExpression, minimum: Int, maximum: Int?, from state: Int
    ) throws(GrammarError) -> Int {
        var item = item
        // What is copied many times is copied as a call.
        if max(minimum, maximum ?? 0) > 2, !item.isSmall { item = grammar.add("repeated", item) }
        var state = state
        for _ in 0..<minimum { state = try add(item, from: state) }
        let end = try newState()
        if let maximum {
            for _ in minimum..<max(minimum, maximum) {
                states[state].empty.append(end)
                state = try add(item, from: state)
            }
        } else {
            let loop = try branch(of: state)
            let last = try add(item, from: loop)
            states[last].empty.append(loop)
            state = loop
        }
        states[state].empty.append(end)
        return end
    }

    /// Reads one scalar of the set. Few byte sequences are written out, others become a rule that is shared.
    private mutating func connect(_ state: Int, _ set: ScalarSet, to target: Int) throws(GrammarError) {
        for range in set.intersection(ScalarSet([0...0x7F])).ranges {
            states[state].bytes.append((UInt8(range.lowerBound)...UInt8(range.upperBound), target))
        }
        let rest = set.intersection(ScalarSet([0x80...ScalarSet.last]))
        guard !rest.isEmpty else { return }
        if let rule = ruleOfSet[rest] { return states[state].calls.append((rule, target)) }
        let sequences = UTF8Sequence.sequences(for: rest)
        guard sequences.count <= 1 else {
            let rule = grammar.reserve("characters")
            grammar.rules[rule].body = .choice(sequences.map { .sequence($0.bytes.map { .byteRange($0) }) })
            ruleOfSet[rest] = rule
            return states[state].calls.append((rule, target))
        }
        for sequence in sequences {
            var from = state
            for (place, range) in sequence.bytes.enumerated() {
                let next = place + 1 == sequence.bytes.count ? target : try newState()
                states[from].bytes.append((range, next))
                from = next
            }
        }
    }

    // MARK: Automata

    private mutating func add(
        _ automaton: ScalarAutomaton, _ spelling: GrammarExpression.Spelling, from state: Int
    ) throws(GrammarError) -> Int {
        let first = states.count
        for _ in automaton.states { _ = try newState() }
        states[state].empty.append(first)
        let end = try newState()
        for (index, automatonState) in automaton.states.enumerated() {
            if automatonState.accepts { states[first + index].empty.append(end) }
            for (text, target) in automatonState.markers where spelling == .plain {
                let last = try add(MarkerSpelling.bytes(text.utf8), from: first + index)
                states[last].empty.append(first + target)
            }
            var afterBackslash: EscapeStates?
            for transition in automatonState.transitions {
                let target = first + transition.target
                switch spelling {
                case .plain: try connect(first + index, transition.scalars, to: target)
                case .jsonString:
                    try connect(first + index, transition.scalars.subtracting(JSONEscape.needed), to: target)
                    try escape(transition.scalars, &afterBackslash, from: first + index, to: target)
                }
            }
        }
        return end
    }

    /// The states behind a backslash, shared by the transitions of one state: `\`, `\u`, `\u0`, `\u00`, `\u000`, `\u001`.
    private struct EscapeStates {
        var backslash: Int
        var digits: [Int]
    }

    /// The escapes of the scalars of a set: all of them where the set has everything, otherwise those that are needed
    /// to write the scalar at all.
    private mutating func escape(
        _ set: ScalarSet, _ shared: inout EscapeStates?, from state: Int, to target: Int
    ) throws(GrammarError) {
        guard !set.isAll else {
            let rule = anyEscapeRule ?? grammar.reserve("escape")
            if anyEscapeRule == nil { grammar.rules[rule].body = JSONEscape.any }
            anyEscapeRule = rule
            return states[state].calls.append((rule, target))
        }
        let escaped = set.intersection(JSONEscape.writable)
        guard !escaped.isEmpty else { return }
        if shared == nil {
            let backslash = try newState()
            states[state].bytes.append((0x5C...0x5C, backslash))
            shared = EscapeStates(backslash: backslash, digits: [])
        }
        guard var escapes = shared else { return }
        for (scalar, letter) in JSONEscape.letters where escaped.contains(scalar) {
            states[escapes.backslash].bytes.append((letter...letter, target))
        }
        let controls = escaped.intersection(ScalarSet([0...0x1F]))
        if !controls.isEmpty, escapes.digits.isEmpty {
            let afterU = try newState()
            states[escapes.backslash].bytes.append((UInt8(ascii: "u")...UInt8(ascii: "u"), afterU))
            let zeros = try add(Array("00".utf8), from: afterU)
            escapes.digits = [try add([UInt8(ascii: "0")], from: zeros), try add([UInt8(ascii: "1")], from: zeros)]
            shared = escapes
        }
        for control in controls.ranges.joined() {
            for digit in Set([String(control & 15, radix: 16), String(control & 15, radix: 16, uppercase: true)]) {
                for byte in digit.utf8 { states[escapes.digits[Int(control >> 4)]].bytes.append((byte...byte, target)) }
            }
        }
    }
}

/// The escapes of JSON strings (RFC 8259, section 7).
enum JSONEscape {
    /// Scalars that a string cannot have as they are.
    static let needed = ScalarSet([0...0x1F, 0x22...0x22, 0x5C...0x5C])
    /// Those that have an escape without being free to have any.
    static let writable = needed.union(ScalarSet(0x2F))
    /// The escapes of one letter.
    static let letters: [(scalar: UInt32, letter: UInt8)] = [
        (0x22, UInt8(ascii: "\"")), (0x5C, UInt8(ascii: "\\")), (0x2F, UInt8(ascii: "/")), (0x08, UInt8(ascii: "b")),
        (0x0C, UInt8(ascii: "f")), (0x0A, UInt8(ascii: "n")), (0x0D, UInt8(ascii: "r")), (0x09, UInt8(ascii: "t")),
    ]

    /// Any escape of one character; surrogates come in pairs.
    static let any: GrammarExpression = {
        func oneOf(_ characters: String) -> GrammarExpression { .scalars(ScalarSet(of: characters)) }
        let digit = oneOf("0123456789abcdefABCDEF")
        let plain = GrammarExpression.choice([
            .sequence([oneOf("0123456789abcefABCEF"), digit, digit, digit]),
            .sequence([oneOf("dD"), oneOf("01234567"), digit, digit]),
        ])
        let pair = GrammarExpression.sequence([
            oneOf("dD"), oneOf("89abAB"), digit, digit, .text("\\u"), oneOf("dD"), oneOf("cdefCDEF"), digit, digit,
        ])
        return .sequence([
            .text("\\"), .choice([oneOf("\"\\/bfnrt"), .sequence([.text("u"), .choice([plain, pair])])]),
        ])
    }()
}
