import Engine
import Foundation
package import GGUF

/// What the values of one tensor are like.
package struct TensorStatistics: Sendable, Equatable {
    package let moments: Moments
    /// Finite values further than ``TensorScanner/outlierDeviations`` standard deviations from the mean.
    package let outliers: Int
}

/// How far the values of two tensors are apart.
package struct TensorDistance: Sendable, Equatable {
    /// Values that differ, NaN beside NaN excepted.
    package fileprivate(set) var differing = 0
    /// Of those, pairs that are not both finite; the distances leave them out.
    package fileprivate(set) var notFinite = 0
    /// Largest |a − b|.
    package fileprivate(set) var maximum = 0.0
    fileprivate var compared = 0
    fileprivate var squares = 0.0
    fileprivate var firstSquares = 0.0

    /// √ mean (a − b)²
    package var rms: Double { compared > 0 ? (squares / Double(compared)).squareRoot() : 0 }
    /// `rms` in units of √ mean a²; nil where the first tensor is all zeros.
    package var relative: Double? { firstSquares > 0 ? (squares / firstSquares).squareRoot() : nil }

    fileprivate mutating func add(_ other: TensorDistance) {
        differing += other.differing
        notFinite += other.notFinite
        maximum = max(maximum, other.maximum)
        compared += other.compared
        squares += other.squares
        firstSquares += other.firstSquares
    }
}

