/// Makes a ``GrammarProgram`` from states with empty transitions: takes those out, refuses left recursion, drops what
/// leads to no text or is never reached, and finds the classes of bytes. Every step is linear in the result.
struct ProgramLinker {
    private struct State {
        var bytes: [(range: ClosedRange<UInt8>, target: Int)] = []
        var calls: [(rule: Int, back: Int)] = []
        var isFinal = false
    }

    private let source: StateBuilder
    private var isNullable: [Bool]
    /// By the number of the source; empty where no byte or call leads.
    private var states: [State]

    init(_ source: StateBuilder) throws(GrammarError) {
        self.source = source
        isNullable = Self.nullableRules(source)
        states = Array(repeating: State(), count: source.states.count)
        try removeEmptyTransitions()
    }

    mutating func link(path: String) throws(GrammarError) -> GrammarProgram {
        let ranks = try leftCallOrder()
        dropUseless()
        let root = source.grammar.root
        let start = source.starts[root]
        guard isNullable[root] || !states[start].bytes.isEmpty || !states[start].calls.isEmpty else {
            throw .unsatisfiable(path: path)
        }
        return program(ranks)
    }

    // MARK: Empty texts

    /// Rules that have the empty text. A state that is reached from its rule's start without a byte is reached once.
    private static func nullableRules(_ source: StateBuilder) -> [Bool] {
        var ruleOfEnd = [Int](repeating: -1, count: source.states.count)
        for (rule, end) in source.ends.enumerated() { ruleOfEnd[end] = rule }
        var isNullable = [Bool](repeating: false, count: source.starts.count)
        var isReached = [Bool](repeating: false, count: source.states.count)
        var waiting: [Int: [Int]] = [:]
        var pending = source.starts
        while let state = pending.popLast() {
            guard !isReached[state] else { continue }
            isReached[state] = true
            pending += source.states[state].empty
            for call in source.states[state].calls {
                if isNullable[call.rule] {
                    pending.append(call.back)
                } else {
                    waiting[call.rule, default: []].append(call.back)
                }
            }
            let rule = ruleOfEnd[state]
            if rule >= 0, !isNullable[rule] {
                isNullable[rule] = true
                pending += waiting.removeValue(forKey: rule) ?? []
            }
        }
        return isNullable
    }

    private mutating func removeEmptyTransitions() throws(GrammarError) {
        var ruleOfEnd = [Bool](repeating: false, count: states.count)
        for end in source.ends { ruleOfEnd[end] = true }
        var isStart = [Bool](repeating: false, count: states.count)
        for start in source.starts { isStart[start] = true }
        var isNeeded = isStart
        for state in source.states {
            for edge in state.bytes { isNeeded[edge.target] = true }
            for call in state.calls { isNeeded[call.back] = true }
        }
        // The last state whose closure came by, so that marks need no clearing.
        var seenFrom = [Int](repeating: -1, count: states.count)
        var edges = 0
        var visits = 0
        for state in states.indices where isNeeded[state] {
            var merged = State()
            var pending = [state]
            seenFrom[state] = state
            func visit(_ next: Int) {
                guard seenFrom[next] != state else { return }
                seenFrom[next] = state
                pending.append(next)
            }
            while let current = pending.popLast() {
                let from = source.states[current]
                merged.bytes += from.bytes
                merged.calls += from.calls
                if ruleOfEnd[current] { merged.isFinal = true }
                for next in from.empty { visit(next) }
                for call in from.calls where isNullable[call.rule] { visit(call.back) }
                visits += 1
            }
            // An empty text of a rule is the business of its callers.
            if isStart[state] { merged.isFinal = false }
            edges += merged.bytes.count + merged.calls.count
            guard edges <= GrammarLimits.edges, visits <= 4 * GrammarLimits.edges else {
                throw .tooComplex("more than \(GrammarLimits.edges) transitions")
            }
            states[state] = merged
        }
    }

    // MARK: Checks

