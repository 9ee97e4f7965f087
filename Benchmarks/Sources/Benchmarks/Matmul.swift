import CKernels

/// Matrix products: every format × 1, 4, 32 and 512 tokens × every instruction set, 4096 columns.
///
/// For few tokens there are more weights than the caches hold, as in a model; for many, only as many as take long
/// enough to measure.
func measureMatmul(_ harness: inout Harness) {
    let (threads, isQuick) = (harness.options.threads, harness.options.isQuick)
    let cols = isQuick ? 1024 : 4096
    for index in 0..<ck_format_count() {
        guard let format = ck_format_at(index) else { continue }
        let name = String(cString: format.pointee.name)
        let rowBytes = cols / Int(format.pointee.block) * Int(format.pointee.block_bytes)
        for tokens in [1, 4, 32, 512] {
            for (isa, isaName) in instructionSets {
                let label = "\(name) x \(tokens)"
                guard harness.isWanted("matmul", label, isaName), ck_isa_select(isa) != 0 else { continue }
                var rows = 64
                if !isQuick, isa != CK_ISA_SCALAR { rows = tokens <= 4 ? (96 << 20) / rowBytes : 1024 }
                rows = (rows + 31) / 32 * 32
                let product = MatrixProduct(format, rows: rows, cols: cols, tokens: tokens, threads: threads)
                let weights = Double(rows) * Double(cols)
                harness.measure(
                    "matmul", label, isa: isaName,
                    work: Work(
                        bytes: Double(rows * rowBytes), macs: weights * Double(tokens),
                        kind: format.pointee.act == CK_ACT_F32 ? .float : .int8)
                ) { product.run(worker: $0) }
            }
        }
    }
}

/// One product whose rows the workers share out in pieces, as the engine does.
private final class MatrixProduct: @unchecked Sendable {
    private let format: UnsafePointer<ck_format>
    private let (rows, cols, tokens, threads): (Int, Int, Int, Int)
    private let rowBytes: Int
    private let weights: Buffer
    private let activations: Buffer
    private let activationStride: Int
    private let result: Buffer
    private let scratch: [Buffer]

    init(_ format: UnsafePointer<ck_format>, rows: Int, cols: Int, tokens: Int, threads: Int) {
        self.format = format
        (self.rows, self.cols, self.tokens, self.threads) = (rows, cols, tokens, threads)
        rowBytes = cols / Int(format.pointee.block) * Int(format.pointee.block_bytes)
        weights = Buffer(rows * rowBytes)
        activationStride = ck_act_row_bytes(format.pointee.act, cols)
        activations = Buffer(activationStride * tokens)
        let values = Buffer.floats(cols)
        for token in 0..<tokens {
            ck_quantize(format.pointee.act, values.floats, cols, activations.pointer + token * activationStride)
        }
        result = Buffer(4 * rows * tokens)
        scratch = (0..<threads).map { _ in Buffer(ck_matmul_scratch_bytes(format, cols)) }
    }

    func run(worker: Int) {
        // About 96 KiB of weights for few tokens, one panel for many.
        let piece = tokens <= 8 ? max(32, (96 << 10) / rowBytes / 32 * 32) : 32
        for first in stride(from: worker * piece, to: rows, by: threads * piece) {
            ck_matmul(
                format, weights.pointer + first * rowBytes, min(piece, rows - first), cols, activations.pointer,
                activationStride, nil, tokens, result.floats + first, rows, scratch[worker].pointer)
        }
    }
}
