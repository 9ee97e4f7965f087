import CKernels
import Engine
import Foundation
import GGUF
import TestSupport
import Testing

/// Views do not own what they show, and an object may be freed right after its last use. So what a test makes is
/// kept until the test case ends.
final class TestMemory: @unchecked Sendable {
    @TaskLocal static var current: TestMemory?
    private let lock = NSLock()
    private var objects: [AnyObject] = []

    fileprivate func keep(_ object: AnyObject) {
        lock.lock()
        objects.append(object)
        lock.unlock()
    }
}

/// Keeps `object` alive until the test case ends. The suite needs the trait `.keepsMemory`.
func kept<T: AnyObject>(_ object: T) -> T {
    guard let memory = TestMemory.current else { preconditionFailure("the suite lacks .keepsMemory") }
    memory.keep(object)
    return object
}

struct KeepsMemory: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        try await TestMemory.$current.withValue(TestMemory()) { try await function() }
    }
}

extension Trait where Self == KeepsMemory {
    static var keepsMemory: Self { Self() }
}

/// A matrix that owns its floats, with the padded rows that a workspace would give it.
final class OwnedMatrix {
    let buffer: FloatBuffer
    let view: Matrix

    /// Filled with NaN, so that a value nobody wrote is noticed.
    init(rows: Int, cols: Int) {
        let stride = (cols + 15) & ~15
        buffer = FloatBuffer(count: rows * stride)
        buffer.pointer.update(repeating: .nan, count: rows * stride)
        view = Matrix(buffer.pointer, rows: rows, cols: cols, stride: stride)
        _ = kept(self)
    }

    convenience init(_ values: [Float], rows: Int, cols: Int) {
        precondition(values.count == rows * cols)
        self.init(rows: rows, cols: cols)
        for row in 0..<rows {
            for col in 0..<cols { view.row(row)[col] = values[row * cols + col] }
        }
    }

    var values: [Float] {
        (0..<view.rows).flatMap { row in (0..<view.cols).map { view.row(row)[$0] } }
    }
}

/// Rows `range` of a row-major array.
func slice(_ values: [Float], _ range: Range<Int>, cols: Int) -> [Float] {
    Array(values[range.lowerBound * cols..<range.upperBound * cols])
}

/// Runs `body` once for each instruction set of this machine, with 1 to 4 threads in turn, and requires the same
/// bits each time. Gives the values.
@discardableResult
func sameBitsEverywhere(
    _ sets: [InstructionSet] = InstructionSet.available, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (Compute) throws -> [Float]
) rethrows -> [Float] {
    instructionSetTurn.lock()
    let before = InstructionSet.selected
    defer {
        _ = ck_isa_select(before.kernel)
        instructionSetTurn.unlock()
    }
    var first: [Float] = []
    for (turn, set) in sets.enumerated() {
        #expect(ck_isa_select(set.kernel) != 0, sourceLocation: sourceLocation)
        for threads in (turn == 0 ? [1, 2, 3, 4] : [1 + turn % 4]) {
            let values = try body(Compute(threads: threads))
            if first.isEmpty { first = values }
            #expect(
                firstDifference(values, first) == nil, "\(set), \(threads) threads", sourceLocation: sourceLocation)
        }
    }
    return first
}

/// The first index at which the bits differ (any NaN equals any other).
func firstDifference(_ a: [Float], _ b: [Float]) -> Int? {
    guard a.count == b.count else { return min(a.count, b.count) }
    return a.indices.first { a[$0].bitPattern != b[$0].bitPattern && !(a[$0].isNaN && b[$0].isNaN) }
}

/// The largest |a − b| / (|b| + floor); infinite when a value is NaN.
func largestError(_ a: [Float], _ b: [Double], floor: Double) -> Double {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { worst, pair in
        let error = abs(Double(pair.0) - pair.1) / (abs(pair.1) + floor)
        return error.isNaN ? .infinity : max(worst, error)
    }
}

/// A float weight with its bytes.
final class OwnedWeight {
    let buffer: FloatBuffer
    let weight: Weight
    let values: [Float]

    init(_ values: [Float], rows: Int, cols: Int, experts: Int = 1) throws {
        precondition(values.count == rows * cols * experts)
        self.values = values
        buffer = FloatBuffer(values)
        weight = Weight(
            name: "test", format: try #require(QuantFormat.find(.f32)), bytes: UnsafeRawPointer(buffer.pointer),
            rows: rows, cols: cols, experts: experts)
        _ = kept(self)
    }
}

/// Ways to cut `count` tokens into forward passes.
func splits(of count: Int) -> [[Range<Int>]] {
    func pieces(_ size: Int) -> [Range<Int>] {
        stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
    }
    return [pieces(count), pieces(7), pieces(64), pieces(1)]
}
