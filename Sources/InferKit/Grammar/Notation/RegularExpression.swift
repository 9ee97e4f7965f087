/// The regular expressions of `pattern`: the part of ECMA-262's syntax that denotes regular languages.
///
/// There are literals and escapes, `.`, classes with `\d \w \s` and their opposites (ASCII digits and word characters,
/// Unicode white space, as in ECMA-262 without flags), groups of all kinds that only group, `|`, the quantifiers
/// `* + ? {n} {n,} {n,m}` with or without a lazy `?`, and `^` and `$` at the ends of the alternatives. Everything else
/// is refused. As in JSON Schema an expression without anchors matches anywhere in the text.
struct RegularExpression {
    private indirect enum Node {
        case empty
        case scalars(ScalarSet)
        case sequence([Node])
        case choice([Node])
        case repeated(Node, minimum: Int, maximum: Int?)
        case start
        case end
    }

    /// Why a pattern is refused.
    struct Failure: Error {
        var message: String
        /// Whether the pattern may be right and only this implementation lacks something.
        var isUnsupported: Bool
    }

    private let source: [Unicode.Scalar]
    private var position = 0
    private var nesting = 0

    /// The texts that a pattern matches.
    static func automaton(for pattern: String) throws(Failure) -> ScalarAutomaton {
        var parser = RegularExpression(source: Array(pattern.unicodeScalars))
        let node = try parser.alternatives()
        guard parser.position == parser.source.count else {
            throw Failure(message: "unmatched ')'", isUnsupported: false)
        }
        var builder = Builder()
        let final = try builder.add(try searched(node), from: 0)
        return try builder.determinized(final: final)
    }

    private init(source: [Unicode.Scalar]) { self.source = source }

    // MARK: Anchors

    /// With anything before and behind where no anchor says otherwise.
    private static func searched(_ node: Node) throws(Failure) -> Node {
        let anything = Node.repeated(.scalars(.all), minimum: 0, maximum: nil)
        switch node {
        case .start, .end: return anything
        case .choice(let choices):
            var result: [Node] = []
            for choice in choices { result.append(try searched(choice)) }
            return .choice(result)
        case .sequence(let parts) where parts.count == 1: return try searched(parts[0])
        case .sequence(var parts):
            var isStart = false
            var isEnd = false
            while case .start? = parts.first {
                isStart = true
                parts.removeFirst()
            }
            while case .end? = parts.last {
                isEnd = true
                parts.removeLast()
            }
            if !isStart { parts.insert(anything, at: 0) }
            if !isEnd { parts.append(anything) }
            return .sequence(parts)
        default: return .sequence([anything, node, anything])
        }
    }

    // MARK: Syntax

    private var current: Unicode.Scalar? { position < source.count ? source[position] : nil }

    private func fault(_ message: String) -> Failure { Failure(message: message, isUnsupported: false) }
    private func missing(_ message: String) -> Failure { Failure(message: message, isUnsupported: true) }

    private mutating func alternatives() throws(Failure) -> Node {
        var choices = [try sequence()]
        while current == "|" {
            position += 1
            choices.append(try sequence())
        }
        return choices.count == 1 ? choices[0] : .choice(choices)
    }

    private mutating func sequence() throws(Failure) -> Node {
        var parts: [Node] = []
        while let scalar = current, scalar != "|", scalar != ")" {
            let atom = try atom(scalar)
            parts.append(try quantified(atom))
        }
        return .sequence(parts)
    }

    private mutating func atom(_ scalar: Unicode.Scalar) throws(Failure) -> Node {
        position += 1
        switch scalar {
        case "^": return .start
        case "$": return .end
        case ".": return .scalars(ScalarSet(of: "\n\r\u{2028}\u{2029}").complement)
        case "(": return try group()
        case "[": return .scalars(try characterClass())
        case "\\": return .scalars(try escape(inClass: false).set)
        case "*", "+", "?": throw fault("nothing to repeat before '\(scalar)'")
        case "{": throw fault("a '{' without anything to repeat; write \\{ for the character")
        default: return .scalars(ScalarSet(scalar.value))
        }
    }

    private mutating func group() throws(Failure) -> Node {
        nesting += 1
        guard nesting <= GrammarLimits.nesting else { throw missing("groups nested this deep") }
        if current == "?" {
            let kind = position + 1 < source.count ? source[position + 1] : " "
            let next = position + 2 < source.count ? source[position + 2] : " "
            if kind == ":" {
                position += 2
            } else if kind == "<", next != "=", next != "!" {
                while let scalar = current, scalar != ">" { position += 1 }
                guard current == ">" else { throw fault("unterminated group name") }
                position += 1
            } else {
                throw missing("the group (?\(kind)")
            }
        }
        let node = try alternatives()
        guard current == ")" else { throw fault("unterminated group") }
        position += 1
        nesting -= 1
        return node
    }

