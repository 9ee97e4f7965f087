/// A deterministic finite automaton over Unicode scalars. State 0 is the start; what has no transition is refused.
///
/// Being deterministic, automata can be intersected and complemented exactly: that is how `pattern`, `format`, lengths
/// and excluded names of one string are put together.
struct ScalarAutomaton: Sendable {
    struct Transition: Sendable {
        var scalars: ScalarSet
        var target: Int
    }

    struct State: Sendable {
        /// The sets of one state do not overlap.
        var transitions: [Transition] = []
        var accepts = false
        /// Tokens that stand for themselves, where some may come.
        var markers: [(text: String, target: Int)] = []
    }

    private(set) var states: [State]

    init(states: [State]) { self.states = states }

    /// All texts.
    static let anything = ScalarAutomaton(
        states: [State(transitions: [Transition(scalars: .all, target: 0)], accepts: true)])

    /// Texts with a number of scalars.
    static func length(minimum: Int, maximum: Int?) -> ScalarAutomaton {
        let count = maximum ?? minimum
        var states = (0...count).map { length in
            State(transitions: [Transition(scalars: .all, target: length + 1)], accepts: length >= minimum)
        }
        states[count].transitions = maximum == nil ? [Transition(scalars: .all, target: count)] : []
        return ScalarAutomaton(states: states)
    }

    /// Exactly these texts.
    init(texts: some Sequence<String>) {
        var edges: [[(scalar: UInt32, target: Int)]] = [[]]
        var accepting: [Bool] = [false]
        var childOf: [UInt64: Int] = [:]
        for text in texts {
            var state = 0
            for scalar in text.unicodeScalars {
                let key = UInt64(state) << 32 | UInt64(scalar.value)
                if let next = childOf[key] {
                    state = next
                } else {
                    let next = edges.count
                    childOf[key] = next
                    edges[state].append((scalar.value, next))
                    edges.append([])
                    accepting.append(false)
                    state = next
                }
            }
            accepting[state] = true
        }
        states = zip(edges, accepting).map { edges, accepts in
            State(
                transitions: edges.map { Transition(scalars: ScalarSet($0.scalar), target: $0.target) },
                accepts: accepts)
        }
    }

    func accepts(_ text: String) -> Bool {
        var state = 0
        for scalar in text.unicodeScalars {
            guard let next = states[state].transitions.first(where: { $0.scalars.contains(scalar.value) }) else {
                return false
            }
            state = next.target
        }
        return states[state].accepts
    }

    /// Texts that both accept.
    func intersection(_ other: ScalarAutomaton) throws(GrammarError) -> ScalarAutomaton {
        var work = 0
        return try Self.exploring(from: Pair(left: 0, right: 0)) { pair throws(GrammarError) in
            var transitions: [(ScalarSet, Pair)] = []
            work += states[pair.left].transitions.count * other.states[pair.right].transitions.count
            guard work <= GrammarLimits.pairs else { throw .tooComplex("strings that satisfy two long lists") }
            for left in states[pair.left].transitions {
                for right in other.states[pair.right].transitions {
                    let common = left.scalars.intersection(right.scalars)
                    if !common.isEmpty { transitions.append((common, Pair(left: left.target, right: right.target))) }
                }
            }
            return (transitions, states[pair.left].accepts && other.states[pair.right].accepts)
        }
    }

    private struct Pair: Hashable {
        var left: Int
        var right: Int
    }

    /// Texts that this one refuses.
    var complement: ScalarAutomaton {
        var result = states
        let trap = result.count
        for index in result.indices {
            result[index].accepts.toggle()
            let rest = ScalarSet(result[index].transitions.flatMap(\.scalars.ranges)).complement
            if !rest.isEmpty { result[index].transitions.append(Transition(scalars: rest, target: trap)) }
        }
        result.append(State(transitions: [Transition(scalars: .all, target: trap)], accepts: true))
        return ScalarAutomaton(states: result)
    }

