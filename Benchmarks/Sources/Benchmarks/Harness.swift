import CKernels
import Dispatch
import Foundation

/// What one call of a benchmark needs at least.
struct Work {
    /// Bytes read from memory (and written, where that is as much).
    var bytes: Double
    /// Multiply-adds.
    var macs: Double
    /// Which peak the multiply-adds are compared with.
    var kind: Kind

    enum Kind: String, Encodable { case int8, float }
}

/// One line of the tables.
struct Measurement: Encodable {
    let group: String
    let name: String
    let isa: String
    let threads: Int
    /// Median over the runs, of one call.
    let seconds: Double
    let gigabytes_per_second: Double
    let bandwidth_share: Double
    let gmac_per_second: Double
    let peak_share: Double
    let peak: Work.Kind
}

/// Runs benchmarks and prints what they give, with the machine's limits measured before each.
struct Harness {
    let options: Options
    private(set) var count = 0
    private let stream: Buffer
    private var shownGroup = ""

    init(_ options: Options) {
        self.options = options
        stream = Buffer(options.isQuick ? 1 << 22 : 256 << 20)
        memset(stream.pointer, 1, stream.count)
    }

    func isWanted(_ group: String, _ name: String, _ isa: String) -> Bool {
        options.filter.isEmpty || "\(group) \(name) \(isa)".localizedCaseInsensitiveContains(options.filter)
    }

    /// - Parameters:
    ///   - share: runs the part of `worker` of all `options.threads` workers; one call of the benchmark is all of them
    ///     at once.
    mutating func measure(
        _ group: String, _ name: String, isa: String, work: Work, threads: Int? = nil,
        share: @escaping @Sendable (_ worker: Int) -> Void
    ) {
        let threads = threads ?? options.threads
        let call = { Self.onThreads(threads, share) }
        call()
        var times: [Double] = []
        let (runs, budget) = options.isQuick ? (1, 0.0) : (3, 0.4)
        var spent = 0.0
        while times.count < runs || (spent < budget && times.count < 200) {
            times.append(Self.seconds(call))
            spent += times[times.count - 1]
        }
        let seconds = max(times.sorted()[times.count / 2], 1e-9)
        let limits = limits(threads: threads)
        let (bytes, macs) = (work.bytes / seconds / 1e9, work.macs / seconds / 1e9)
        show(
            Measurement(
                group: group, name: name, isa: isa, threads: threads, seconds: seconds, gigabytes_per_second: bytes,
                bandwidth_share: bytes / limits.bandwidth, gmac_per_second: macs,
                peak_share: macs / (work.kind == .int8 ? limits.int8 : limits.float), peak: work.kind))
    }

    // MARK: Limits

    /// What the machine does now with the selected instruction set, per second in billions.
    private func limits(threads: Int) -> (bandwidth: Double, int8: Double, float: Double) {
        let rounds: UInt64 = options.isQuick ? 2_000 : 300_000
        let part = stream.count / threads / 256 * 256
        let stream = stream
        let bandwidth = best { Self.onThreads(threads) { _ = ck_probe_read(stream.pointer + $0 * part, part) } }
        let int8 = best { Self.onThreads(threads) { _ in _ = ck_probe_int8(rounds) } }
        let float = best { Self.onThreads(threads) { _ in _ = ck_probe_float(rounds) } }
        // One round tells how many multiply-adds a round has.
        return (
            Double(part * threads) / bandwidth / 1e9,
            Double(ck_probe_int8(1)) * Double(rounds) * Double(threads) / int8 / 1e9,
            Double(ck_probe_float(1)) * Double(rounds) * Double(threads) / float / 1e9
        )
    }

    private func best(_ body: () -> Void) -> Double {
        max((0..<3).map { _ in Self.seconds(body) }.min() ?? 0, 1e-9)
    }

    private static func seconds(_ body: () -> Void) -> Double { ContinuousClock().measure(body) / .seconds(1) }

    private static func onThreads(_ threads: Int, _ body: @Sendable (Int) -> Void) {
        if threads == 1 { body(0) } else { DispatchQueue.concurrentPerform(iterations: threads, execute: body) }
    }

    // MARK: Output

    private mutating func show(_ row: Measurement) {
        count += 1
        if options.isJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            if let data = try? encoder.encode(row) { print(String(decoding: data, as: UTF8.self)) }
        } else {
            if shownGroup != row.group {
                shownGroup = row.group
                print("\n### \(row.group)\n")
                print("| | isa | threads | ms | GB/s | of bandwidth | GMAC/s | of peak |")
                print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
            }
            let figures = String(
                format: "%.3f | %.1f | %.0f %% | %.1f | %.0f %% %@", row.seconds * 1e3, row.gigabytes_per_second,
                100 * row.bandwidth_share, row.gmac_per_second, 100 * row.peak_share, row.peak.rawValue)
            print("| \(row.name) | \(row.isa) | \(row.threads) | \(figures) |")
        }
        fflush(nil)
    }
}

/// Memory aligned to 64 bytes, filled with random bytes of 0x20…0x3F, which are harmless in every format: read as a
/// float of any width, or as the exponent of MXFP4, they are positive, finite and far from subnormal, which would be
/// slow.
final class Buffer: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    let count: Int

    init(_ count: Int) {
        self.count = max(count, 64)
        pointer = .allocate(byteCount: self.count, alignment: 64)
        var state: UInt64 = 1
        for index in 0..<(self.count / 8) {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let mixed = (state ^ state >> 29) & 0x1F1F_1F1F_1F1F_1F1F | 0x2020_2020_2020_2020
            pointer.storeBytes(of: mixed, toByteOffset: 8 * index, as: UInt64.self)
        }
        for index in (self.count & ~7)..<self.count {
            pointer.storeBytes(of: 0x20, toByteOffset: index, as: UInt8.self)
        }
    }

    deinit { pointer.deallocate() }

    /// Random numbers around 0 instead.
    static func floats(_ count: Int, scale: Float = 1) -> Buffer {
        let buffer = Buffer(4 * count)
        for index in 0..<count {
            let bits = buffer.pointer.load(fromByteOffset: 4 * index, as: UInt32.self)
            let value = (Float(bits & 0x1F) - 15.5) / 15.5 * scale
            buffer.pointer.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
        }
        return buffer
    }

    var floats: UnsafeMutablePointer<Float> { pointer.assumingMemoryBound(to: Float.self) }
}