/// Reads all values of tensors, on several threads, in memory that does not grow with the tensors.
///
/// Chunks have a fixed size and are summed up in order, so the numbers do not depend on the threads.
package final class TensorScanner {
    /// Two of a thousand million values of a normal distribution are further from the mean than this.
    package static let outlierDeviations = 6.0

    private let pool: ThreadPool

    package init(threads: Int) { pool = ThreadPool(threads: threads) }

    /// - Returns: nil for a type that the engine cannot read.
    package func statistics(of tensor: GGUFTensor) -> TensorStatistics? {
        guard let decoder = TensorDecoder(tensor.type), let bytes = tensor.bytes.baseAddress else { return nil }
        var moments = Moments()
        scan(tensor.elementCount, Measuring(decoder: decoder, bytes: bytes), Moments()) { moments.add($0) }
        let limit = Self.outlierDeviations * moments.deviation
        var outliers = 0
        if moments.count > 0, max(moments.maximum - moments.mean, moments.mean - moments.minimum) > limit {
            let counting = Counting(decoder: decoder, bytes: bytes, mean: moments.mean, limit: limit)
            scan(tensor.elementCount, counting, 0) { outliers += $0 }
        }
        return TensorStatistics(moments: moments, outliers: outliers)
    }

    /// The tensors have the same number of values.
    /// - Returns: nil for types that the engine cannot read, unless the bytes are the same.
    package func distance(_ first: GGUFTensor, _ second: GGUFTensor) -> TensorDistance? {
        guard first.elementCount == second.elementCount, let a = first.bytes.baseAddress,
            let b = second.bytes.baseAddress
        else { return nil }
        if first.type == second.type, memcmp(a, b, first.byteCount) == 0 { return TensorDistance() }
        guard let firstDecoder = TensorDecoder(first.type), let secondDecoder = TensorDecoder(second.type) else {
            return nil
        }
        var distance = TensorDistance()
        let comparing = Comparing(first: firstDecoder, second: secondDecoder, a: a, b: b)
        scan(first.elementCount, comparing, TensorDistance()) { distance.add($0) }
        return distance
    }

    /// What is done with one chunk.
    private protocol Work: Sendable {
        associatedtype Result

        /// - Parameter memory: ``TensorScanner/scratchBytes`` of this thread's own.
        func run(first: Int, count: Int, memory: UnsafeMutableRawPointer) -> Result
    }

    /// Two chunks of numbers and what decoding needs.
    private static let scratchBytes = 2 * 8 * TensorDecoder.chunk + TensorDecoder.scratchBytes
    /// Chunks whose results are kept at a time.
    private static let chunksAtOnce = 4096

    /// Runs the work over all chunks and gives the results away in order.
    private func scan<W: Work>(_ elements: Int, _ work: W, _ nothing: W.Result, deliver: (W.Result) -> Void) {
        let chunks = (elements + TensorDecoder.chunk - 1) / TensorDecoder.chunk
        let results = UnsafeMutablePointer<W.Result>.allocate(capacity: min(chunks, Self.chunksAtOnce))
        defer { results.deallocate() }
        for start in stride(from: 0, to: chunks, by: Self.chunksAtOnce) {
            let count = min(Self.chunksAtOnce, chunks - start)
            results.initialize(repeating: nothing, count: count)
            let frame = Frame(work: work, results: results, firstChunk: start, elements: elements)
            pool.run(count, grain: 4, scratch: Self.scratchBytes, frame) { frame, range, worker in
                for index in range {
                    let first = (frame.firstChunk + index) * TensorDecoder.chunk
                    let count = min(TensorDecoder.chunk, frame.elements - first)
                    frame.results[index] = frame.work.run(first: first, count: count, memory: worker.scratch)
                }
            }
            for index in 0..<count { deliver(results[index]) }
            results.deinitialize(count: count)
        }
    }

    private struct Frame<W: Work> {
        let work: W
        let results: UnsafeMutablePointer<W.Result>
        let firstChunk: Int
        let elements: Int
    }

    // The bytes belong to the tensors, which the callers of `scan` hold on to.

    private struct Measuring: Work, @unchecked Sendable {
        let decoder: TensorDecoder
        let bytes: UnsafeRawPointer

        func run(first: Int, count: Int, memory: UnsafeMutableRawPointer) -> Moments {
            Moments(decoder.decode(bytes, first: first, count: count, memory: memory))
        }
    }

    private struct Counting: Work, @unchecked Sendable {
        let decoder: TensorDecoder
        let bytes: UnsafeRawPointer
        let mean: Double
        let limit: Double

        func run(first: Int, count: Int, memory: UnsafeMutableRawPointer) -> Int {
            let values = decoder.decode(bytes, first: first, count: count, memory: memory)
            return values.reduce(0) { $0 + ($1.isFinite && abs($1 - mean) > limit ? 1 : 0) }
        }
    }

    private struct Comparing: Work, @unchecked Sendable {
        let first: TensorDecoder
        let second: TensorDecoder
        let a: UnsafeRawPointer
        let b: UnsafeRawPointer

        func run(first start: Int, count: Int, memory: UnsafeMutableRawPointer) -> TensorDistance {
            let left = first.decode(a, first: start, count: count, memory: memory)
            let right = second.decode(
                b, first: start, count: count, memory: memory + 8 * TensorDecoder.chunk,
                scratch: memory + 2 * 8 * TensorDecoder.chunk)
            var distance = TensorDistance()
            for (x, y) in zip(left, right) {
                guard x.isFinite, y.isFinite else {
                    if x == y || (x.isNaN && y.isNaN) { continue }
                    distance.differing += 1
                    distance.notFinite += 1
                    continue
                }
                let difference = abs(x - y)
                if difference > 0 { distance.differing += 1 }
                distance.maximum = max(distance.maximum, difference)
                distance.compared += 1
                distance.squares += difference * difference
                distance.firstSquares += x * x
            }
            return distance
        }
    }
}

extension TensorDecoder {
    /// Decodes into the beginning of `memory`.
    /// - Parameter scratch: by default behind two chunks of numbers.
    fileprivate func decode(
        _ bytes: UnsafeRawPointer, first: Int, count: Int, memory: UnsafeMutableRawPointer,
        scratch: UnsafeMutableRawPointer? = nil
    ) -> UnsafeMutableBufferPointer<Double> {
        let values = memory.bindMemory(to: Double.self, capacity: count)
        decode(
            bytes, first: first, count: count, scratch: scratch ?? memory + 2 * 8 * Self.chunk, into: values)
        return UnsafeMutableBufferPointer(start: values, count: count)
    }
}
