/// Finds the tokens that may come next, and remembers the answers.
struct TokenFinder {
    private enum Limit {
        /// Items looked at for one mask: some tens of milliseconds.
        static let effort = 4_000_000
        /// Bytes of remembered masks.
        static let maskBytes = 16 << 20
    }

    private(set) var automaton: GrammarAutomaton
    private let vocabulary: GrammarVocabulary
    private var masks: [Int32: TokenMask] = [:]
    private var plainSteps: [Int32: PlainStep] = [:]
    /// Configurations along the way from the root of a trie.
    private var path: [Int32]

    init(_ program: GrammarProgram, _ vocabulary: GrammarVocabulary) {
        automaton = GrammarAutomaton(program)
        self.vocabulary = vocabulary
        path = [Int32](repeating: 0, count: max(vocabulary.plain.longest, vocabulary.other.longest) + 1)
    }

    mutating func start() -> Int32 { automaton.start() }

    /// Whether it may serve another answer.
    var isReusable: Bool { automaton.failure == nil && !automaton.isFull }

    func isAccepting(_ configuration: Int32) -> Bool { automaton.isAccepting[Int(configuration)] }

    func isOver(_ configuration: Int32) -> Bool { automaton.isOver(configuration) }

    // MARK: One token

    /// After more bytes; nil if they do not fit. `configuration` may get another number.
    mutating func advance(
        _ configuration: inout Int32, over bytes: some Collection<UInt8>
    ) throws(GrammarError) -> Int32? {
        automaton.effort = 0
        for _ in 0..<2 {
            var current = configuration
            for byte in bytes {
                current = automaton.step(current, byte)
                guard current != GrammarAutomaton.dead else { break }
            }
            if let failure = automaton.failure { throw failure }
            if !automaton.isFull { return current == GrammarAutomaton.dead ? nil : current }
            configuration = try forget(keeping: configuration)
        }
        throw .tooComplex("a token with too many ways to read it")
    }

    private mutating func forget(keeping configuration: Int32) throws(GrammarError) -> Int32 {
        let kept = automaton.compact(keeping: configuration)
        masks.removeAll()
        plainSteps.removeAll()
        if let failure = automaton.failure { throw failure }
        return kept
    }

    // MARK: All tokens

    /// The tokens that fit; without those that end the generation. `configuration` may get another number.
    mutating func mask(_ configuration: inout Int32) throws(GrammarError) -> TokenMask {
        if let known = masks[configuration] { return known }
        for _ in 0..<2 {
            automaton.effort = 0
            let mask = findMask(configuration)
            if let failure = automaton.failure { throw failure }
            guard automaton.effort <= Limit.effort else { throw .tooComplex("too many ways to go on") }
            if !automaton.isFull {
                if masks.count >= max(Limit.maskBytes / max(8 * mask.words.count, 1), 8) { masks.removeAll() }
                masks[configuration] = mask
                return mask
            }
            configuration = try forget(keeping: configuration)
        }
        throw .tooComplex("too many ways to go on")
    }

    private mutating func findMask(_ configuration: Int32) -> TokenMask {
        var mask: TokenMask
        switch plainReach(configuration) {
        case .exactly(let length): mask = vocabulary.plainUpTo[length]
        case .mixed:
            mask = TokenMask(count: vocabulary.size)
            walk(vocabulary.plain, from: configuration, into: &mask)
        }
        walk(vocabulary.other, from: configuration, into: &mask)
        return mask
    }

    private mutating func walk(_ trie: TokenTrie, from configuration: Int32, into mask: inout TokenMask) {
        path[0] = configuration
        let nodes = trie.nodes
        var place = 0
        while place < nodes.count {
            let node = nodes[place]
            let depth = Int(node.depth)
            let target = automaton.step(path[depth - 1], node.byte)
            if target == GrammarAutomaton.dead {
                if automaton.isFull || automaton.failure != nil || automaton.effort > Limit.effort { return }
                place = Int(node.end)
                continue
            }
            path[depth] = target
            if node.token >= 0 {
                mask.insert(node.token)
            } else if node.token < -1 {
                for token in trie.shared[Int(-2 - node.token)] { mask.insert(token) }
            }
            place += 1
        }
    }

    // MARK: Plain characters

    /// How a configuration takes one plain character.
    private enum PlainStep {
        case none
        case some
        /// Whatever the character; the configurations that follow.
        case all([Int32])
    }

    private enum PlainReach {
        /// Any plain characters up to a number, and none beyond.
        case exactly(Int)
        case mixed
    }

    private mutating func plainReach(_ configuration: Int32) -> PlainReach {
        var frontier = [configuration]
        var visited: Set<Int32> = [configuration]
        var comesBack = false
        for length in 0..<GrammarVocabulary.longestPlain {
            var following: [Int32] = []
            var blocked = 0
            var partial = 0
            for current in frontier {
                switch plainStep(current) {
                case .none: blocked += 1
                case .some: partial += 1
                case .all(let targets):
                    for target in targets {
                        if visited.insert(target).inserted { following.append(target) } else { comesBack = true }
                    }
                }
            }
            if partial > 0 || blocked > 0 {
                return blocked == frontier.count && !comesBack ? .exactly(length) : .mixed
            }
            guard following.count <= 64 else { return .mixed }
            frontier = following
            if frontier.isEmpty { break }
        }
        return .exactly(GrammarVocabulary.longestPlain)
    }

    private mutating func plainStep(_ configuration: Int32) -> PlainStep {
        if let known = plainSteps[configuration] { return known }
        var targets: Set<Int32> = []
        var begins = 0
        var fails = false
        var pending = [(configuration: configuration, state: 0)]
        var seen: Set<UInt64> = []
        while let (current, state) = pending.popLast() {
            for (bytes, next) in Self.plainBytes[state] {
                let classes = automaton.program.classOfByte
                for byteClass in classes[Int(bytes.lowerBound)]...classes[Int(bytes.upperBound)] {
                    let target = automaton.step(current, class: byteClass)
                    if target == GrammarAutomaton.dead {
                        fails = true
                    } else {
                        if state == 0 { begins += 1 }
                        if next == 0 {
                            targets.insert(target)
                        } else if seen.insert(UInt64(next) << 32 | UInt64(UInt32(target))).inserted {
                            pending.append((target, next))
                        }
                    }
                }
            }
            // One that fails is settled, once it is clear whether anything fits.
            if fails, begins > 0 { break }
        }
        let result: PlainStep = !fails ? .all(targets.sorted()) : begins == 0 ? .none : .some
        plainSteps[configuration] = result
        return result
    }

    /// UTF-8 of plain characters as an automaton: from each state, bytes and the state behind them; 0 is between
    /// characters.
    private static let plainBytes: [[(ClosedRange<UInt8>, Int)]] = [
        [
            (0x20...0x21, 0), (0x23...0x5B, 0), (0x5D...0x7E, 0), (0xC2...0xDF, 1), (0xE0...0xE0, 4), (0xE1...0xEC, 2),
            (0xED...0xED, 5), (0xEE...0xEF, 2), (0xF0...0xF0, 6), (0xF1...0xF3, 3), (0xF4...0xF4, 7),
        ],
        [(0x80...0xBF, 0)], [(0x80...0xBF, 1)], [(0x80...0xBF, 2)], [(0xA0...0xBF, 1)], [(0x80...0x9F, 1)],
        [(0x90...0xBF, 2)], [(0x80...0x8F, 2)],
    ]
}
