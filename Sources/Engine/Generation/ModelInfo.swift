import GGUF

/// What a loaded model is, in numbers, for people and for `infer inspect`.
package struct ModelInfo: Sendable {
    package let architecture: String
    /// `general.name`, if the file has one.
    package let name: String?
    package let layers: Int
    /// How many layers of each kind, most frequent first, for example `[("recurrent", 18), ("attention", 6)]`.
    package let layerKinds: [(kind: String, count: Int)]
    package let vocabularySize: Int
    package let embeddingLength: Int
    package let trainedContextLength: Int
    package let experts: ExpertCounts?
    /// Next-token-prediction layers in the file; the main pass skips them.
    package let nextTokenLayers: Int
    /// All weights of the file.
    package let parameters: Int
    /// Weights that one token is multiplied with in the main pass: of a stack of experts only those it visits,
    /// and the embedding table only where it also serves as output projection.
    package let activeParameters: Int
    /// Bytes of all weights.
    package let weightBytes: Int
    /// Bytes of weights read for one token, on the same terms as ``activeParameters``.
    package let activeBytes: Int
    /// How many bytes are stored in each format, largest share first.
    package let formats: [(format: String, bytes: Int)]
    /// Values that the widest layer makes for one token, all its projections together, and what is made for all layers.
    let layerValues: Int

    init(file: GGUFFile, _ hyper: Hyperparameters, _ model: any Architecture, _ entries: [WeightMap.Entry]) {
        architecture = hyper.architecture
        name = file.metadata["general.name"]?.stringValue
        let shape = model.shape
        layers = shape.layers
        layerKinds = Self.counted(model.layerKinds.prefix(shape.layers).map { ($0, 1) })
        vocabularySize = model.head.vocabularySize
        embeddingLength = shape.embeddingLength
        trainedContextLength = shape.contextLength
        nextTokenLayers = shape.nextTokenLayers
        experts = model.experts

        let skipped = (shape.layers..<shape.layers + shape.nextTokenLayers).map { "blk.\($0)." }
        let tied = file.tensor("output.weight") == nil
        let active = entries.filter { entry in
            !skipped.contains(where: entry.name.hasPrefix) && (tied || entry.name != "token_embd.weight")
                && entry.name != "per_layer_token_embd.weight"
        }
        let used = model.experts?.used ?? 1
        parameters = entries.reduce(0) { $0 + $1.elements }
        weightBytes = entries.reduce(0) { $0 + $1.bytes }
        activeParameters = active.reduce(0) { $0 + $1.elements / $1.experts * min(used, $1.experts) }
        activeBytes = active.reduce(0) { $0 + $1.bytes / $1.experts * min(used, $1.experts) }
        layerValues =
            Self.counted(
                active.filter { $0.name.hasPrefix("blk.") && $0.rows > 0 }.map {
                    (String($0.name.split(separator: ".")[1]), $0.rows * min(used, $0.experts))
                }
            ).first?.count ?? 0
            + active.reduce(0) { $0 + ($1.name.hasPrefix("per_layer_") ? $1.rows : 0) }
        formats = Self.counted(entries.map { ($0.format, $0.bytes) }).map { (format: $0.kind, bytes: $0.count) }
    }

    /// Sums by name, largest first.
    private static func counted(_ pairs: [(String, Int)]) -> [(kind: String, count: Int)] {
        Dictionary(pairs, uniquingKeysWith: +)
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { (kind: $0.key, count: $0.value) }
    }
}

extension LayerState {
    /// The kind of layer in the field's words.
    package var kind: String {
        switch self {
        case .none: "stateless"
        case .attention(_, _, _, nil): "attention"
        case .attention: "sliding-window attention"
        case .recurrent: "recurrent"
        case .latent(_, _, indexKeyDim: 0): "latent attention"
        case .latent: "sparse latent attention"
        case .compressed: "compressed attention"
        }
    }
}

/// Bytes a model needs to run one sequence.
package struct MemoryFigures: Sendable, Equatable {
    /// Mapped from the file; shared by all sequences.
    package let weights: Int
    /// Key/value cache at the full context length, and recurrent state.
    package let cache: Int
    /// Intermediate values of the largest batch, an upper estimate.
    package let scratch: Int

    package var total: Int { weights + cache + scratch }
}

extension Model {
    /// What a sequence of `contextLength` tokens takes, on top of the weights, once it is full.
    package func memory(contextLength: Int) -> MemoryFigures {
        // Every projection's result, half as much again for rotations, norms and prepared activations, and the
        // residual stream with its copies; then the logits.
        let perToken = 4 * (info.layerValues * 3 / 2 + 6 * info.embeddingLength)
        let logits = 4 * info.vocabularySize * (Self.logitRowsPerPiece + 1)
        return MemoryFigures(
            weights: info.weightBytes, cache: stateLayout.bytes(capacity: contextLength),
            scratch: min(options.batchSize, contextLength) * perToken + logits)
    }
}
