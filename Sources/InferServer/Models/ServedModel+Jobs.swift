import ChatTemplates
import InferKit
import Tokenization

extension ServedModel {
    var isBusy: Bool {
        let metrics = scheduler.metrics
        return metrics.running + metrics.waiting > 0
    }

    /// One text per token, whole characters only; joined they are the text of the tokens.
    func pieces(of tokens: [Int32]) -> [String] {
        var decoder = StreamingDecoder(tokenizer, renderSpecial: true)
        var pieces = tokens.map { decoder.append($0) }
        if let last = pieces.indices.last { pieces[last] += decoder.finish() }
        return pieces
    }

    /// The prompt for what belongs between two texts.
    /// - Throws: `APIError` for a model that has no tokens for that.
    func infill(prefix: String, suffix: String) throws(APIError) -> [Int32] {
        let spellings = [
            ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"), ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
            ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"), ("<PRE>", "<SUF>", "<MID>"),
            ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        ]
        for (start, gap, end) in spellings {
            guard let start = tokenizer.id(of: start), let gap = tokenizer.id(of: gap), let end = tokenizer.id(of: end)
            else {
                continue
            }
            func tokens(_ text: String) -> [Int32] { tokenizer.encode(text, addSpecial: false, parseSpecial: false) }
            return [start] + tokens(prefix) + [gap] + tokens(suffix) + [end]
        }
        throw .invalid("the model \(name) has no tokens for filling in text: suffix cannot be used", param: "suffix")
    }
}
