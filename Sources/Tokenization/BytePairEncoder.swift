import GGUF

/// Byte-pair encoding with merges (`tokenizer.ggml.model` = `gpt2` or `gemma4`; Sennrich et al. 2016, GPT-2).
struct BytePairEncoder: FragmentEncoder, MergeRules {
    let vocabulary: Vocabulary
    let preTokenizer: PreTokenizer
    private let merges: MergeTable
    private let byteTokens: ByteTokens
    /// Only asked for where the vocabulary is not byte-level.
    private let separatesWords: Bool

    init(
        _ vocabulary: Vocabulary, _ merges: GGUFArray, _ preTokenizer: PreTokenizer, unknown: Int32?
    ) {
        self.vocabulary = vocabulary
        self.preTokenizer = preTokenizer
        self.merges = MergeTable(merges, vocabulary)
        if preTokenizer.byteLevel {
            byteTokens = ByteTokens(vocabulary, unknown: unknown) { byte in
                Array(String(ByteLevelAlphabet.scalars[Int(byte)]).utf8)
            }
            separatesWords = false
        } else {
            byteTokens = ByteTokens(vocabulary, unknown: unknown, text: ByteTokens.hexadecimal)
            separatesWords = SpaceMark.separatesWords(in: vocabulary)
        }
    }

    func merge(_ left: Symbol, _ right: Symbol, in text: UnsafeRawBufferPointer) -> Merge {
        merges.merge(left.id, right.id)
    }

    func encode(
        _ text: UnsafeRawBufferPointer, afterSpecial: Bool, _ scratch: inout EncodeScratch, into ids: inout [Int32]
    ) {
        scratch.scalars.removeAll(keepingCapacity: true)
        if !preTokenizer.byteLevel {
            var escaped: [UInt8] = []
            SpaceMark.appendEscaped(text, to: &escaped)
            escaped.withUnsafeBytes {
                _ = appendScalars(of: $0, to: &scratch.scalars)
                encodeWords($0, &scratch, into: &ids)
            }
            return
        }
        let classes = appendScalars(of: text, to: &scratch.scalars)
        guard preTokenizer.composes, classes.contains(.unstable) else {
            return encodeWords(text, &scratch, into: &ids)
        }
        let composed = Normalization.composed(scratch.scalars)
        scratch.scalars.removeAll(keepingCapacity: true)
        composed.withUnsafeBytes {
            _ = appendScalars(of: $0, to: &scratch.scalars)
            encodeWords($0, &scratch, into: &ids)
        }
    }

    /// `scratch.scalars` are the scalars of `text`.
    private func encodeWords(
        _ text: UnsafeRawBufferPointer, _ scratch: inout EncodeScratch, into ids: inout [Int32]
    ) {
        var ends: [Int] = []
        swap(&ends, &scratch.wordEnds)
        ends.removeAll(keepingCapacity: true)
        preTokenizer.split(scratch.scalars.span, into: &ends)
        var scalar = 0
        var start = 0
        for end in ends {
            var byte = start
            while scalar < end {
                byte += utf8Width(scratch.scalars[scalar])
                scalar += 1
            }
            let word = UnsafeRawBufferPointer(rebasing: text[start..<byte])
            if separatesWords {
                encodeParts(word, &scratch, into: &ids)
            } else {
                encode(word: word, &scratch, into: &ids)
            }
            start = byte
        }
        swap(&ends, &scratch.wordEnds)
    }

    private func encodeParts(_ line: UnsafeRawBufferPointer, _ scratch: inout EncodeScratch, into ids: inout [Int32]) {
        var start = 0
        while start < line.count {
            let end = line[start] == 0x0a ? line.count : SpaceMark.wordEnd(line, from: start)
            encode(word: UnsafeRawBufferPointer(rebasing: line[start..<end]), &scratch, into: &ids)
            start = end
        }
    }

    @inline(__always)
    private func encode(word: UnsafeRawBufferPointer, _ scratch: inout EncodeScratch, into ids: inout [Int32]) {
        let key = scratch.cache.key(word)
        if let key, scratch.cache.append(key, to: &ids) { return }
        let first = ids.count
        encode(newWord: word, &scratch, into: &ids)
        if let key { scratch.cache.insert(key, ids[first...]) }
    }

    private func encode(newWord word: UnsafeRawBufferPointer, _ scratch: inout EncodeScratch, into ids: inout [Int32]) {
        if preTokenizer.byteLevel {
            if preTokenizer.wholeWords, let id = wholeWord(word, &scratch) {
                ids.append(id)
                return
            }
            scratch.merger.symbols.removeAll(keepingCapacity: true)
            for (index, byte) in word.enumerated() {
                scratch.merger.symbols.append(Symbol(id: byteTokens[byte], start: Int32(index), length: 1))
            }
        } else {
            // Merges hold no line feeds; a run of them is a token or is spelled out.
            if word.first == 0x0a, let id = vocabulary.id(of: word), vocabulary.types[Int(id)].isMergeable {
                ids.append(id)
                return
            }
            appendCharacters(of: word, to: &scratch.merger.symbols)
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
    }

    private func wholeWord(_ word: UnsafeRawBufferPointer, _ scratch: inout EncodeScratch) -> Int32? {
        // Every byte of the word has one or two in the alphabet.
        guard word.count <= vocabulary.longestToken else { return nil }
        scratch.bytes.removeAll(keepingCapacity: true)
        ByteLevelAlphabet.encode(word, into: &scratch.bytes)
        guard let id = scratch.bytes.withUnsafeBytes({ vocabulary.id(of: $0) }),
            vocabulary.types[Int(id)].isMergeable
        else { return nil }
        return id
    }

    /// One symbol for each character, with its token if it has one.
    private func appendCharacters(of word: UnsafeRawBufferPointer, to symbols: inout [Symbol]) {
        symbols.removeAll(keepingCapacity: true)
        var start = 0
        while start < word.count {
            let length = min(utf8Length(lead: word[start]), word.count - start)
            let character = UnsafeRawBufferPointer(rebasing: word[start..<(start + length)])
            var id = vocabulary.id(of: character) ?? -1
            if id >= 0, !vocabulary.types[Int(id)].isMergeable { id = -1 }
            symbols.append(Symbol(id: id, start: Int32(start), length: Int32(length)))
            start += length
        }
    }
}

/// Bytes of the UTF-8 sequence that starts with `lead`.
@inline(__always)
func utf8Length(lead: UInt8) -> Int {
    lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
}
