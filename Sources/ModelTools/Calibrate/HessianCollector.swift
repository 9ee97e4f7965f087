import COpenBLAS
import Engine
import Synchronization

/// Which matrices meet the same rows: q, k and v, or gate and up. Found by watching a few tokens.
final class InputMap: ComputeObserver {
    private let matrices: ObservedMatrices
    /// Tensor → the tensor whose name stands for the rows that both meet.
    private let inputs = Mutex<[String: String]>([:])

    init(_ matrices: ObservedMatrices) { self.matrices = matrices }

    func multiply(_ weights: [Weight], member _: Int, _: ObservedRows) {
        let known = matrices.known(weights)
        inputs.withLock { inputs in
            for weight in known { inputs[weight.name] = inputs[weight.name] ?? known[0].name }
        }
    }

    var all: [String: String] { inputs.withLock { $0 } }
}

/// Σ x xᵀ over the rows x that a matrix meets, then what follows from it for the rounding of that matrix.
final class Hessian {
    let columns: Int
    private(set) var rowCount = 0
    /// [columns][columns], the upper triangle; in the end the factor.
    private let values: UnsafeMutableBufferPointer<Float>
    /// Rows that wait for the next product: [pendingRows][columns].
    private let pending: UnsafeMutablePointer<Float>
    private var waiting = 0
    /// A product of few rows is all memory traffic.
    private static let pendingRows = 256

    init(columns: Int) {
        self.columns = columns
        values = .allocate(capacity: columns * columns)
        values.initialize(repeating: 0)
        pending = .allocate(capacity: columns * Self.pendingRows)
    }

    deinit {
        values.deallocate()
        pending.deallocate()
    }

    func add(_ rows: ObservedRows) {
        for index in 0..<rows.count { add(rows[index]) }
    }

    func add(_ row: UnsafePointer<Float>) {
        (pending + waiting * columns).update(from: row, count: columns)
        waiting += 1
        rowCount += 1
        if waiting == Self.pendingRows { takeIn() }
    }

    private func takeIn() {
        guard waiting > 0 else { return }
        cblas_ssyrk(
            CblasRowMajor, CblasUpper, CblasTrans, Int32(columns), Int32(waiting), 1, pending, Int32(columns), 1,
            values.baseAddress, Int32(columns))
        waiting = 0
    }

    /// Ends the sum; valid as long as this object.
    private(set) lazy var compensation: Compensation? = {
        takeIn()
        return Compensation(overwriting: values, columns: columns)
    }()

    static func bytes(columns: Int) -> Int { 4 * columns * (columns + pendingRows) }
}

/// Makes the Hessians of some matrices, for each expert by itself.
///
/// `@unchecked Sendable`: it belongs to the thread that runs the passes.
final class HessianCollector: ComputeObserver, @unchecked Sendable {
    /// Input → members that are wanted.
    private let wanted: [String: Range<Int>]
    private var hessians: [String: [Int: Hessian]] = [:]

    init(wanted: [String: Range<Int>]) { self.wanted = wanted }

    func multiply(_ weights: [Weight], member: Int, _ rows: ObservedRows) {
        for weight in weights {
            guard let members = wanted[weight.name], members.contains(member) else { continue }
            let hessian = hessians[weight.name]?[member] ?? Hessian(columns: rows.cols)
            hessians[weight.name, default: [:]][member] = hessian
            hessian.add(rows)
        }
    }

    func covers(_ input: String, _ member: Int) -> Bool { wanted[input]?.contains(member) ?? false }

    /// Nil where the matrix met no row.
    func hessian(_ input: String, _ member: Int) -> Hessian? { hessians[input]?[member] }
}
