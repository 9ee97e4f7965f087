/// A set of Unicode scalars: by class, by range, or the complement.
struct ScalarSet {
    var classes: ScalarClass
    var ranges: [ClosedRange<UInt32>] = []
    var excluded: ScalarClass = []
    var isComplement = false

    init(_ classes: ScalarClass, _ ranges: [ClosedRange<UInt32>] = [], excluding excluded: ScalarClass = []) {
        self.classes = classes
        self.ranges = ranges
        self.excluded = excluded
    }

    /// The scalars of the text, and spans of scalars given by their first and last.
    init(_ scalars: String, _ spans: [ClosedRange<Unicode.Scalar>] = []) {
        self.init([], scalars.unicodeScalars.map { $0.value...$0.value })
        ranges += spans.map { $0.lowerBound.value...$0.upperBound.value }
    }

    static prefix func ! (set: ScalarSet) -> ScalarSet {
        var set = set
        set.isComplement.toggle()
        return set
    }

    func contains(_ packed: UInt32) -> Bool {
        let isListed =
            packed & classes.rawValue != 0 || ranges.contains { $0.contains(packed & ScalarClass.scalarMask) }
        return (isListed && packed & excluded.rawValue == 0) != isComplement
    }
}

/// A piece of a pattern.
enum PatternStep {
    /// As many scalars of the set as there are, at most `most`; fewer, but `least`, where what follows needs it.
    case run(ScalarSet, least: Int, most: Int)
    /// An English contraction: 's 't 're 've 'm 'll 'd.
    case contraction(ignoringCase: Bool, isOptional: Bool)
    /// `(?!\S)`: at the end, or before white space.
    case beforeSpaceOrEnd

    static func one(_ set: ScalarSet) -> PatternStep { .run(set, least: 1, most: 1) }
    static func optional(_ set: ScalarSet) -> PatternStep { .run(set, least: 0, most: 1) }
    static func some(_ set: ScalarSet) -> PatternStep { .run(set, least: 1, most: .max) }
    static func any(_ set: ScalarSet) -> PatternStep { .run(set, least: 0, most: .max) }
    static func upTo(_ most: Int, _ set: ScalarSet) -> PatternStep { .run(set, least: 1, most: most) }
}

/// What a pre-tokenizer's regular expression says, as ordered alternatives of steps, with the meaning that
/// backtracking engines give it: the first alternative that matches wins, runs are greedy.
///
/// The patterns of `PreTokenizer` take time linear in the text: a run that has to give back scalars gives back either
/// one, or all of them once.
struct Pattern: Sendable {
    /// A step in flat form, so that matching touches no reference counts.
    private struct Step: Sendable {
        enum Kind: UInt8, Sendable { case run, contraction, beforeSpaceOrEnd }
        var kind = Kind.run
        var ignoresCase = false
        var isComplement = false
        /// Membership of the ASCII characters, all of the set considered.
        var asciiLow: UInt64 = 0
        var asciiHigh: UInt64 = 0
        var classes: UInt32 = 0
        var excluded: UInt32 = 0
        /// In `ranges`, two elements each.
        var ranges = 0..<0
        var least = 0
        var most = 0
    }

    private var steps: [Step] = []
    private var ranges: [UInt32] = []
    private var alternatives: [Range<Int>] = []
    /// For every ASCII character the alternatives that may start with it, one bit each.
    private var starts: [UInt32] = []

    init(_ alternatives: [[PatternStep]]) {
        precondition(alternatives.count <= 32)
        for alternative in alternatives {
            let first = steps.count
            for step in alternative { append(step) }
            self.alternatives.append(first..<steps.count)
        }
        starts = ScalarClass.ascii.map { packed in
            var bits: UInt32 = 0
            for (index, alternative) in alternatives.enumerated()
            where Self.mayStart(alternative, with: packed) { bits |= 1 << UInt32(index) }
            return bits
        }
    }