    /// Without the states that lead to no text; nil when that is all of them.
    var trimmed: ScalarAutomaton? {
        var sources = [[Int]](repeating: [], count: states.count)
        for (index, state) in states.enumerated() {
            for transition in state.transitions { sources[transition.target].append(index) }
        }
        var isUseful = states.map(\.accepts)
        var pending = states.indices.filter { states[$0].accepts }
        while let state = pending.popLast() {
            for source in sources[state] where !isUseful[source] {
                isUseful[source] = true
                pending.append(source)
            }
        }
        guard isUseful[0] else { return nil }
        var result = states
        for index in result.indices { result[index].transitions.removeAll { !isUseful[$0.target] } }
        return ScalarAutomaton(states: result)
    }

    var isEmpty: Bool { trimmed == nil }

    /// The texts, if there are no more than `limit` and none is longer than that.
    func texts(limit: Int) -> [String]? {
        guard let automaton = trimmed else { return [] }
        var found: [String] = []
        var pending: [(state: Int, text: String)] = [(0, "")]
        while let (state, text) = pending.popLast() {
            guard text.unicodeScalars.count <= limit, pending.count <= limit else { return nil }
            if automaton.states[state].accepts { found.append(text) }
            guard found.count <= limit else { return nil }
            for transition in automaton.states[state].transitions {
                guard transition.scalars.count <= limit else { return nil }
                for scalar in transition.scalars.ranges.joined() {
                    guard let scalar = Unicode.Scalar(scalar) else { continue }
                    var longer = text
                    longer.unicodeScalars.append(scalar)
                    pending.append((transition.target, longer))
                }
            }
        }
        return found
    }

    /// The automaton whose states are what can be reached from `start`.
    static func exploring<Key: Hashable>(
        from start: Key, step: (Key) throws(GrammarError) -> (transitions: [(ScalarSet, Key)], accepts: Bool)
    ) throws(GrammarError) -> ScalarAutomaton {
        try exploring(from: start) { (key: Key) throws(GrammarError) in
            let (transitions, accepts) = try step(key)
            return (transitions, [], accepts)
        }
    }

    /// The same with tokens that stand for themselves.
    static func exploring<Key: Hashable>(
        from start: Key,
        step: (Key) throws(GrammarError) -> (
            transitions: [(ScalarSet, Key)], markers: [(String, Key)], accepts: Bool
        )
    ) throws(GrammarError) -> ScalarAutomaton {
        var numbers = [start: 0]
        var keys = [start]
        var states: [State] = []
        var edges = 0
        func number(_ key: Key) throws(GrammarError) -> Int {
            if let known = numbers[key] { return known }
            guard keys.count < GrammarLimits.automatonStates else {
                throw .tooComplex("an automaton of more than \(GrammarLimits.automatonStates) states")
            }
            numbers[key] = keys.count
            keys.append(key)
            return keys.count - 1
        }
        // Where the ranges that lead to a target are collected, for the state at hand.
        var placeOfTarget: [Int: Int] = [:]
        var collected: [(target: Int, ranges: [ClosedRange<UInt32>])] = []
        while states.count < keys.count {
            let (transitions, markers, accepts) = try step(keys[states.count])
            placeOfTarget.removeAll(keepingCapacity: true)
            collected.removeAll(keepingCapacity: true)
            for (scalars, key) in transitions {
                let target = try number(key)
                if let place = placeOfTarget[target] {
                    collected[place].ranges += scalars.ranges
                } else {
                    placeOfTarget[target] = collected.count
                    collected.append((target, scalars.ranges))
                }
            }
            var state = State(
                transitions: collected.map { Transition(scalars: ScalarSet($0.ranges), target: $0.target) },
                accepts: accepts)
            for (text, key) in markers { state.markers.append((text, try number(key))) }
            edges += state.transitions.count
            guard edges <= GrammarLimits.edges / 4 else { throw .tooComplex("an automaton with too many transitions") }
            states.append(state)
        }
        return ScalarAutomaton(states: states)
    }
}
