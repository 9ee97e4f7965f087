/// Recognises a ``GrammarProgram`` byte by byte and remembers what it found out: a deterministic automaton that is made
/// where it is used.
///
/// A *configuration* is all that matters of a text read so far: the places in rules where it may be, each with a frame.
/// A *frame* says where a rule's callers go on, each with a frame of its own. Calls of the same rule at the same place
/// share one frame, so ambiguity costs a sum and not a product; frames and configurations that are equal are one object,
/// so that a text that comes to the same point again (the next character of a string, the next item of a list) finds
/// its transitions ready.
///
/// Related: Earley's parser, whose item sets are these configurations ("An efficient context-free parsing algorithm",
/// 1970); calls in tail position share their caller's frame (Leo, 1991), so that lists written with right recursion do
/// not grow.
struct GrammarAutomaton {
    /// Nothing can follow, and the text is not complete either.
    static let dead: Int32 = 0
    private static let unknown: Int32 = -1
    /// The frame behind the root.
    private static let bottom: Int32 = 0
    /// The item that makes a configuration accepting; the smallest of all.
    private static let complete = pack(GrammarProgram.end, bottom)

    enum Limit {
        static let itemsPerConfiguration = 4096
        static let frames = 200_000
        static let frameEdges = 600_000
        static let transitions = 4_000_000
        static let items = 2_000_000
    }

    let program: GrammarProgram
    private let onlyReturns: [Bool]
    private let hasBytes: [Bool]

    // Frames: callers of frame f are places edgeStart[f]..<edgeStart[f + 1] of edges, each state << 32 | frame.
    private var edges: [UInt64] = []
    private var edgeStart: [Int32] = [0, 0]
    private var frames = InternTable()

    // Configurations: items likewise, state << 32 | frame, sorted.
    private var items: [UInt64] = []
    private var itemStart: [Int32] = [0, 0]
    private(set) var isAccepting: [Bool] = [false]
    private var configurations = InternTable()
    /// Configuration · class → configuration.
    private var next: [Int32]

    // For one transition.
    private var work: [UInt64] = []
    private var seen = KeySet()
    private var requests: [UInt64] = []
    private var slotOfRule: [Int32]
    private var slots: [[UInt64]] = []
    private var usedSlots = 0
    private var agenda: [UInt64] = []

    /// Set once a limit is reached; every step gives ``dead`` from then on.
    private(set) var failure: GrammarError?
    /// The memory limit is reached: ``compact(keeping:)`` makes room.
    private(set) var isFull = false
    /// Items looked at since it was last set: the time that transitions took to find.
    var effort = 0

    init(_ program: GrammarProgram) {
        self.program = program
        let states = program.isFinal.indices
        onlyReturns = states.map { program.onlyReturns(Int32($0)) }
        hasBytes = states.map { !program.bytes(of: Int32($0)).isEmpty }
        slotOfRule = [Int32](repeating: -1, count: program.startOfRule.count)
        next = [Int32](repeating: Self.dead, count: program.classCount)
    }

    /// Configurations made so far, the dead one included.
    var configurationCount: Int { isAccepting.count }

    /// Before the first byte.
    mutating func start() -> Int32 {
        beginTransition()
        if program.acceptsEmpty { work.append(Self.complete) }
        call(program.root, back: GrammarProgram.end, frame: Self.bottom)
        return closeCalls()
    }

    /// After one more byte.
    @inline(__always)
    mutating func step(_ configuration: Int32, _ byte: UInt8) -> Int32 {
        step(configuration, class: program.classOfByte[Int(byte)])
    }

    @inline(__always)
    mutating func step(_ configuration: Int32, class byteClass: UInt8) -> Int32 {
        let known = next[Int(configuration) * program.classCount + Int(byteClass)]
        return known != Self.unknown ? known : findTransition(configuration, byteClass)
    }

