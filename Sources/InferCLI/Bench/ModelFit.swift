import Engine
import Foundation
import GGUF

/// Whether a machine has memory for a model, and how fast the model can be there at most.
///
/// Encoded as part of `infer doctor --json`.
struct ModelFit: Encodable {
    let name: String
    let context_length: Int
    /// Mapped from the file; what does not fit is read from disk again and again.
    let weight_bytes: Int
    /// Cache and state at the full context, and intermediate values.
    let private_bytes: Int
    let available_bytes: Int
    let fits: Bool
    /// Bytes to read and multiply-adds to do for one token behind nothing, and behind a full context.
    let bytes_per_token: Double
    let bytes_per_token_full: Double
    let macs_per_token: Double
    /// Tokens per second that the memory bandwidth allows in generation, and the int8 peak in a long prompt.
    let decode_limit: Double
    let decode_limit_full: Double
    let prefill_limit: Double

    init(_ model: Model, contextLength: Int, availableMemory: Int, limits: Yardstick.Reading) {
        let memory = model.memory(contextLength: contextLength)
        let cost = PassCost(model)
        let first = cost.amount(BenchPass(start: 0, rows: 1, sequences: 1, logits: 1))
        let last = cost.amount(BenchPass(start: contextLength - 1, rows: 1, sequences: 1, logits: 1))
        let prompt = cost.amount(BenchPass(start: 0, rows: 1, sequences: 1, logits: 0))
        name = model.info.name ?? URL(fileURLWithPath: model.file.path).lastPathComponent
        context_length = contextLength
        weight_bytes = memory.weights
        private_bytes = memory.cache + memory.scratch
        available_bytes = availableMemory
        fits = memory.total <= availableMemory
        bytes_per_token = first.bytes
        bytes_per_token_full = last.bytes
        macs_per_token = prompt.macs
        decode_limit = limits.bandwidth * 1e9 / first.bytes
        decode_limit_full = limits.bandwidth * 1e9 / last.bytes
        prefill_limit = limits.int8Peak * 1e9 / max(prompt.macs, 1)
    }

    /// For people.
    var lines: [String] {
        func gigabytes(_ bytes: Int) -> String { String(format: "%.2f GB", Double(bytes) / 1e9) }
        let verdict =
            fits
            ? "fits"
            : private_bytes < available_bytes
                ? "does not fit: parts of the weights will be read from disk again and again"
                : "does not fit: the cache alone is larger than the memory; choose a smaller context"
        return [
            "\(name) with a context of \(context_length) tokens: \(verdict)",
            "  memory   \(gigabytes(weight_bytes)) of weights in the mapped file, \(gigabytes(private_bytes)) of its own;"
                + " \(gigabytes(available_bytes)) available",
            String(
                format: "  decode   reads %.2f GB per token: at most %.1f tokens/s, %.1f behind a full context",
                bytes_per_token / 1e9, decode_limit, decode_limit_full),
            String(
                format: "  prefill  %.2f billion multiply-adds per token: at most %.0f tokens/s", macs_per_token / 1e9,
                prefill_limit),
        ]
    }
}
