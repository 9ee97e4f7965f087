import Foundation

/// A mean of measurements and how far it may be from the truth.
package struct Estimate: Equatable, Sendable, Encodable {
    package let value: Double
    /// Standard error: the sample's standard deviation over the root of the number; nil for a single measurement.
    package let standardError: Double?

    package init(value: Double, standardError: Double?) {
        self.value = value
        self.standardError = standardError
    }

    /// The mean of some values; nil when there are none.
    package init?(mean values: [Double]) {
        var sums = SampleSums()
        for value in values { sums.add(value) }
        self.init(sums)
    }

    package init?(_ sums: SampleSums) {
        guard sums.count > 0 else { return nil }
        value = sums.mean
        standardError = sums.count > 1 ? (sums.variance / Double(sums.count)).squareRoot() : nil
    }

    /// A function of the mean; errors travel with its derivative there.
    package func mapped(_ change: (Double) -> Double, derivative: Double) -> Estimate {
        Estimate(value: change(value), standardError: standardError.map { $0 * abs(derivative) })
    }

    enum CodingKeys: String, CodingKey {
        case value
        case standardError = "standard_error"
    }
}

/// Count, mean and spread of values that come one by one (B. P. Welford's method, and for parts T. Chan's).
package struct SampleSums: Equatable, Sendable, Codable {
    package private(set) var count = 0
    package private(set) var mean = 0.0
    private var squares = 0.0

    package init() {}

    package mutating func add(_ value: Double) {
        count += 1
        let distance = value - mean
        mean += distance / Double(count)
        squares += distance * (value - mean)
    }

    package mutating func add(_ other: SampleSums) {
        guard other.count > 0 else { return }
        let total = Double(count + other.count)
        let distance = other.mean - mean
        squares += other.squares + distance * distance * Double(count) * Double(other.count) / total
        mean += distance * Double(other.count) / total
        count += other.count
    }

    /// Of the sample, with count − 1 below.
    package var variance: Double { count > 1 ? squares / Double(count - 1) : 0 }
}

/// Values in order, for medians and the like.
package struct Quantiles {
    private let sorted: [Double]

    package init(_ values: [Double]) { sorted = values.sorted() }

    /// Between two values in proportion, as numpy does; nil when there are none.
    package func value(at share: Double) -> Double? {
        guard let last = sorted.indices.last else { return nil }
        let place = min(max(share, 0), 1) * Double(last)
        let below = Int(place)
        let above = min(below + 1, last)
        return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
    }
}
