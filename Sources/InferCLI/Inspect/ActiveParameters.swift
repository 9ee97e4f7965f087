import GGUF

/// How many of a tensor's parameters one generated token needs.
///
/// Of an expert stack that is the share of the experts chosen per token, of the token embedding nothing (a row of it is
/// copied) unless it is also the output matrix, of next-token-prediction layers nothing, of everything else all. The
/// engine's `ModelInfo` counts alike; this needs only names and the common keys, so it works for architectures that
/// cannot be run.
struct ActiveParameters {
    private let expertsUsed: Int?
    private let firstPredictionLayer: Int
    private let hasOutputMatrix: Bool

    init(_ file: GGUFFile) {
        let architecture = file.metadata[GGUFFormat.architectureKey]?.stringValue ?? ""
        let number = { (key: String) -> Int? in
            let value = file.metadata["\(architecture).\(key)"]
            return value?.int ?? value?.array?.ints()?.max()
        }
        expertsUsed = number("expert_used_count")
        // `block_count` includes the prediction layers, which come last.
        if let layers = number("block_count"), let prediction = number("nextn_predict_layers"),
            prediction > 0, prediction < layers
        {
            firstPredictionLayer = layers - prediction
        } else {
            firstPredictionLayer = .max
        }
        hasOutputMatrix = file.tensor("output.weight") != nil
    }

    func count(of tensor: GGUFTensor) -> Int {
        let parts = tensor.name.split(separator: ".")
        if parts.count > 2, parts[0] == "blk", let layer = Int(parts[1]), layer >= firstPredictionLayer { return 0 }
        if tensor.name == "token_embd.weight", hasOutputMatrix { return 0 }
        let isExpertStack = parts.contains { $0.hasSuffix("_exps") }
        if isExpertStack, let expertsUsed, let experts = tensor.dimensions.last {
            return tensor.elementCount / experts * min(max(expertsUsed, 0), experts)
        }
        return tensor.elementCount
    }
}