    /// Whether no byte can follow.
    func isOver(_ configuration: Int32) -> Bool {
        let count = itemStart[Int(configuration) + 1] - itemStart[Int(configuration)]
        return count == 0 || count == 1 && isAccepting[Int(configuration)]
    }

    // MARK: Transitions

    private mutating func findTransition(_ configuration: Int32, _ byteClass: UInt8) -> Int32 {
        guard failure == nil, !isFull else { return Self.dead }
        beginTransition()
        let own = Int(itemStart[Int(configuration)])..<Int(itemStart[Int(configuration) + 1])
        effort += own.count
        for place in own {
            let (state, frame) = unpack(items[place])
            for edge in program.bytes(of: state) {
                let transition = program.byteEdges[edge]
                if transition.low <= byteClass, byteClass <= transition.high { reach(transition.target, frame) }
            }
        }
        var target = Self.dead
        if !work.isEmpty { target = close() }
        if failure != nil { return Self.dead }
        next[Int(configuration) * program.classCount + Int(byteClass)] = target
        return target
    }

    private mutating func beginTransition() {
        work.removeAll(keepingCapacity: true)
        seen.removeAll()
    }

    private mutating func reach(_ state: Int32, _ frame: Int32) {
        let item = pack(state, frame)
        if seen.insert(item) { work.append(item) }
    }

    /// Returns from rules that may be over, then calls the rules that may begin.
    private mutating func close() -> Int32 {
        var place = 0
        while place < work.count {
            let (state, frame) = unpack(work[place])
            place += 1
            if state != GrammarProgram.end, program.isFinal[Int(state)] {
                for edge in Int(edgeStart[Int(frame)])..<Int(edgeStart[Int(frame) + 1]) {
                    let (back, caller) = unpack(edges[edge])
                    reach(back, caller)
                }
                guard checkSize() else { return Self.dead }
            }
        }
        for place in work.indices {
            let (state, frame) = unpack(work[place])
            for index in program.calls(of: state) {
                call(program.calls[index].rule, back: program.calls[index].back, frame: frame)
            }
        }
        return closeCalls()
    }

    /// Notes that a rule is called. Where nothing is left to do behind the call, the caller's callers are called back.
    private mutating func call(_ rule: Int32, back: Int32, frame: Int32) {
        var slot = slotOfRule[Int(rule)]
        if slot < 0 {
            slot = Int32(usedSlots)
            usedSlots += 1
            if slots.count < usedSlots { slots.append([]) }
            slotOfRule[Int(rule)] = slot
            push(UInt64(UInt32(program.rankOfRule[Int(rule)])) << 32 | UInt64(UInt32(rule)))
        }
        if onlyReturns[Int(back)], back != GrammarProgram.end {
            slots[Int(slot)] += edges[Int(edgeStart[Int(frame)])..<Int(edgeStart[Int(frame) + 1])]
        } else {
            slots[Int(slot)].append(pack(back, frame))
        }
    }

    /// Enters the called rules, callers first, so that all callers of a rule are known when its frame is made.
    private mutating func closeCalls() -> Int32 {
        var waiting = 0
        while let rule = popLowest() {
            let slot = Int(slotOfRule[Int(rule)])
            waiting += slots[slot].count
            if failure == nil, waiting > 16 * Limit.itemsPerConfiguration {
                failure = .tooComplex("too many ways to read one text")
            }
            guard failure == nil else {
                slots[slot].removeAll()
                slotOfRule[Int(rule)] = -1
                continue
            }
            slots[slot].sortAndDeduplicate()
            let frame = frames.intern(slots[slot], into: &edges, &edgeStart)
            slots[slot].removeAll(keepingCapacity: true)
            slotOfRule[Int(rule)] = -1
            let start = program.startOfRule[Int(rule)]
            work.append(pack(start, frame))
            for index in program.calls(of: start) {
                call(program.calls[index].rule, back: program.calls[index].back, frame: frame)
            }
            _ = checkSize()
        }
        usedSlots = 0
        guard failure == nil else { return Self.dead }
        work.removeAll { $0 != Self.complete && !hasBytes[Int($0 >> 32)] }
        return configuration()
    }

