import ChatTemplates

/// Makes the automaton of texts that stand between tags: everything that a reader takes for one value, and that the
/// schema allows.
enum ValueAutomaton {
    private enum Phase {
        case start
        case inside
        /// Behind a line break that is part of the value only if something follows.
        case lineBreak
    }

    private struct Key: Hashable {
        var progress: ValueEnd.Progress
        var text: Int
        var phase: Phase
    }

    /// - Parameter texts: the values that the schema allows.
    static func make(
        _ texts: ScalarAutomaton, before end: ValueEnd, _ layout: ValueLayout, _ vocabulary: GrammarVocabulary
    ) throws(GrammarError) -> ScalarAutomaton {
        let marks = end.ownMarks.filter { vocabulary.markers[$0] != nil }
        var work = 0

        /// The states of `texts` behind one character of a set: those in front of it, with the part of the set.
        func steps(_ state: Int, _ set: ScalarSet) -> [(ScalarSet, Int)] {
            texts.states[state].transitions.compactMap {
                let common = $0.scalars.intersection(set)
                return common.isEmpty ? nil : (common, $0.target)
            }
        }

        func follow(_ key: Key, _ scalar: UInt32?, _ set: ScalarSet) -> [(ScalarSet, Key)] {
            var progress = key.progress
            // No mark holds this byte.
            for byte in scalar.map(utf8) ?? [0xFF] where end.read(byte, &progress)?.isOver ?? false { return [] }
            let isLineBreak = scalar == 0x0A
            if isLineBreak, layout.hasFirst, key.phase == .start {
                return [(set, Key(progress: progress, text: key.text, phase: .inside))]
            }
            var states = [key.text]
            if key.phase == .lineBreak { states = steps(key.text, ScalarSet(0x0A)).map(\.1) }
            if isLineBreak, layout.hasLast {
                return states.map { (set, Key(progress: progress, text: $0, phase: .lineBreak)) }
            }
            return states.flatMap { steps($0, set) }.map {
                ($0.0, Key(progress: progress, text: $0.1, phase: .inside))
            }
        }

        let start = Key(progress: ValueEnd.Progress(), text: 0, phase: .start)
        return try ScalarAutomaton.exploring(from: start) { (key: Key) throws(GrammarError) in
            let expected = end.expected(key.progress)
            var transitions: [(ScalarSet, Key)] = []
            for scalar in expected.sorted() { transitions += follow(key, scalar, ScalarSet(scalar)) }
            transitions += follow(key, nil, ScalarSet(expected.map { $0...$0 }).complement)
            work += transitions.count
            guard work <= GrammarLimits.pairs / 100 else { throw .tooComplex("texts between tags") }
            let isComplete = !layout.needsLast || key.progress.isAtLine
            let accepts = texts.states[key.text].accepts && !key.progress.isOpened && isComplete
            var tokens: [(String, Key)] = []
            for mark in marks {
                var keys = [key]
                for scalar in mark.unicodeScalars {
                    keys = keys.flatMap { follow($0, scalar.value, ScalarSet(scalar.value)).map(\.1) }
                }
                tokens += keys.map { (mark, $0) }
            }
            return (transitions, tokens, accepts)
        }
    }

    /// Texts that nothing in ends a value.
    static func notEnding(_ end: ValueEnd) throws(GrammarError) -> ScalarAutomaton {
        try ScalarAutomaton.exploring(from: ValueEnd.Progress()) { (key: ValueEnd.Progress) throws(GrammarError) in
            let expected = end.expected(key)
            var transitions: [(ScalarSet, ValueEnd.Progress)] = []
            func add(_ scalar: UInt32?, _ set: ScalarSet) {
                var progress = key
                for byte in scalar.map(utf8) ?? [0xFF] where end.read(byte, &progress)?.isOver ?? false { return }
                if !progress.isOpened { transitions.append((set, progress)) }
            }
            for scalar in expected { add(scalar, ScalarSet(scalar)) }
            add(nil, ScalarSet(expected.map { $0...$0 }).complement)
            return (transitions, true)
        }
    }

    private static func utf8(_ scalar: UInt32) -> [UInt8] {
        Unicode.Scalar(scalar).map { Array(String(Character($0)).utf8) } ?? []
    }
}