    private mutating func quantified(_ atom: Node) throws(Failure) -> Node {
        let bounds: (Int, Int?)
        switch current {
        case "*": bounds = (0, nil)
        case "+": bounds = (1, nil)
        case "?": bounds = (0, 1)
        case "{": bounds = try counts()
        default: return atom
        }
        switch atom {
        case .start, .end: throw fault("nothing to repeat after an anchor")
        default: break
        }
        position += 1
        // Lazy matching finds the same texts.
        if current == "?" { position += 1 }
        switch current {
        case "+": throw missing("a possessive quantifier")
        case "*", "?", "{": throw fault("a quantifier after a quantifier")
        default: break
        }
        return .repeated(atom, minimum: bounds.0, maximum: bounds.1)
    }

    /// Ends at the closing brace.
    private mutating func counts() throws(Failure) -> (Int, Int?) {
        position += 1
        guard let minimum = try number() else { throw fault("expected a number after '{'") }
        var maximum: Int? = minimum
        if current == "," {
            position += 1
            maximum = try number()
        }
        guard current == "}" else { throw fault("expected '}'") }
        if let maximum, maximum < minimum { throw fault("the quantifier {\(minimum),\(maximum)} is reversed") }
        return (minimum, maximum)
    }

    private mutating func number() throws(Failure) -> Int? {
        var value: Int?
        while let scalar = current, let digit = scalar.properties.numericType == .decimal ? scalar.value : nil,
            0x30...0x39 ~= digit
        {
            let next = (value ?? 0) * 10 + Int(digit - 0x30)
            guard next <= GrammarLimits.repetition else {
                throw missing("a quantifier of more than \(GrammarLimits.repetition)")
            }
            value = next
            position += 1
        }
        return value
    }

    private static let digits = ScalarSet([0x30...0x39])
    private static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    private static let whitespace = ScalarSet(
        [0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F]
            + [0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF])

    /// After the backslash. `scalar` is set where the escape is one character.
    private mutating func escape(inClass: Bool) throws(Failure) -> (set: ScalarSet, scalar: UInt32?) {
        guard let kind = current else { throw fault("a backslash at the end") }
        position += 1
        func one(_ scalar: UInt32) -> (ScalarSet, UInt32?) { (ScalarSet(scalar), scalar) }
        switch kind {
        case "d": return (Self.digits, nil)
        case "D": return (Self.digits.complement, nil)
        case "w": return (Self.wordCharacters, nil)
        case "W": return (Self.wordCharacters.complement, nil)
        case "s": return (Self.whitespace, nil)
        case "S": return (Self.whitespace.complement, nil)
        case "t": return one(0x09)
        case "n": return one(0x0A)
        case "v": return one(0x0B)
        case "f": return one(0x0C)
        case "r": return one(0x0D)
        case "0": return one(0)
        case "b" where inClass: return one(0x08)
        case "x": return one(try hexadecimal(2))
        case "u": return one(try unicodeEscape())
        case "b", "B": throw missing("the word boundary \\\(kind)")
        case "k", "1"..."9": throw missing("the back reference \\\(kind)")
        case "p", "P": throw missing("the property class \\\(kind)")
        case "a"..."z", "A"..."Z": throw missing("the escape \\\(kind)")
        default: return one(kind.value)
        }
    }

    private mutating func unicodeEscape() throws(Failure) -> UInt32 {
        if current == "{" {
            guard let end = source[position...].firstIndex(of: "}") else { throw fault("unterminated \\u{") }
            let text = source[(position + 1)..<end].reduce(into: "") { $0.unicodeScalars.append($1) }
            guard let value = UInt32(text, radix: 16), Unicode.Scalar(value) != nil else {
                throw fault("\\u{\(text)} is no character")
            }
            position = end + 1
            return value
        }
        let unit = try hexadecimal(4)
        if 0xD800...0xDBFF ~= unit, position + 1 < source.count, source[position] == "\\", source[position + 1] == "u" {
            position += 2
            let low = try hexadecimal(4)
            guard 0xDC00...0xDFFF ~= low else { throw fault("half of a surrogate pair") }
            return 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
        }
        guard Unicode.Scalar(unit) != nil else { throw fault("half of a surrogate pair") }
        return unit
    }