    /// The configuration of the items in ``work``.
    private mutating func configuration() -> Int32 {
        work.sortAndDeduplicate()
        guard let first = work.first else { return Self.dead }
        let count = itemStart.count
        let found = configurations.intern(work, into: &items, &itemStart)
        if itemStart.count > count {
            isAccepting.append(first == Self.complete)
            next.append(contentsOf: repeatElement(Self.unknown, count: program.classCount))
            isFull =
                next.count > Limit.transitions || items.count > Limit.items || edges.count > Limit.frameEdges
                || edgeStart.count > Limit.frames
        }
        return found
    }

    private mutating func checkSize() -> Bool {
        effort += 1
        if work.count > Limit.itemsPerConfiguration, failure == nil {
            failure = .tooComplex("too many ways to read one text")
        }
        return failure == nil
    }

    // MARK: Agenda of rules, lowest rank first (a binary heap)

    private mutating func push(_ entry: UInt64) {
        agenda.append(entry)
        var child = agenda.count - 1
        while child > 0, agenda[(child - 1) / 2] > agenda[child] {
            agenda.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func popLowest() -> Int32? {
        guard let lowest = agenda.first else { return nil }
        let last = agenda.removeLast()
        guard !agenda.isEmpty else { return Int32(truncatingIfNeeded: lowest) }
        agenda[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < agenda.count else { break }
            if child + 1 < agenda.count, agenda[child + 1] < agenda[child] { child += 1 }
            guard agenda[child] < agenda[parent] else { break }
            agenda.swapAt(child, parent)
            parent = child
        }
        return Int32(truncatingIfNeeded: lowest)
    }

    // MARK: Memory

    /// Forgets everything but one configuration; gives its new number.
    ///
    /// Sets ``failure`` if that alone takes most of the memory there is.
    mutating func compact(keeping configuration: Int32) -> Int32 {
        let kept = Array(items[Int(itemStart[Int(configuration)])..<Int(itemStart[Int(configuration) + 1])])
        // Callers have lower numbers than the frames that name them.
        var isLive = [Bool](repeating: false, count: edgeStart.count - 1)
        isLive[Int(Self.bottom)] = true
        for item in kept { isLive[Int(unpack(item).frame)] = true }
        for frame in isLive.indices.reversed() where isLive[frame] {
            for edge in Int(edgeStart[frame])..<Int(edgeStart[frame + 1]) {
                isLive[Int(unpack(edges[edge]).frame)] = true
            }
        }
        let old = self
        self = GrammarAutomaton(program)
        var newNumber = [Int32](repeating: 0, count: isLive.count)
        for frame in isLive.indices where isLive[frame] && frame != Int(Self.bottom) {
            var callers = old.edges[Int(old.edgeStart[frame])..<Int(old.edgeStart[frame + 1])].map { edge in
                let (back, caller) = unpack(edge)
                return pack(back, newNumber[Int(caller)])
            }
            callers.sortAndDeduplicate()
            newNumber[frame] = frames.intern(callers, into: &edges, &edgeStart)
        }
        work = kept.map { item in
            let (state, frame) = unpack(item)
            return pack(state, newNumber[Int(frame)])
        }
        let result = self.configuration()
        if edges.count > Limit.frameEdges / 2 || edgeStart.count > Limit.frames / 2 {
            failure = .tooComplex("a text nested this deep")
        }
        return result
    }
}

@inline(__always)
private func pack(_ state: Int32, _ frame: Int32) -> UInt64 { UInt64(UInt32(state)) << 32 | UInt64(UInt32(frame)) }

@inline(__always)
private func unpack(_ item: UInt64) -> (state: Int32, frame: Int32) {
    (Int32(truncatingIfNeeded: item >> 32), Int32(truncatingIfNeeded: item))
}
