import ChatTemplates
import Engine
import Foundation

/// One measured test with everything needed to judge it.
struct BenchRow {
    /// What is the same for all rows of a model and a thread count.
    struct Setting {
        var model: String
        var format: String
        var isa: String
        var threads: Int
        var batch: Int
        var cacheTypeK: String
        var cacheTypeV: String
        var commit: String
        var cpu: String
    }

    let setting: Setting
    let test: BenchTest
    /// Of all repetitions: median, smallest, largest.
    let tokensPerSecond: Spread
    /// Bytes that the test must read from memory, and multiply-adds of its matrix products, over its tokens.
    let bytesPerToken: Double
    let macsPerToken: Double
    /// Medians over the repetitions.
    let bandwidth: Double
    let int8Peak: Double

    init(
        _ setting: Setting, _ test: BenchTest, cost: PassCost.Amount, seconds: [Double],
        yardstick: [Yardstick.Reading]
    ) {
        self.setting = setting
        self.test = test
        let tokens = Double(test.tokens)
        tokensPerSecond = Spread(seconds.map { tokens / $0 })
        bytesPerToken = cost.bytes / tokens
        macsPerToken = cost.macs / tokens
        bandwidth = Spread(yardstick.map { $0.bandwidth }).median
        int8Peak = Spread(yardstick.map { $0.int8Peak }).median
    }

    /// At the median speed.
    var gigabytesPerSecond: Double { tokensPerSecond.median * bytesPerToken / 1e9 }
    var gigamacsPerSecond: Double { tokensPerSecond.median * macsPerToken / 1e9 }
    var bandwidthShare: Double { bandwidth > 0 ? gigabytesPerSecond / bandwidth : 0 }
    var int8PeakShare: Double { int8Peak > 0 ? gigamacsPerSecond / int8Peak : 0 }

    /// Names and values as programs read them, in the order of the columns.
    var fields: [(key: String, value: JSONValue)] {
        [
            ("model", .string(setting.model)), ("format", .string(setting.format)), ("isa", .string(setting.isa)),
            ("threads", .int(setting.threads)), ("batch", .int(setting.batch)), ("n_prompt", .int(test.prompt)),
            ("n_gen", .int(test.generate)), ("n_depth", .int(test.depth)),
            ("tokens_per_second", .double(tokensPerSecond.median)),
            ("tokens_per_second_min", .double(tokensPerSecond.smallest)),
            ("tokens_per_second_max", .double(tokensPerSecond.largest)), ("bytes_per_token", .double(bytesPerToken)),
            ("gigabytes_per_second", .double(gigabytesPerSecond)), ("bandwidth_share", .double(bandwidthShare)),
            ("gmac_per_second", .double(gigamacsPerSecond)), ("int8_peak_share", .double(int8PeakShare)),
            ("commit", .string(setting.commit)), ("cpu", .string(setting.cpu)),
            // What the keys above leave open.
            ("test", .string(test.name)), ("rows", .int(test.rows)), ("sequences", .int(test.sequences)),
            ("cache_type_k", .string(setting.cacheTypeK)), ("cache_type_v", .string(setting.cacheTypeV)),
            ("bandwidth", .double(bandwidth)), ("int8_peak", .double(int8Peak)),
        ]
    }
}

/// Median, smallest and largest of some measurements; zeros of none.
struct Spread {
    let median: Double
    let smallest: Double
    let largest: Double

    init(_ values: [Double]) {
        let sorted = values.sorted()
        smallest = sorted.first ?? 0
        largest = sorted.last ?? 0
        let middle = sorted.count / 2
        if sorted.isEmpty {
            median = 0
        } else {
            median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        }
    }
}
