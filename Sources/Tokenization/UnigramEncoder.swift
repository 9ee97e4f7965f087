import GGUF

/// SentencePiece's unigram model (`tokenizer.ggml.model` = `t5`): the split with the highest sum of scores, found with
/// the Viterbi algorithm (Kudo 2018; SentencePiece `unigram_model.cc`).
struct UnigramEncoder: FragmentEncoder {
    private let trie: ByteTrie
    /// Log probabilities by id; 0 for user-defined tokens, so that they win.
    private let scores: [Float]
    private let unknown: Int32
    private let unknownScore: Float
    private let addsSpacePrefix: Bool
    private let removesExtraSpaces: Bool
    private let characterMap: CharacterMap?

    /// SentencePiece's penalty for a character that no token covers, below the lowest score.
    private static let unknownPenalty: Float = 10

    init(
        _ vocabulary: Vocabulary, unknown: Int32?, addsSpacePrefix: Bool, removesExtraSpaces: Bool,
        characterMap: CharacterMap?
    ) {
        var trie = ByteTrie()
        var scores: [Float] = []
        var lowest = Float.infinity
        for id in 0..<vocabulary.count {
            let score = vocabulary.scores[id].isFinite ? vocabulary.scores[id] : -1e9
            scores.append(vocabulary.types[id] == .userDefined ? 0 : score)
            if vocabulary.types[id] == .normal { lowest = min(lowest, score) }
            if vocabulary.types[id].isMergeable { trie.insert(vocabulary.bytes(of: id), value: Int32(id)) }
        }
        self.trie = trie
        self.scores = scores
        self.unknown = unknown ?? -1
        unknownScore = (lowest.isFinite ? lowest : 0) - Self.unknownPenalty
        self.addsSpacePrefix = addsSpacePrefix
        self.removesExtraSpaces = removesExtraSpaces
        self.characterMap = characterMap
    }

    func encode(
        _ text: UnsafeRawBufferPointer, afterSpecial: Bool, _ scratch: inout EncodeScratch, into ids: inout [Int32]
    ) {
        let first = ids.count
        normalized(text).withUnsafeBytes { appendBestSplit(of: $0, to: &ids) }
        ids[first...].reverse()
    }

    /// Sums are of single precision, as SentencePiece's: they decide between splits that are equally good otherwise.
    private struct Best {
        var score = -Float.infinity
        var id: Int32 = -1
        var start: Int32 = 0
    }

    /// Appends the ids last to first.
    private func appendBestSplit(of text: UnsafeRawBufferPointer, to ids: inout [Int32]) {
        guard text.count > 0, text.count < Int(Int32.max) else { return }
        // best[i]: the best split of the first i bytes, by its last token.
        var best = [Best](repeating: Best(), count: text.count + 1)
        best[0].score = 0
        var start = 0
        while start < text.count {
            let width = min(utf8Length(lead: text[start]), text.count - start)
            let score = best[start].score
            var coversCharacter = false
            var node: UInt32 = 0
            var end = start
            while end < text.count, let next = trie.child(node, text[end]) {
                node = next
                end += 1
                let id = trie.values[Int(node)]
                guard id >= 0 else { continue }
                if end - start == width { coversCharacter = true }
                let sum = score + scores[Int(id)]
                if sum > best[end].score { best[end] = Best(score: sum, id: id, start: Int32(start)) }
            }
            if !coversCharacter {
                let sum = score + unknownScore
                if sum > best[start + width].score {
                    best[start + width] = Best(score: sum, id: unknown, start: Int32(start))
                }
            }
            start += width
        }
        // Neighbouring unknown characters are one unknown token.
        var end = text.count
        var follower: Int32?
        while end > 0 {
            let id = best[end].id
            if id >= 0, !(id == unknown && follower == unknown) { ids.append(id) }
            follower = id
            end = Int(best[end].start)
        }
    }

    /// The text as the model was trained on it: characters mapped, spaces as U+2581, one of them in front.
    private func normalized(_ text: UnsafeRawBufferPointer) -> [UInt8] {
        var mapped: [UInt8] = []
        if let characterMap {
            characterMap.append(text, to: &mapped)
        } else {
            mapped.append(contentsOf: text)
        }
        var result: [UInt8] = []
        result.reserveCapacity(mapped.count + mapped.count / 2)
        var hasSpace = false
        for byte in mapped {
            if byte == 0x20, removesExtraSpaces {
                hasSpace = !result.isEmpty
                continue
            }
            if result.isEmpty, addsSpacePrefix { result.append(contentsOf: SpaceMark.utf8) }
            if hasSpace || byte == 0x20 { result.append(contentsOf: SpaceMark.utf8) }
            if byte != 0x20 { result.append(byte) }
            hasSpace = false
        }
        return result
    }
}
