/// SentencePiece's byte-pair model (`tokenizer.ggml.model` = `llama`): any two neighbours whose text together is a
/// token may merge, the token with the highest score first (SentencePiece `bpe_model.cc`).
struct SentencePieceEncoder: FragmentEncoder, MergeRules {
    private let vocabulary: Vocabulary
    private let addsSpacePrefix: Bool
    /// Merge rank of every token: its score turned around into an integer. `UInt32.max`: never the result of a merge.
    private let ranks: [UInt32]
    private let byteTokens: ByteTokens
    private let unknown: Int32?
    private let separatesWords: Bool
    private let longestToken: Int

    init(_ vocabulary: Vocabulary, addsSpacePrefix: Bool, unknown: Int32?) {
        self.vocabulary = vocabulary
        self.addsSpacePrefix = addsSpacePrefix
        ranks = (0..<vocabulary.count).map { id in
            vocabulary.types[id].isMergeable ? Self.rank(vocabulary.scores[id]) : .max
        }
        self.unknown = unknown
        byteTokens = ByteTokens(vocabulary, unknown: unknown, text: ByteTokens.hexadecimal)
        separatesWords = SpaceMark.separatesWords(in: vocabulary)
        longestToken = min(vocabulary.longestToken, ByteTrie.longestString)
    }

    /// Lower for higher scores, equal for equal ones; a score that is no number comes last.
    static func rank(_ score: Float) -> UInt32 {
        let bits = (score.isNaN ? -Float.infinity : score + 0).bitPattern
        let ascending = bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000
        return ~ascending
    }

    func merge(_ left: Symbol, _ right: Symbol, in text: UnsafeRawBufferPointer) -> Merge {
        let start = Int(left.start)
        let length = Int(left.length) + Int(right.length)
        guard length <= longestToken else { return .none }
        guard let id = vocabulary.id(of: UnsafeRawBufferPointer(rebasing: text[start..<(start + length)])) else {
            return .none
        }
        return ranks[Int(id)] == .max ? .none : Merge(rank: ranks[Int(id)], id: id)
    }

    func encode(
        _ text: UnsafeRawBufferPointer, afterSpecial: Bool, _ scratch: inout EncodeScratch, into ids: inout [Int32]
    ) {
        let first = ids.count
        var escaped: [UInt8] = []
        escaped.reserveCapacity(text.count + text.count / 2)
        if addsSpacePrefix, afterSpecial { escaped.append(contentsOf: SpaceMark.utf8) }
        SpaceMark.appendEscaped(text, to: &escaped)
        escaped.withUnsafeBytes { text in
            var start = 0
            while start < text.count {
                let end = separatesWords ? SpaceMark.wordEnd(text, from: start) : text.count
                encode(word: UnsafeRawBufferPointer(rebasing: text[start..<end]), &scratch, into: &ids)
                start = end
            }
        }
        if byteTokens.isEmpty { mergeUnknown(&ids, from: first) }
    }

    /// Neighbouring unknown characters are one unknown token.
    private func mergeUnknown(_ ids: inout [Int32], from first: Int) {
        var kept = first
        for index in first..<ids.count where ids[index] != unknown || kept == first || ids[kept - 1] != unknown {
            ids[kept] = ids[index]
            kept += 1
        }
        ids.removeSubrange(kept...)
    }

    private func encode(word: UnsafeRawBufferPointer, _ scratch: inout EncodeScratch, into ids: inout [Int32]) {
        let key = scratch.cache.key(word)
        if let key, scratch.cache.append(key, to: &ids) { return }
        let first = ids.count

        scratch.merger.symbols.removeAll(keepingCapacity: true)
        var start = 0
        while start < word.count {
            let length = min(utf8Length(lead: word[start]), word.count - start)
            let id = vocabulary.id(of: UnsafeRawBufferPointer(rebasing: word[start..<(start + length)]))
            scratch.merger.symbols.append(
                Symbol(
                    id: id.flatMap { ranks[Int($0)] == .max ? nil : $0 } ?? -1, start: Int32(start),
                    length: Int32(length)))
            start += length
        }
        scratch.merger.run(self, in: word)
        for symbol in scratch.merger.symbols {
            if symbol.id >= 0 {
                ids.append(symbol.id)
            } else {
                let start = Int(symbol.start)
                byteTokens.append(
                    UnsafeRawBufferPointer(rebasing: word[start..<(start + Int(symbol.length))]), to: &ids)
            }
        }
        if let key { scratch.cache.insert(key, ids[first...]) }
    }
}