    /// Numbers rules so that each comes before those that it may call as its first step.
    private func leftCallOrder() throws(GrammarError) -> [Int] {
        enum Mark { case new, open, done }
        var marks = [Mark](repeating: .new, count: source.starts.count)
        var finished: [Int] = []
        for first in source.starts.indices where marks[first] == .new {
            var path = [(rule: first, next: 0)]
            marks[first] = .open
            while let (rule, next) = path.last {
                let calls = states[source.starts[rule]].calls
                guard next < calls.count else {
                    marks[rule] = .done
                    finished.append(rule)
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let callee = calls[next].rule
                switch marks[callee] {
                case .new:
                    marks[callee] = .open
                    path.append((callee, 0))
                case .open: throw .leftRecursion(rule: source.grammar.rules[callee].name)
                case .done: break
                }
            }
        }
        var ranks = [Int](repeating: 0, count: finished.count)
        for (place, rule) in finished.reversed().enumerated() { ranks[rule] = place }
        return ranks
    }

    /// Takes out transitions that lead to no text.
    private mutating func dropUseless() {
        var sources = [[Int]](repeating: [], count: states.count)
        var callersOfBack = [[(state: Int, rule: Int)]](repeating: [], count: states.count)
        var callersOfRule = [[(state: Int, back: Int)]](repeating: [], count: source.starts.count)
        var ruleOfStart = [Int](repeating: -1, count: states.count)
        for (rule, start) in source.starts.enumerated() { ruleOfStart[start] = rule }
        for (index, state) in states.enumerated() {
            for edge in state.bytes { sources[edge.target].append(index) }
            for call in state.calls {
                callersOfBack[call.back].append((index, call.rule))
                callersOfRule[call.rule].append((index, call.back))
            }
        }
        var isUseful = [Bool](repeating: false, count: states.count)
        var pending = states.indices.filter { states[$0].isFinal }
        while let state = pending.popLast() {
            guard !isUseful[state] else { continue }
            isUseful[state] = true
            pending += sources[state]
            for caller in callersOfBack[state] where isUseful[source.starts[caller.rule]] {
                pending.append(caller.state)
            }
            if ruleOfStart[state] >= 0 {
                for caller in callersOfRule[ruleOfStart[state]] where isUseful[caller.back] {
                    pending.append(caller.state)
                }
            }
        }
        for index in states.indices {
            states[index].bytes.removeAll { !isUseful[$0.target] }
            states[index].calls.removeAll { !isUseful[source.starts[$0.rule]] || !isUseful[$0.back] }
        }
    }

    // MARK: Result

    private func program(_ ranks: [Int]) -> GrammarProgram {
        var program = GrammarProgram()
        // State 0 is the end of all; the others are numbered as they are found.
        var numberOfState = [Int32](repeating: -1, count: states.count)
        var numberOfRule = [Int32](repeating: -1, count: source.starts.count)
        var order: [Int] = []
        var rules: [Int] = []
        func number(_ state: Int) -> Int32 {
            if numberOfState[state] < 0 {
                order.append(state)
                numberOfState[state] = Int32(order.count)
            }
            return numberOfState[state]
        }
        func ruleNumber(_ rule: Int) -> Int32 {
            if numberOfRule[rule] < 0 {
                numberOfRule[rule] = Int32(rules.count)
                rules.append(rule)
                program.startOfRule.append(number(source.starts[rule]))
                program.rankOfRule.append(Int32(ranks[rule]))
            }
            return numberOfRule[rule]
        }
        program.root = ruleNumber(source.grammar.root)
        program.acceptsEmpty = isNullable[source.grammar.root]

        var isLimit = [Bool](repeating: false, count: 257)
        var edges: [(range: ClosedRange<UInt8>, target: Int32)] = []
        program.isFinal.append(true)
        program.byteStart.append(0)
        program.callStart.append(0)
        var next = 0
        while next < order.count {
            let state = states[order[next]]
            next += 1
            for edge in state.bytes {
                isLimit[Int(edge.range.lowerBound)] = true
                isLimit[Int(edge.range.upperBound) + 1] = true
                edges.append((edge.range, number(edge.target)))
            }
            for call in state.calls {
                program.calls.append(.init(rule: ruleNumber(call.rule), back: number(call.back)))
            }
            program.isFinal.append(state.isFinal)
            program.byteStart.append(Int32(edges.count))
            program.callStart.append(Int32(program.calls.count))
        }

        var byteClass = 0
        for byte in 0..<256 {
            if byte > 0, isLimit[byte] { byteClass += 1 }
            program.classOfByte[byte] = UInt8(byteClass)
        }
        program.classCount = byteClass + 1
        program.byteEdges = edges.map { range, target in
            GrammarProgram.ByteEdge(
                low: program.classOfByte[Int(range.lowerBound)], high: program.classOfByte[Int(range.upperBound)],
                target: target)
        }
        return program
    }
}
