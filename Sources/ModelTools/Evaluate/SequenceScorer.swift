package import Engine
import GGUF
package import Tokenization

/// One loaded model and one sequence of it, asked for the probabilities of given tokens.
package final class SequenceScorer {
    package let model: Model
    package let tokenizer: Tokenizer
    /// The token that every sequence begins with; nil where the model wants none.
    package let lead: Int32?
    private let generator: Generator

    /// - Parameter capacity: tokens of the longest sequence, the lead included.
    /// - Throws: `EngineError`, `TokenizerError`.
    package init(_ model: Model, capacity: Int? = nil) throws {
        self.model = model
        tokenizer = try Tokenizer(model.file.metadata)
        lead = tokenizer.addBOS ? tokenizer.bos : nil
        generator = try model.makeGenerator(contextLength: capacity)
    }

    package var capacity: Int { generator.capacity }
    package var vocabularySize: Int { model.info.vocabularySize }

    /// A number that says whether two models mean the same by a token id.
    package var vocabularyFingerprint: UInt64 {
        var hash = FNV1a()
        for id in 0..<Int32(clamping: tokenizer.vocabularySize) {
            hash.add(tokenizer.text(of: id))
            hash.add("\u{0}")
        }
        return hash.value
    }

    /// Gives the logits that foretell each token of `target`.
    /// - Parameters:
    ///   - context: what comes before, not empty. What it has in common with the last sequence is not computed again.
    ///   - deliver: receives the place in `target` and the logits; the buffer is reused.
    /// - Throws: `EngineError`; `.cancelled` when `isCancelled`, asked before each forward pass, says so.
    func score(
        context: [Int32], target: [Int32], isCancelled: () -> Bool,
        deliver: (Int, UnsafeBufferPointer<Float>) -> Void
    ) throws(EngineError) {
        guard !target.isEmpty else { return }
        try generator.sync(context, isCancelled: isCancelled)
        deliver(0, UnsafeBufferPointer(generator.logits))
        // The last token has nothing to foretell.
        guard target.count > 1 else { return }
        try generator.extend(by: [Int32](target.dropLast()), isCancelled: isCancelled) { position, logits in
            deliver(position - context.count + 1, UnsafeBufferPointer(logits))
        }
    }
}

/// A text as tokens, cut into windows.
package struct ScoredText: Sendable {
    package let tokens: [Int32]
    package let length: Int
    package let stride: Int
    /// The token that every window begins with.
    package let lead: Int32?
    package let windows: [ScoringWindow]

    /// - Parameters:
    ///   - length: tokens of a window, the lead included; nil: 512, or what the model has room for.
    ///   - stride: tokens from one window to the next; nil: half of a window.
    package init(
        tokens: [Int32], length: Int?, stride: Int?, lead: Int32?, capacity: Int
    ) throws(EvaluationError) {
        let length = length ?? min(512, capacity)
        guard length >= 2, length <= capacity else { throw .window(length: length, capacity: capacity) }
        let step = stride ?? max(1, length / 2)
        guard step >= 1, step <= length else { throw .stride(step, window: length) }
        guard tokens.count >= 2 else { throw .textTooShort(tokens: tokens.count) }
        self.tokens = tokens
        self.length = length
        self.stride = step
        self.lead = lead
        windows = ScoringWindow.windows(count: tokens.count, length: length, stride: step, hasLead: lead != nil)
    }

    /// Tokens that are scored.
    package var scoredCount: Int { scoredCount(windows: windows.count) }

    /// Those of the first windows.
    package func scoredCount(windows count: Int) -> Int { windows.prefix(count).reduce(0) { $0 + $1.scored.count } }

    /// What stands before the scored tokens of a window.
    func context(_ window: ScoringWindow) -> [Int32] {
        (lead.map { [$0] } ?? []) + tokens[window.tokens.lowerBound..<window.scored.lowerBound]
    }

    func target(_ window: ScoringWindow) -> [Int32] { [Int32](tokens[window.scored]) }

    /// Names the text and how it is cut, among others.
    package var identity: String {
        var hash = FNV1a()
        for token in tokens { hash.add("\(token),") }
        return "text \(String(hash.value, radix: 16)), window \(length), stride \(stride), lead \(lead ?? -1)"
    }
}
