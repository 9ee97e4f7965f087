import CKernels

/// The gated delta rule with the heads of Qwen3.5: 32 states of 128 × 128 in blocks of 16 value columns.
func measureDelta(_ harness: inout Harness) {
    for tokens in [1, 4, 32, 512] {
        for (isa, isaName) in instructionSets {
            let label = "\(tokens) tokens"
            guard harness.isWanted("delta", label, isaName), ck_isa_select(isa) != 0 else { continue }
            let run = DeltaRun(
                layers: harness.options.isQuick ? 1 : 24, tokens: tokens, threads: harness.options.threads)
            harness.measure("delta", label, isa: isaName, work: run.work) { run.run(worker: $0) }
        }
    }
}

/// All recurrent layers of a model one after the other, so that the states do not stay in the caches between calls.
private final class DeltaRun: @unchecked Sendable {
    private static let (heads, dim, lanes) = (32, 128, 16)
    private let (layers, tokens, threads): (Int, Int, Int)
    private let states: Buffer
    private let input: Buffer
    private let gates: Buffer
    private let output: Buffer

    init(layers: Int, tokens: Int, threads: Int) {
        (self.layers, self.tokens, self.threads) = (layers, tokens, threads)
        states = .floats(layers * Self.heads * Self.dim * Self.dim, scale: 0.01)
        // Unit length, as the layer normalises queries and keys: the state stays bounded.
        input = .floats(tokens * Self.heads * Self.dim, scale: 0.088)
        gates = Buffer(4 * tokens * Self.heads)
        for index in 0..<(tokens * Self.heads) { gates.floats[index] = -0.1 }
        output = Buffer(4 * tokens * Self.heads * Self.dim)
    }

    /// The state is read and written once per call; a token costs three multiply-adds per element.
    var work: Work {
        let elements = Double(layers * Self.heads * Self.dim * Self.dim)
        return Work(bytes: 8 * elements, macs: 3 * elements * Double(tokens), kind: .float)
    }

    func run(worker: Int) {
        let (dim, lanes) = (Self.dim, Self.lanes)
        let blocks = dim / lanes
        for layer in 0..<layers {
            for unit in stride(from: worker, to: Self.heads * blocks, by: threads) {
                let (head, block) = (unit / blocks, unit % blocks)
                var task = ck_delta_block()
                task.state = states.floats + ((layer * Self.heads + head) * blocks + block) * dim * lanes
                task.key_dim = dim
                task.lanes = lanes
                task.tokens = tokens
                task.q = UnsafePointer(input.floats + head * dim)
                task.k = UnsafePointer(input.floats + head * dim)
                task.v = UnsafePointer(input.floats + head * dim + block * lanes)
                task.decay = UnsafePointer(gates.floats + head)
                task.beta = UnsafePointer(gates.floats + head)
                task.q_stride = Self.heads * dim
                task.k_stride = Self.heads * dim
                task.v_stride = Self.heads * dim
                task.decay_stride = Self.heads
                task.beta_stride = Self.heads
                task.out = output.floats + head * dim + block * lanes
                task.out_stride = Self.heads * dim
                ck_delta_run(&task)
            }
        }
    }
}
