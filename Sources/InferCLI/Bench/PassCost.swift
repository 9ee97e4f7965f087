import Engine
import GGUF

/// What a forward pass must read from memory and multiply, counted from the model's tensors.
///
/// The counts are what the work needs, not what an implementation happens to do: every weight once per pass, the
/// key/value cache and the recurrent state once per pass and sequence. Small things are left out: norms of activations,
/// the arithmetic of attention and of the recurrence.
struct PassCost {
    /// Bytes of all weights that every pass reads, without the output matrix.
    private(set) var plainBytes = 0
    /// Multiply-adds per token with those.
    private(set) var plainMACs = 0
    /// One expert, all its matrices in all layers together.
    private(set) var expertBytes = 0
    private(set) var expertMACs = 0
    /// The matrix from the last hidden state to the vocabulary, needed for rows that are asked for logits only.
    private(set) var headBytes = 0
    private(set) var headMACs = 0
    private(set) var embeddingRowBytes = 0
    /// Recurrent state of one sequence, and key/value cache per position of it: of the layers that see all of it, and
    /// of each that sees a window.
    let stateBytes: Int
    let cacheBytesPerToken: Int
    private let windows: [(positions: Int, bytesPerToken: Int)]

    private let experts: Int
    private let expertsUsed: Int

    struct Amount: Equatable {
        var bytes = 0.0
        var macs = 0.0

        static func + (a: Amount, b: Amount) -> Amount { Amount(bytes: a.bytes + b.bytes, macs: a.macs + b.macs) }
    }

    init(_ model: Model) {
        experts = model.architecture.experts?.count ?? 1
        expertsUsed = model.architecture.experts?.used ?? 1
        stateBytes = model.stateLayout.recurrentBytes
        cacheBytesPerToken = model.stateLayout.bytesPerToken
        windows = Self.windows(model.stateLayout)
        let head = model.file.tensor("output.weight") == nil ? "token_embd.weight" : "output.weight"
        for tensor in model.file.tensors {
            if tensor.name == "token_embd.weight", let rows = tensor.dimensions.last, rows > 0 {
                embeddingRowBytes = tensor.byteCount / rows
            }
            if tensor.name == head {
                headBytes = tensor.byteCount
                headMACs = tensor.elementCount
            } else if tensor.name != "token_embd.weight", !isPrediction(tensor, of: model) {
                count(tensor)
            }
        }
    }

    private static func windows(_ layout: StateLayout) -> [(positions: Int, bytesPerToken: Int)] {
        layout.layers.compactMap { layer in
            guard case .attention(let heads, let keyDim, let valueDim, let window?) = layer else { return nil }
            let unlimited = LayerState.attention(kvHeads: heads, keyDim: keyDim, valueDim: valueDim)
            let alone = try? StateLayout(layers: [unlimited], keyType: layout.keyType, valueType: layout.valueType)
            return (window, alone?.bytesPerToken ?? 0)
        }
    }

    /// Layers that predict a further token rest in ordinary generation.
    private func isPrediction(_ tensor: GGUFTensor, of model: Model) -> Bool {
        let parts = tensor.name.split(separator: ".", maxSplits: 2)
        guard parts.count == 3, parts[0] == "blk", let layer = Int(parts[1]) else { return false }
        return layer >= model.architecture.shape.layers
    }

    private mutating func count(_ tensor: GGUFTensor) {
        let isStack = tensor.dimensions.count == 3 && tensor.name.contains("_exps.")
        // Vectors, biases of experts and the taps of a convolution are no matrix products.
        let isMatrix =
            tensor.dimensions.count >= 2 && !tensor.name.contains("conv1d") && !tensor.name.hasSuffix(".bias")
        if isStack, tensor.dimensions[2] == experts {
            expertBytes += tensor.byteCount / experts
            expertMACs += tensor.elementCount / experts
        } else {
            plainBytes += tensor.byteCount
            if isMatrix { plainMACs += tensor.elementCount }
        }
    }

    /// How many experts of a layer a pass is expected to visit when its tokens choose independently and evenly.
    func expectedExperts(tokens: Int) -> Double {
        var untouched = 1.0
        for _ in 0..<tokens { untouched *= 1 - Double(expertsUsed) / Double(experts) }
        return Double(experts) * (1 - untouched)
    }

    func amount(_ pass: BenchPass) -> Amount {
        let tokens = pass.rows * pass.sequences
        let logits = pass.logits * pass.sequences
        let end = pass.start + pass.rows
        let cache = windows.reduce(end * cacheBytesPerToken) { bytes, window in
            bytes + min(end, window.positions - 1 + pass.rows) * window.bytesPerToken
        }
        var bytes = Double(plainBytes + tokens * embeddingRowBytes + pass.sequences * (stateBytes + cache))
        bytes += Double(expertBytes) * expectedExperts(tokens: tokens)
        if logits > 0 { bytes += Double(headBytes) }
        let macs = tokens * (plainMACs + expertsUsed * expertMACs) + logits * headMACs
        return Amount(bytes: bytes, macs: Double(macs))
    }

    func amount(_ passes: [BenchPass]) -> Amount { passes.reduce(Amount()) { $0 + amount($1) } }
}