    private mutating func append(_ step: PatternStep) {
        var flat = Step()
        switch step {
        case .run(let set, let least, let most):
            for packed in ScalarClass.ascii where set.contains(packed) {
                let value = UInt64(packed & ScalarClass.scalarMask)
                if value < 64 { flat.asciiLow |= 1 << value } else { flat.asciiHigh |= 1 << (value - 64) }
            }
            flat.isComplement = set.isComplement
            flat.classes = set.classes.rawValue
            flat.excluded = set.excluded.rawValue
            let first = ranges.count
            for range in set.ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
                ranges += [range.lowerBound, range.upperBound]
            }
            flat.ranges = first..<ranges.count
            flat.least = least
            flat.most = most
        case .contraction(let ignoringCase, let isOptional):
            flat.kind = .contraction
            flat.ignoresCase = ignoringCase
            flat.least = isOptional ? 0 : 1
        case .beforeSpaceOrEnd:
            flat.kind = .beforeSpaceOrEnd
        }
        steps.append(flat)
    }

    private static func mayStart(_ steps: [PatternStep], with packed: UInt32) -> Bool {
        for step in steps {
            switch step {
            case .run(let set, let least, _):
                if set.contains(packed) { return true }
                if least > 0 { return false }
            case .contraction(_, let isOptional):
                if packed & ScalarClass.scalarMask == 0x27 { return true }
                if !isOptional { return false }
            case .beforeSpaceOrEnd: return true
            }
        }
        return true
    }

    /// Splits the scalars of `range` into matches and what lies between them, and appends where each piece ends.
    func split(_ text: Span<UInt32>, _ range: Range<Int>, into ends: inout [Int]) {
        var position = range.lowerBound
        var pending = position
        while position < range.upperBound {
            let end = match(text, position, range.upperBound)
            guard end > position else {
                position += 1
                continue
            }
            if pending < position { ends.append(position) }
            ends.append(end)
            position = end
            pending = end
        }
        if pending < range.upperBound { ends.append(range.upperBound) }
    }

    /// Where the match that starts at `position` ends; -1 when there is none.
    private func match(_ text: Span<UInt32>, _ position: Int, _ end: Int) -> Int {
        let first = text[position] & ScalarClass.scalarMask
        let possible = first < 128 ? starts[Int(first)] : .max
        for index in 0..<alternatives.count where possible & (1 << UInt32(index)) != 0 {
            let alternative = alternatives[index]
            let result = match(text, position, end, alternative.lowerBound, alternative.upperBound)
            if result >= 0 { return result }
        }
        return -1
    }

    private func match(_ text: Span<UInt32>, _ position: Int, _ end: Int, _ index: Int, _ last: Int) -> Int {
        guard index < last else { return position }
        switch steps[index].kind {
        case .run:
            let least = steps[index].least
            let limit = steps[index].most > end - position ? end : position + steps[index].most
            var stop = position
            while stop < limit, contains(text[stop], index) { stop += 1 }
            guard stop - position >= least else { return -1 }
            if index + 1 == last { return stop }
            while true {
                let result = match(text, stop, end, index + 1, last)
                if result >= 0 { return result }
                guard stop - position > least else { return -1 }
                stop -= 1
            }
        case .contraction:
            let length = contraction(text, position, end, ignoringCase: steps[index].ignoresCase)
            if length == 0, steps[index].least > 0 { return -1 }
            return match(text, position + length, end, index + 1, last)
        case .beforeSpaceOrEnd:
            guard position == end || text[position] & ScalarClass.space.rawValue != 0 else { return -1 }
            return match(text, position, end, index + 1, last)
        }
    }

    @inline(__always)
    private func contains(_ packed: UInt32, _ index: Int) -> Bool {
        let scalar = packed & ScalarClass.scalarMask
        if scalar < 64 { return steps[index].asciiLow >> UInt64(scalar) & 1 != 0 }
        if scalar < 128 { return steps[index].asciiHigh >> UInt64(scalar - 64) & 1 != 0 }
        var isListed = packed & steps[index].classes != 0
        if !isListed, !steps[index].ranges.isEmpty { isListed = inRanges(scalar, steps[index].ranges) }
        return (isListed && packed & steps[index].excluded == 0) != steps[index].isComplement
    }

    /// Binary search; the ranges are sorted and do not overlap.
    private func inRanges(_ scalar: UInt32, _ bounds: Range<Int>) -> Bool {
        var low = bounds.lowerBound / 2
        var high = bounds.upperBound / 2
        while low < high {
            let middle = (low + high) / 2
            if scalar < ranges[2 * middle] {
                high = middle
            } else if scalar > ranges[2 * middle + 1] {
                low = middle + 1
            } else {
                return true
            }
        }
        return false
    }

    /// Scalars of the contraction at `position`, 0 if there is none.
    private func contraction(_ text: Span<UInt32>, _ position: Int, _ end: Int, ignoringCase: Bool) -> Int {
        func letter(_ offset: Int) -> UInt32 {
            guard position + offset < end else { return 0 }
            let scalar = text[position + offset] & ScalarClass.scalarMask
            guard ignoringCase else { return scalar }
            // LATIN SMALL LETTER LONG S is an s to a regular expression that ignores case.
            return scalar == 0x17f ? 0x73 : (0x41...0x5a).contains(scalar) ? scalar + 0x20 : scalar
        }
        guard position < end, text[position] & ScalarClass.scalarMask == 0x27 else { return 0 }
        switch letter(1) {
        case 0x73, 0x74, 0x6d, 0x64: return 2  // s t m d
        case 0x72, 0x76: return letter(2) == 0x65 ? 3 : 0  // re ve
        case 0x6c: return letter(2) == 0x6c ? 3 : 0  // ll
        default: return 0
        }
    }
}
