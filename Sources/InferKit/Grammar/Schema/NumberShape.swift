/// What a schema says about numbers.
struct NumberShape: Sendable {
    struct Bound: Hashable, Sendable {
        var value: DecimalNumber
        var isExclusive: Bool
    }

    var minimum: Bound?
    var maximum: Bound?
    /// The number has at most so many decimals and is, times ten to that power, a multiple of `divisor`. No decimals and
    /// 1: an integer. nil: any number.
    var grid: Grid?
    /// The only values there are.
    var allowed: [DecimalNumber]?
    var excluded: [DecimalNumber] = []

    struct Grid: Hashable, Sendable {
        var decimals: Int
        var divisor: Int

        static let integers = Grid(decimals: 0, divisor: 1)
        /// Remainders are states of an automaton.
        static let largestDivisor = 10_000
        private static let mostDecimals = 30

        /// nil: too large.
        init?(multipleOf number: DecimalNumber) {
            guard number.fraction.count <= Self.mostDecimals,
                let divisor = Int((number.integer + number.fraction).map { String($0) }.joined()),
                1...Self.largestDivisor ~= divisor
            else { return nil }
            self.init(decimals: number.fraction.count, divisor: divisor)
        }

        init(decimals: Int, divisor: Int) {
            self.decimals = decimals
            self.divisor = divisor
        }

        /// Multiples of both; nil: too large.
        func combined(_ other: Grid) -> Grid? {
            let decimals = max(decimals, other.decimals)
            guard let left = scaled(to: decimals), let right = other.scaled(to: decimals) else { return nil }
            var (a, b) = (left, right)
            while b != 0 { (a, b) = (b, a % b) }
            var divisor = left / a * right
            var result = decimals
            // No more decimals than a multiple can have: integers that are multiples of 0.5 are integers.
            while result > 0, divisor % 10 == 0 {
                divisor /= 10
                result -= 1
            }
            return divisor <= Self.largestDivisor ? Grid(decimals: result, divisor: divisor) : nil
        }

        private func scaled(to decimals: Int) -> Int? {
            var divisor = divisor
            for _ in self.decimals..<decimals {
                divisor *= 10
                guard divisor < 1 << 40 else { return nil }
            }
            return divisor
        }
    }

    /// Both; nil where a multiple of two numbers is too large to follow.
    func intersection(_ other: NumberShape) -> NumberShape? {
        var result = self
        if let bound = other.minimum { result.raiseMinimum(bound) }
        if let bound = other.maximum { result.lowerMaximum(bound) }
        if let otherGrid = other.grid {
            guard let combined = grid.map({ $0.combined(otherGrid) }) ?? otherGrid else { return nil }
            result.grid = combined
        }
        if let values = other.allowed {
            let set = Set(values)
            result.allowed = allowed.map { $0.filter(set.contains) } ?? values
        }
        result.excluded += other.excluded.filter { !excluded.contains($0) }
        return result
    }

    mutating func raiseMinimum(_ bound: Bound) {
        guard let minimum else { return self.minimum = bound }
        if bound.value > minimum.value || bound.value == minimum.value && bound.isExclusive { self.minimum = bound }
    }

    mutating func lowerMaximum(_ bound: Bound) {
        guard let maximum else { return self.maximum = bound }
        if bound.value < maximum.value || bound.value == maximum.value && bound.isExclusive { self.maximum = bound }
    }

    /// The numbers as JSON texts; nil: there are none. Where there are bounds or multiples, exponents are not used.
    func automaton() throws(GrammarError) -> ScalarAutomaton? {
        if let allowed {
            var unlimited = self
            unlimited.allowed = nil
            guard let all = try unlimited.automaton() else { return nil }
            let texts = allowed.map(\.text).filter { all.accepts($0) }
            return texts.isEmpty ? nil : ScalarAutomaton(texts: texts)
        }
        var result = try NumberReader.automaton(for: self)
        guard excluded.count <= GrammarLimits.excludedNumbers else {
            throw .tooComplex("more than \(GrammarLimits.excludedNumbers) numbers that are excluded")
        }
        for value in excluded {
            let bound = Bound(value: value, isExclusive: false)
            let spellings = try NumberReader.automaton(for: NumberShape(minimum: bound, maximum: bound))
            result = try result.intersection(spellings.complement)
        }
        return result.trimmed
    }
}