    private mutating func hexadecimal(_ digits: Int) throws(Failure) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let scalar = current, scalar.isASCII, let digit = Character(scalar).hexDigitValue else {
                throw fault("expected \(digits) hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    private mutating func characterClass() throws(Failure) -> ScalarSet {
        let isNegated = current == "^"
        if isNegated { position += 1 }
        var ranges: [ClosedRange<UInt32>] = []
        while true {
            guard let first = current else { throw fault("unterminated class") }
            if first == "]" { break }
            let low = try classMember()
            guard current == "-", position + 1 < source.count, source[position + 1] != "]" else {
                ranges += low.set.ranges
                continue
            }
            position += 1
            let high = try classMember()
            guard let from = low.scalar, let to = high.scalar else {
                // In ECMA-262 a hyphen beside a class such as \d is a hyphen.
                ranges += low.set.ranges + high.set.ranges + [0x2D...0x2D]
                continue
            }
            guard from <= to else { throw fault("a reversed range in a class") }
            ranges.append(from...to)
        }
        position += 1
        let set = ScalarSet(ranges)
        return isNegated ? set.complement : set
    }

    private mutating func classMember() throws(Failure) -> (set: ScalarSet, scalar: UInt32?) {
        guard let scalar = current else { throw fault("unterminated class") }
        position += 1
        return scalar == "\\" ? try escape(inClass: true) : (ScalarSet(scalar.value), scalar.value)
    }

    // MARK: Automaton

    /// A nondeterministic automaton with empty transitions (Thompson's construction), made deterministic.
    private struct Builder {
        private var edges: [[(ScalarSet, Int)]] = [[]]
        private var empty: [[Int]] = [[]]

        private mutating func newState() throws(Failure) -> Int {
            guard edges.count < GrammarLimits.automatonStates else {
                throw Failure(message: "a pattern of this size", isUnsupported: true)
            }
            edges.append([])
            empty.append([])
            return edges.count - 1
        }

        /// Adds a node behind a state; gives the state behind the node.
        mutating func add(_ node: Node, from state: Int) throws(Failure) -> Int {
            switch node {
            case .empty: return state
            case .start, .end:
                throw Failure(message: "an anchor that is not at an end of the pattern", isUnsupported: true)
            case .scalars(let set):
                let next = try newState()
                edges[state].append((set, next))
                return next
            case .sequence(let parts):
                var state = state
                for part in parts { state = try add(part, from: state) }
                return state
            case .choice(let choices):
                let end = try newState()
                for choice in choices {
                    let start = try newState()
                    empty[state].append(start)
                    empty[try add(choice, from: start)].append(end)
                }
                return end
            case .repeated(let node, let minimum, let maximum):
                var state = state
                for _ in 0..<minimum {
                    let next = try add(node, from: state)
                    // Nothing, any number of times, is nothing.
                    if next == state { break }
                    state = next
                }
                let end = try newState()
                if let maximum {
                    for _ in minimum..<maximum {
                        empty[state].append(end)
                        let next = try add(node, from: state)
                        if next == state { break }
                        state = next
                    }
                } else {
                    let loop = try newState()
                    empty[state].append(loop)
                    empty[try add(node, from: loop)].append(loop)
                    state = loop
                }
                empty[state].append(end)
                return end
            }
        }

        private func closure(_ states: [Int]) -> [Int] {
            var seen = Set(states)
            var pending = states
            while let state = pending.popLast() {
                for next in empty[state] where seen.insert(next).inserted { pending.append(next) }
            }
            return seen.sorted()
        }

        func determinized(final: Int) throws(Failure) -> ScalarAutomaton {
            var work = 0
            do {
                return try ScalarAutomaton.exploring(from: closure([0])) { states throws(GrammarError) in
                    let outgoing = states.flatMap { edges[$0] }
                    work += states.count + outgoing.count
                    let transitions = try Self.split(outgoing, &work).map { ($0.0, closure($0.1)) }
                    return (transitions, states.contains(final))
                }
            } catch {
                throw Failure(message: "a pattern this complex", isUnsupported: true)
            }
        }

        /// Overlapping transitions to disjoint ones with the states they lead to.
        private static func split(
            _ transitions: [(set: ScalarSet, target: Int)], _ work: inout Int
        ) throws(GrammarError) -> [(ScalarSet, [Int])] {
            // From left to right over the places where a range begins or ends.
            var changes: [(place: UInt32, isStart: Bool, target: Int)] = []
            for (set, target) in transitions {
                for range in set.ranges {
                    changes.append((range.lowerBound, true, target))
                    changes.append((range.upperBound + 1, false, target))
                }
            }
            changes.sort { $0.place < $1.place }
            var rangesOfTargets: [[Int]: [ClosedRange<UInt32>]] = [:]
            /// How many of the ranges here lead to a target.
            var open: [Int: Int] = [:]
            for (index, change) in changes.enumerated() {
                let count = open[change.target, default: 0] + (change.isStart ? 1 : -1)
                open[change.target] = count == 0 ? nil : count
                let next = index + 1 < changes.count ? changes[index + 1].place : change.place
                guard next > change.place, !open.isEmpty else { continue }
                work += open.count
                guard work < 4_000_000 else { throw .tooComplex("a pattern with too many states") }
                rangesOfTargets[open.keys.sorted(), default: []].append(change.place...(next - 1))
            }
            return rangesOfTargets.map { (ScalarSet($0.value), $0.key) }
                .sorted { ($0.0.ranges.first?.lowerBound ?? 0) < ($1.0.ranges.first?.lowerBound ?? 0) }
        }
    }
}
