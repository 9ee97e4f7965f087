import CKernels

/// One weight of a merged product: out = activations · weightᵀ (+ bias). out (tokens, weight.rows).
package struct Product {
    let weight: Weight
    let bias: FloatVector?
    let out: Matrix

    package init(_ weight: Weight, bias: FloatVector? = nil, into out: Matrix) {
        self.weight = weight
        self.bias = bias
        self.out = out
    }
}

extension Compute {
    /// Quantizes or rounds rows of activations once for all weights of the given kinds. x (tokens, cols).
    ///
    /// The result refers to memory of `workspace`, and to `x` itself for F32 and F16 weights.
    package func prepare(_ x: Matrix, for kinds: ActivationKinds, _ workspace: Workspace) -> Activations {
        var activations = Activations(x)
        prepare(x, CK_ACT_F32, kinds, &activations, workspace)
        prepare(x, CK_ACT_BF16, kinds, &activations, workspace)
        prepare(x, CK_ACT_Q8_32, kinds, &activations, workspace)
        prepare(x, CK_ACT_Q8_256, kinds, &activations, workspace)
        return activations
    }

    package func prepare(_ x: Matrix, for weight: Weight, _ workspace: Workspace) -> Activations {
        prepare(x, for: ActivationKinds(weight.format.activation), workspace)
    }

    private func prepare(
        _ x: Matrix, _ kind: ck_act, _ kinds: ActivationKinds, _ activations: inout Activations,
        _ workspace: Workspace
    ) {
        guard kinds.contains(ActivationKinds(kind)) else { return }
        let aligned = Int(bitPattern: x.pointer).isMultiple(of: 64) && x.stride.isMultiple(of: 16)
        if kind == CK_ACT_F32 && aligned {
            activations[kind] = .init(pointer: UnsafeMutableRawPointer(x.pointer), stride: x.stride * 4)
            return
        }
        let stride = ck_act_row_bytes(kind, x.cols)
        let pointer = workspace.bytes(stride * x.rows)
        activations[kind] = .init(pointer: pointer, stride: stride)
        pool.run(x.rows, grain: Self.grain(2 * x.cols), (x, kind, pointer, stride)) { job, rows, _ in
            let (x, kind, pointer, stride) = job
            for row in rows { ck_quantize(kind, x.row(row), x.cols, pointer + row * stride) }
        }
    }

    /// out = a · weightᵀ (+ bias). a (tokens, weight.cols), out (tokens, weight.rows).
    package func matmul(_ weight: Weight, _ a: Activations, bias: FloatVector? = nil, into out: Matrix) {
        matmul(a, Product(weight, bias: bias, into: out))
    }

    /// Several products of the same activations in one parallel pass: QKV, gate and up.
    package func matmul(
        _ a: Activations, _ first: Product, _ second: Product? = nil, _ third: Product? = nil,
        _ fourth: Product? = nil
    ) {
        if let observer { report([first, second, third, fourth].compactMap { $0?.weight }, a, to: observer) }
        var plan = MatmulPlan()
        plan.append(first, a)
        if let second { plan.append(second, a) }
        if let third { plan.append(third, a) }
        if let fourth { plan.append(fourth, a) }
        let streams = MatmulTiling.streams(tokens: a.rows)
        withUnsafePointer(to: plan) { plan in
            pool.run(plan.pointee.units, tapering: streams, scratch: plan.pointee.scratch, plan) {
                plan, units, worker in
                plan.pointee.run(units, worker.scratch)
            }
        }
    }

    private func report(_ weights: [Weight], _ a: Activations, to observer: any ComputeObserver) {
        var names: Set<String> = []
        observer.multiply(weights.filter { names.insert($0.name).inserted }, member: 0, ObservedRows(a.source))
    }
}

/// How the rows of a weight and the tokens of a batch are cut into units of work.
struct MatmulTiling {
    let rowChunk: Int
    let rowChunks: Int
    let tokenChunk: Int
    let tokenChunks: Int

    /// For many tokens, kernels unpack panels of 32 rows that should serve all tokens; for few, they reorder the
    /// activations once per call. So rows are cut in multiples of 32, for few tokens into chunks of about 96 KiB of
    /// weights: small enough for the last ones to come out even between threads. (Neighbouring chunks that a thread
    /// takes together become one call.) Tokens are cut only when there are too few rows for that.
    init(rows: Int, rowBytes: Int, tokens: Int) {
        let chunk = max(32, (Self.streams(tokens: tokens) ? 96 << 10 : 1) / max(rowBytes, 1) / 32 * 32)
        rowChunk = chunk
        rowChunks = (rows + chunk - 1) / chunk
        let pieces = tokens >= 32 ? max(1, 16 / rowChunks) : 1
        tokenChunk = (tokens + pieces - 1) / pieces
        tokenChunks = (tokens + tokenChunk - 1) / tokenChunk
    }

