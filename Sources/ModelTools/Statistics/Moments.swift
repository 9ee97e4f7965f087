/// Count, range, mean and spread of numbers that come in pieces.
///
/// Each piece's mean is taken before its squares are summed, and pieces are merged pairwise, so that a small spread
/// around a large mean keeps its digits. Source: Chan, Golub and LeVeque, "Algorithms for computing the sample
/// variance" (1983), the formulas for combining two samples.
package struct Moments: Sendable, Equatable {
    /// Finite numbers; all else but `nans` and `infinities` speaks of them alone.
    package private(set) var count = 0
    package private(set) var nans = 0
    package private(set) var infinities = 0
    package private(set) var zeros = 0
    /// Above every number while there is none.
    package private(set) var minimum = Double.infinity
    /// Below every number while there is none.
    package private(set) var maximum = -Double.infinity
    package private(set) var mean = 0.0
    /// Σ (x − mean)²
    private var squares = 0.0

    init() {}

    /// Measures some numbers; those that are not finite are overwritten.
    init(_ values: UnsafeMutableBufferPointer<Double>) {
        var kept = 0
        for value in values {
            if value.isFinite {
                values[kept] = value
                kept += 1
            } else if value.isNaN {
                nans += 1
            } else {
                infinities += 1
            }
        }
        count = kept
        guard kept > 0, let numbers = values.baseAddress else { return }
        let sum = Self.sum(numbers, kept) { $0 }
        let mean = sum / Double(kept)
        self.mean = mean
        squares = Self.sum(numbers, kept) { ($0 - mean) * ($0 - mean) }
        for index in 0..<kept {
            minimum = min(minimum, numbers[index])
            maximum = max(maximum, numbers[index])
            if numbers[index] == 0 { zeros += 1 }
        }
    }

    /// The root of the mean square distance from the mean.
    package var deviation: Double { count > 0 ? (squares / Double(count)).squareRoot() : 0 }

    mutating func add(_ other: Moments) {
        nans += other.nans
        infinities += other.infinities
        guard other.count > 0 else { return }
        let total = Double(count + other.count)
        let distance = other.mean - mean
        squares += other.squares + distance * distance * (Double(count) * Double(other.count) / total)
        mean += distance * (Double(other.count) / total)
        count += other.count
        zeros += other.zeros
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
    }

    /// Four sums side by side: one alone would wait for itself.
    @inline(__always)
    private static func sum(
        _ numbers: UnsafeMutablePointer<Double>, _ count: Int, _ term: (SIMD4<Double>) -> SIMD4<Double>
    ) -> Double {
        var sums = SIMD4<Double>.zero
        var index = 0
        while index + 4 <= count {
            let four = SIMD4(numbers[index], numbers[index + 1], numbers[index + 2], numbers[index + 3])
            sums += term(four)
            index += 4
        }
        var sum = sums.sum()
        while index < count {
            sum += term(SIMD4(repeating: numbers[index]))[0]
            index += 1
        }
        return sum
    }
}