/// Reads a number digit by digit and compares it with bounds: the states of an automaton.
private struct NumberReader: Hashable {
    private enum Phase: Hashable {
        case start, afterMinus, zero, integer, afterPoint, fraction, afterE, afterSign, exponent
    }

    /// How the digits so far compare with as many of a bound.
    private enum Comparison: Hashable {
        case less, equal, greater

        func then(_ digit: UInt8, _ other: UInt8) -> Comparison {
            self != .equal || digit == other ? self : digit < other ? .less : .greater
        }
    }

    /// The bounds of the magnitude for one sign.
    private struct Magnitude {
        var low: NumberShape.Bound?
        var high: NumberShape.Bound?
        /// Whether there are numbers of the sign at all.
        var exists = true

        var integerDigits: Int { max(low?.value.integer.count ?? 0, high?.value.integer.count ?? 0) }
        var fractionDigits: Int { max(low?.value.fraction.count ?? 0, high?.value.fraction.count ?? 0) }
    }

    private var phase = Phase.start
    private var isNegative = false
    /// Digits of the integer part without leading zero, then of the fraction; no more than matter.
    private var digits = 0
    private var low = Comparison.equal
    private var high = Comparison.equal
    private var decimals = 0
    private var remainder = 0

    static func automaton(for shape: NumberShape) throws(GrammarError) -> ScalarAutomaton {
        var positive = Magnitude(low: shape.minimum, high: shape.maximum)
        if let minimum = shape.minimum, minimum.value.isNegative { positive.low = nil }
        if let maximum = shape.maximum, maximum.value.isNegative { positive.exists = false }
        func turned(_ bound: NumberShape.Bound?) -> NumberShape.Bound? {
            bound.map { NumberShape.Bound(value: $0.value.negated, isExclusive: $0.isExclusive) }
        }
        var negative = Magnitude(low: turned(shape.maximum), high: turned(shape.minimum))
        if let low = negative.low, low.value.isNegative { negative.low = nil }
        if let high = negative.high, high.value.isNegative || high.value.isZero { negative.exists = false }
        let isFree = shape.minimum == nil && shape.maximum == nil && shape.grid == nil
        return try ScalarAutomaton.exploring(from: NumberReader()) { state throws(GrammarError) in
            let magnitude = state.isNegative ? negative : positive
            var transitions: [(ScalarSet, NumberReader)] = []
            for scalar in "0123456789-+.eE".unicodeScalars {
                guard let next = state.reading(scalar, magnitude, shape.grid, isFree: isFree) else { continue }
                guard (next.isNegative ? negative : positive).exists || next.phase == .start else { continue }
                transitions.append((ScalarSet(scalar.value), next))
            }
            return (transitions, state.accepts(magnitude, shape.grid))
        }
    }

