/// A set of Unicode scalars as sorted ranges that neither touch nor overlap. Surrogates are never in it.
struct ScalarSet: Hashable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    static let last: UInt32 = 0x10FFFF
    static let all = ScalarSet([0...last])
    private static let surrogates: ClosedRange<UInt32> = 0xD800...0xDFFF

    init() {}

    init(_ unordered: [ClosedRange<UInt32>]) {
        for range in unordered.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let before = ranges.last, range.lowerBound <= before.upperBound &+ 1 {
                ranges[ranges.count - 1] = before.lowerBound...max(before.upperBound, range.upperBound)
            } else {
                ranges.append(range)
            }
        }
        guard ranges.contains(where: { $0.overlaps(Self.surrogates) || $0.upperBound > Self.last }) else { return }
        let split: [ClosedRange<UInt32>] = ranges.flatMap { range -> [ClosedRange<UInt32>] in
            var parts: [ClosedRange<UInt32>] = []
            if range.lowerBound < 0xD800 { parts.append(range.lowerBound...min(range.upperBound, 0xD7FF)) }
            if range.upperBound > 0xDFFF, range.lowerBound <= Self.last {
                parts.append(max(range.lowerBound, 0xE000)...min(range.upperBound, Self.last))
            }
            return parts
        }
        ranges = split
    }

    init(_ scalar: UInt32) { self.init([scalar...scalar]) }

    /// The characters of a text.
    init(of text: String) { self.init(text.unicodeScalars.map { $0.value...$0.value }) }

    var isEmpty: Bool { ranges.isEmpty }
    var isAll: Bool { self == .all }
    var count: Int { ranges.reduce(0) { $0 + $1.count } }

    func contains(_ scalar: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(scalar)
    }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    func intersection(_ other: ScalarSet) -> ScalarSet {
        var result: [ClosedRange<UInt32>] = []
        var left = 0
        var right = 0
        while left < ranges.count, right < other.ranges.count {
            let a = ranges[left]
            let b = other.ranges[right]
            if a.overlaps(b) { result.append(a.clamped(to: b)) }
            if a.upperBound < b.upperBound { left += 1 } else { right += 1 }
        }
        return ScalarSet(result)
    }

    var complement: ScalarSet {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { result.append(next...(range.lowerBound - 1)) }
            next = range.upperBound + 1
        }
        if next <= Self.last { result.append(next...Self.last) }
        return ScalarSet(result)
    }

    func subtracting(_ other: ScalarSet) -> ScalarSet { intersection(other.complement) }
}

/// The UTF-8 of a range of scalars as sequences of byte ranges, at most a handful for each length.
struct UTF8Sequence: Hashable, Sendable {
    var bytes: [ClosedRange<UInt8>]

    static func sequences(for set: ScalarSet) -> [UTF8Sequence] {
        var result: [UTF8Sequence] = []
        for range in set.ranges {
            for limits in [0...0x7F, 0x80...0x7FF, 0x800...0xFFFF, 0x10000...ScalarSet.last] as [ClosedRange<UInt32>]
            where range.overlaps(limits) {
                let part = range.clamped(to: limits)
                append(encoded(part.lowerBound), encoded(part.upperBound), after: [], to: &result)
            }
        }
        return result
    }

    /// The code of a scalar, which need not be valid: ranges are split at lengths only, and no set has surrogates.
    private static func encoded(_ scalar: UInt32) -> [UInt8] {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | scalar >> shift & 0x3F) }
        if scalar < 0x80 { return [UInt8(scalar)] }
        if scalar < 0x800 { return [UInt8(0xC0 | scalar >> 6), tail(0)] }
        if scalar < 0x10000 { return [UInt8(0xE0 | scalar >> 12), tail(6), tail(0)] }
        return [UInt8(0xF0 | scalar >> 18), tail(12), tail(6), tail(0)]
    }

    /// All codes between two of the same length: where the first bytes differ, the ends are split off.
    private static func append(
        _ low: [UInt8], _ high: [UInt8], after prefix: [ClosedRange<UInt8>], to result: inout [UTF8Sequence]
    ) {
        guard let first = low.first, let last = high.first else { return result.append(UTF8Sequence(bytes: prefix)) }
        let lowRest = Array(low.dropFirst())
        let highRest = Array(high.dropFirst())
        let lowest = [UInt8](repeating: 0x80, count: lowRest.count)
        let highest = [UInt8](repeating: 0xBF, count: lowRest.count)
        if first == last { return append(lowRest, highRest, after: prefix + [first...first], to: &result) }
        var from = first
        var to = last
        if lowRest != lowest {
            append(lowRest, highest, after: prefix + [first...first], to: &result)
            from += 1
        }
        if highRest != highest { to -= 1 }
        if from <= to {
            let free = [ClosedRange<UInt8>](repeating: 0x80...0xBF, count: lowRest.count)
            result.append(UTF8Sequence(bytes: prefix + [from...to] + free))
        }
        if highRest != highest { append(lowest, highRest, after: prefix + [last...last], to: &result) }
    }
}
