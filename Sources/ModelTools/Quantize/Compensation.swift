import COpenBLAS
import Engine
import GGUF

/// GPTQ (Frantar, Ashkboos, Hoefler & Alistarh 2023, "GPTQ: Accurate Post-Training Quantization for Generative
/// Pre-trained Transformers"): the columns of a matrix are rounded one after another, and what is lost with each is made
/// up for by those that follow, such that the product with the calibration text's activations changes least.
///
/// With H = Σ x xᵀ over the activations, scaled to a mean diagonal of 1, and Uᵀ U = (H + λ)⁻¹ (U upper triangular), rounding column j with the error
/// e = (w_j − ŵ_j) / U_jj costs e², once every later column k has been moved by −e U_jk. So 1 / U_jj² is how much the
/// column matters, and the search for a block's scales weighs its columns with that.
struct Compensation {
    /// U, row-major: [columns][columns]; only what lies on and above the diagonal counts.
    private let factor: UnsafeMutableBufferPointer<Float>
    let columns: Int

    /// Columns that are done between two matrix products; a multiple of every block size.
    static let stepColumns = 256

    /// - Parameter hessian: Σ x xᵀ, [columns][columns], of which the upper triangle counts. It is overwritten, and must
    ///   live as long as this value.
    /// - Returns: nil where nothing can be learnt: no activations, or numbers that are none.
    init?(overwriting hessian: UnsafeMutableBufferPointer<Float>, columns: Int) {
        precondition(hessian.count == columns * columns && columns > 0)
        guard let base = hessian.baseAddress, let order = Int32(exactly: columns) else { return nil }
        factor = hessian
        self.columns = columns
        var trace = 0.0
        for column in 0..<columns { trace += Double(base[column * columns + column]) }
        let mean = Float(trace / Double(columns))
        guard mean.isFinite, mean > 0 else { return nil }
        // The factorisation works in place, so that what it starts from is kept below the diagonal.
        let diagonal = (0..<columns).map { base[$0 * columns + $0] / mean }
        for row in 0..<columns {
            for column in row + 1..<max(columns, row + 1) {
                base[column * columns + row] = base[row * columns + column] / mean
            }
        }
        var damping: Float = 0.01
        while damping <= 10 {
            for row in 0..<columns {
                base[row * columns + row] = diagonal[row] + damping
                for column in row + 1..<max(columns, row + 1) {
                    base[row * columns + column] = base[column * columns + row]
                }
            }
            // What is upper in row-major order is lower in LAPACK's. H = L Lᵀ, then H⁻¹, then H⁻¹ = Uᵀ U.
            if LAPACKE_spotrf(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "L")), order, base, order) == 0,
                LAPACKE_spotri(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "L")), order, base, order) == 0,
                LAPACKE_spotrf(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "L")), order, base, order) == 0,
                (0..<columns).allSatisfy({ base[$0 * columns + $0].isNormal })
            {
                return
            }
            damping *= 10
        }
        return nil
    }

    /// Rounds rows of a matrix.
    /// - Parameters:
    ///   - values: [rows][columns], overwritten with what remains after the rounding.
    ///   - out: the bytes of the rows.
    func encode(
        _ values: UnsafeMutablePointer<Float>, rows: Int, _ encoder: BlockEncoder,
        into out: UnsafeMutablePointer<UInt8>,
        on pool: ThreadPool
    ) {
        guard let factor = factor.baseAddress else { return }
        let rowBytes = columns / encoder.type.blockSize * encoder.type.blockBytes
        let errors = UnsafeMutablePointer<Float>.allocate(capacity: rows * Self.stepColumns)
        defer { errors.deallocate() }
        openblas_set_num_threads(Int32(clamping: pool.threads))
        for first in stride(from: 0, to: columns, by: Self.stepColumns) {
            let width = min(Self.stepColumns, columns - first)
            let step = CompensationStep(
                values: values, errors: errors, factor: UnsafePointer(factor), columns: columns, first: first,
                width: width,
                blockSize: encoder.type.blockSize, blockBytes: encoder.type.blockBytes, out: out, rowBytes: rowBytes)
            pool.run(rows, grain: 4, scratch: CompensationStep.scratchBytes, (step, encoder)) { job, rows, worker in
                for row in rows { job.1.compensate(job.0, row, worker.scratch) }
            }
            let rest = columns - first - width
            guard rest > 0 else { continue }
            cblas_sgemm(
                CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(rows), Int32(rest), Int32(width), -1, errors,
                Int32(Self.stepColumns), factor + first * columns + first + width, Int32(columns), 1,
                values + first + width, Int32(columns))
        }
    }
}

/// Some columns of every row: rounding, and what it does to the other columns of the step.
struct CompensationStep: @unchecked Sendable {
    /// [rows][columns]
    let values: UnsafeMutablePointer<Float>
    /// [rows][Compensation.stepColumns]: each column's error, in units of U_jj.
    let errors: UnsafeMutablePointer<Float>
    let factor: UnsafePointer<Float>
    let columns: Int
    /// The step's columns: a whole number of blocks.
    let first: Int
    let width: Int
    let blockSize: Int
    let blockBytes: Int
    let out: UnsafeMutablePointer<UInt8>
    let rowBytes: Int

    /// A block's values and their weights, in whole vectors.
    static let scratchBytes = 2 * 256 * 4

    func run<Fit: BlockFit>(_: Fit.Type, _ row: Int, _ scratch: UnsafeMutableRawPointer) {
        let groups = blockSize / 16
        forEachBlock(row, scratch) { view, target, start, x in
            let fit = Fit(view)
            for group in 0..<groups {
                let (scale, offset) = fit.scale(ofGroup: group, of: groups)
                let inverse = scale == 0 ? 0 : 1 / scale
                for column in start + 16 * group..<start + 16 * group + 16 {
                    let level = Fit.Levels.nearest(SIMD16(repeating: (x[column] + offset) * inverse))[0]
                    let rounded = scale * level - offset
                    settle(row, column, at: rounded)
                    target[column - start] = rounded
                }
            }
            fit.store(view, into: self.target(row, start))
        }
    }

    /// - Parameter body: gets the block's values and weights, the same as floats (the weights behind the values), its
    ///   first column, and the row's values, which `settle` changes.
    func forEachBlock(
        _ row: Int, _ scratch: UnsafeMutableRawPointer,
        _ body: (WeightedValues, UnsafeMutablePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
    ) {
        let x = values + row * columns
        let groups = blockSize / 16
        let block = scratch.bindMemory(to: SIMD16<Float>.self, capacity: 2 * groups)
        for start in stride(from: first, to: first + width, by: blockSize) {
            let target = UnsafeMutableRawPointer(block).assumingMemoryBound(to: Float.self)
            for index in 0..<blockSize {
                let pivot = factor[(start + index) * columns + start + index]
                target[index] = x[start + index]
                target[blockSize + index] = 1 / (pivot * pivot)
            }
            body(WeightedValues(values: block, weights: block + groups, groups: groups), target, start, x)
        }
    }

    /// A column's value becomes `rounded`; those behind it make up for that.
    func settle(_ row: Int, _ column: Int, at rounded: Float) {
        let x = values + row * columns
        let following = factor + column * columns
        let loss = (x[column] - rounded) / following[column]
        errors[row * Compensation.stepColumns + column - first] = loss
        for later in column + 1..<max(first + width, column + 1) { x[later] -= loss * following[later] }
    }

    /// Where the block at a column goes.
    func target(_ row: Int, _ start: Int) -> BlockBuffer {
        BlockBuffer(bytes: out + row * rowBytes + start / blockSize * blockBytes)
    }
}