    private func reading(
        _ scalar: Unicode.Scalar, _ magnitude: Magnitude, _ grid: NumberShape.Grid?, isFree: Bool
    ) -> NumberReader? {
        var next = self
        let digit = UInt8(truncatingIfNeeded: scalar.value &- 0x30)
        let isDigit = 0x30...0x39 ~= scalar.value
        switch phase {
        case .start where scalar == "-":
            next.isNegative = true
            next.phase = .afterMinus
        case .start where isDigit, .afterMinus where isDigit:
            next.phase = digit == 0 ? .zero : .integer
            // There is no integer -0.
            if digit == 0 { return isNegative && grid?.decimals == 0 ? nil : next }
            next.readInteger(digit, magnitude, grid)
        case .integer where isDigit: next.readInteger(digit, magnitude, grid)
        case .zero where scalar == ".", .integer where scalar == ".":
            guard grid?.decimals != 0 else { return nil }
            next.phase = .afterPoint
            next.settleInteger(magnitude)
            next.digits = 0
        case .afterPoint where isDigit, .fraction where isDigit:
            next.phase = .fraction
            if let grid {
                guard decimals < grid.decimals else { return nil }
                next.decimals += 1
                next.remainder = (remainder * 10 + Int(digit)) % grid.divisor
            }
            next.readFraction(digit, magnitude)
        case .zero where scalar == "e" || scalar == "E", .integer where scalar == "e" || scalar == "E",
            .fraction where scalar == "e" || scalar == "E":
            guard isFree else { return nil }
            next = NumberReader()
            next.phase = .afterE
        case .afterE where scalar == "+" || scalar == "-": next.phase = .afterSign
        case .afterE where isDigit, .afterSign where isDigit, .exponent where isDigit: next.phase = .exponent
        default: return nil
        }
        return next
    }

    private mutating func readInteger(_ digit: UInt8, _ magnitude: Magnitude, _ grid: NumberShape.Grid?) {
        func other(_ bound: NumberShape.Bound?) -> UInt8? {
            guard let integer = bound?.value.integer, digits < integer.count else { return nil }
            return integer[digits]
        }
        if let digitOfLow = other(magnitude.low) { low = low.then(digit, digitOfLow) }
        if let digitOfHigh = other(magnitude.high) { high = high.then(digit, digitOfHigh) }
        digits = min(digits + 1, magnitude.integerDigits + 1)
        if digits > magnitude.integerDigits { (low, high) = (.greater, .greater) }
        if let grid { remainder = (remainder * 10 + Int(digit)) % grid.divisor }
    }

    /// The integer part is complete: a longer one is larger.
    private func settled(_ comparison: Comparison, _ bound: NumberShape.Bound?) -> Comparison {
        guard let bound else { return .equal }
        let count = bound.value.integer.count
        return digits == count ? comparison : digits < count ? .less : .greater
    }

    private mutating func settleInteger(_ magnitude: Magnitude) {
        low = settled(low, magnitude.low)
        high = settled(high, magnitude.high)
    }

    private mutating func readFraction(_ digit: UInt8, _ magnitude: Magnitude) {
        func other(_ bound: NumberShape.Bound) -> UInt8 {
            digits < bound.value.fraction.count ? bound.value.fraction[digits] : 0
        }
        if let bound = magnitude.low { low = low.then(digit, other(bound)) }
        if let bound = magnitude.high { high = high.then(digit, other(bound)) }
        digits = min(digits + 1, magnitude.fractionDigits)
        if low != .equal || magnitude.low == nil, high != .equal || magnitude.high == nil { digits = 0 }
    }

    private func accepts(_ magnitude: Magnitude, _ grid: NumberShape.Grid?) -> Bool {
        var end = self
        switch phase {
        case .exponent: return true
        case .zero, .integer:
            end.settleInteger(magnitude)
            end.digits = 0
        case .fraction: break
        case .start, .afterMinus, .afterPoint, .afterE, .afterSign: return false
        }
        if let grid {
            // The decimals that are not written are zeros.
            let scale = (decimals..<max(grid.decimals, decimals)).reduce(1) { scale, _ in scale * 10 % grid.divisor }
            guard remainder * scale % grid.divisor == 0 else { return false }
        }
        func compared(_ comparison: Comparison, _ bound: NumberShape.Bound) -> Comparison {
            comparison == .equal && end.digits < bound.value.fraction.count ? .less : comparison
        }
        if let bound = magnitude.low {
            let comparison = compared(end.low, bound)
            guard comparison == .greater || comparison == .equal && !bound.isExclusive else { return false }
        }
        if let bound = magnitude.high {
            let comparison = compared(end.high, bound)
            guard comparison == .less || comparison == .equal && !bound.isExclusive else { return false }
        }
        return true
    }
}