    var units: Int { rowChunks * tokenChunks }

    /// So few tokens that the weights' way from memory is what takes time.
    static func streams(tokens: Int) -> Bool { tokens <= 8 }
}

/// Up to four products over the same activations, as one list of units. Plain data.
private struct MatmulPlan {
    struct Part {
        let format: UnsafePointer<ck_format>
        let bytes: UnsafeRawPointer
        let rows: Int
        let cols: Int
        let rowBytes: Int
        let bias: UnsafePointer<Float>?
        let factor: Float?
        let activations: Activations.Prepared
        let tokens: Int
        let out: Matrix
        let tiling: MatmulTiling
        let firstUnit: Int
    }
    private var parts: (Part?, Part?, Part?, Part?) = (nil, nil, nil, nil)
    private(set) var units = 0
    private(set) var scratch = 0

    mutating func append(_ product: Product, _ a: Activations) {
        let weight = product.weight
        precondition(weight.experts == 1 && weight.cols == a.cols, "\(weight.name): wrong activations")
        precondition(product.out.rows == a.rows && product.out.cols == weight.rows, "\(weight.name): wrong output")
        precondition((product.bias?.count ?? weight.rows) == weight.rows, "\(weight.name): wrong bias")
        guard let prepared = a[weight.format.activation] else {
            preconditionFailure("\(weight.name): activations were not prepared for \(weight.format)")
        }
        let part = Part(
            format: weight.format.kernel, bytes: weight.bytes, rows: weight.rows, cols: weight.cols,
            rowBytes: weight.rowBytes, bias: product.bias?.pointer, factor: weight.factors?[0], activations: prepared,
            tokens: a.rows, out: product.out,
            tiling: MatmulTiling(rows: weight.rows, rowBytes: weight.rowBytes, tokens: a.rows), firstUnit: units)
        units += part.tiling.units
        scratch = max(scratch, ck_matmul_scratch_bytes(part.format, part.cols))
        if parts.0 == nil {
            parts.0 = part
        } else if parts.1 == nil {
            parts.1 = part
        } else if parts.2 == nil {
            parts.2 = part
        } else {
            parts.3 = part
        }
    }

    func run(_ units: Range<Int>, _ scratch: UnsafeMutableRawPointer) {
        if let part = parts.0 { Self.run(part, units, scratch) }
        if let part = parts.1 { Self.run(part, units, scratch) }
        if let part = parts.2 { Self.run(part, units, scratch) }
        if let part = parts.3 { Self.run(part, units, scratch) }
    }

    /// Those of the units that are this part's, with neighbours in one call.
    private static func run(_ part: Part, _ units: Range<Int>, _ scratch: UnsafeMutableRawPointer) {
        let tiling = part.tiling
        var unit = max(units.lowerBound - part.firstUnit, 0)
        let end = min(units.upperBound - part.firstUnit, tiling.units)
        while unit < end {
            let chunk = unit % tiling.rowChunks
            let chunks = min(end - unit, tiling.rowChunks - chunk)
            run(part, chunk * tiling.rowChunk, chunks * tiling.rowChunk, unit / tiling.rowChunks, scratch)
            unit += chunks
        }
    }

    private static func run(
        _ part: Part, _ row: Int, _ wanted: Int, _ tokenChunk: Int, _ scratch: UnsafeMutableRawPointer
    ) {
        let token = tokenChunk * part.tiling.tokenChunk
        let rows = min(wanted, part.rows - row)
        let tokens = min(part.tiling.tokenChunk, part.tokens - token)
        let out = part.out.row(token) + row
        ck_matmul(
            part.format, part.bytes + row * part.rowBytes, rows, part.cols,
            part.activations.pointer + token * part.activations.stride, part.activations.stride, nil, tokens, out,
            part.out.stride, scratch)
        if let factor = part.factor {
            for token in 0..<tokens {
                let row = out + token * part.out.stride
                ck_scale(row, row, factor, rows)
            }
        }
        if let bias = part.bias {
            for token in 0..<tokens { ck_add(out + token * part.out.stride, bias + row, rows) }
        }
    }
}
