package import GGUF
import Synchronization

/// The vocabulary of a model file: text to token ids and back.
///
/// The ids are those of the model's original tokenizer, its Unicode normalisation included. One object serves any
/// number of threads.
package final class Tokenizer: Sendable {
    package var vocabularySize: Int { vocabulary.count }
    /// `tokenizer.ggml.model`: gpt2, gemma4, llama, t5 or bert.
    package var model: String { options.model.rawValue }

    private let options: TokenizerOptions
    private let vocabulary: Vocabulary
    private let special: SpecialTokens
    private let encoder: any FragmentEncoder
    /// The tokens that are found in any text, and those that are found where special tokens are parsed.
    private let userDefinedTokens: ByteTrie
    private let specialTokens: ByteTrie
    /// Special tokens that swallow the white space behind them.
    private let stripsRight: Set<Int32>
    private let scratches = Mutex<[EncodeScratch]>([])

    /// - Throws: What is wrong with the vocabulary. One that is accepted can encode and decode anything.
    package init(_ metadata: GGUFMetadata) throws(TokenizerError) {
        options = try TokenizerOptions(metadata)
        vocabulary = try Vocabulary(metadata)
        special = try SpecialTokens(metadata, vocabulary, model: options.model)
        encoder = try options.encoder(metadata, vocabulary, unknown: special.unknown)

        var userDefined = ByteTrie()
        var all = ByteTrie()
        for (id, type) in vocabulary.types.enumerated()
        where type == .userDefined || type == .control || type == .unknown {
            all.insert(vocabulary.bytes(of: id), value: Int32(id))
            if type == .userDefined { userDefined.insert(vocabulary.bytes(of: id), value: Int32(id)) }
        }
        userDefinedTokens = userDefined
        specialTokens = all
        stripsRight = Self.tokensStrippingRight(metadata, vocabulary)
    }

    // MARK: Special tokens

    package var bos: Int32? { special.bos }
    package var eos: Int32? { special.eos }
    /// End of turn.
    package var eot: Int32? { special.eot }
    /// End of message: the model waits for a tool.
    package var eom: Int32? { special.eom }
    package var unknown: Int32? { special.unknown }
    package var separator: Int32? { special.separator }
    package var padding: Int32? { special.padding }
    package var mask: Int32? { special.mask }
    /// Tokens after which a model has nothing more to say.
    package var endOfGeneration: Set<Int32> { special.endOfGeneration }

    /// Whether `encode(addSpecial: true)` puts `bos` in front.
    package var addBOS: Bool { options.addBOS && bos != nil }
    /// Whether `encode(addSpecial: true)` puts `eos` at the end.
    package var addEOS: Bool { options.addEOS && eos != nil }
    /// Whether `encode(addSpecial: true)` puts `separator` at the end.
    package var addSeparator: Bool { options.addSeparator && separator != nil }
    /// Whether encoding puts a space before the first word. `decode` takes it away again.
    package var addsSpacePrefix: Bool { options.addsSpacePrefix || options.model == .bert }

    /// Whether every punctuation mark is stored as a word of its own, so that decoding has to join it to the one before.
    var joinsPunctuation: Bool { options.model == .bert }

    // MARK: Tokens

    /// What a token is for; nil when the vocabulary has no such id.
    package func type(of id: Int32) -> TokenType? { isToken(id) ? vocabulary.types[Int(id)] : nil }

    /// Whether the token is written by templates only, and invisible to a reader.
    package func isControl(_ id: Int32) -> Bool {
        switch type(of: id) {
        case .control, .unknown: true
        default: false
        }
    }

    /// The token as stored: spaces may be `Ġ` or `▁`. Empty for an id that is not in the vocabulary.
    package func text(of id: Int32) -> String {
        isToken(id) ? String(decoding: vocabulary.bytes(of: Int(id)), as: UTF8.self) : ""
    }

    /// The token stored with exactly this text.
    package func id(of tokenText: String) -> Int32? { vocabulary.id(of: tokenText) }

    /// What the token adds to a text; not necessarily whole characters.
    ///
    /// - Parameter renderSpecial: Whether control tokens show their text. Otherwise they are empty.
    /// - Returns: Nothing for an id that is not in the vocabulary.
    package func bytes(of id: Int32, renderSpecial: Bool) -> [UInt8] {
        guard isToken(id) else { return [] }
        let stored = vocabulary.bytes(of: Int(id))
        switch vocabulary.types[Int(id)] {
        case .control, .unknown: return renderSpecial ? Array(stored) : []
        case .userDefined: return Array(stored)
        case .byte:
            if let value = vocabulary.byteValue(of: Int(id)) { return [value] }
        case .normal, .unused, .undefined: break
        }
        return options.preTokenizer?.byteLevel == true
            ? ByteLevelAlphabet.decode(stored) : SpaceMark.unescaped(stored)
    }

    private func isToken(_ id: Int32) -> Bool { id >= 0 && Int(id) < vocabulary.count }

    // MARK: Text to ids

    /// - Parameters:
    ///   - addSpecial: Adds BOS, EOS and separator as the file wants them.
    ///   - parseSpecial: Turns control tokens that are written out in the text into their ids. Otherwise they are
    ///     plain text, which is what a user's words need. User-defined tokens are found in either case.
    ///   - seams: offsets in the text's UTF-8, in rising order, that no control or user-defined token reaches over: text
    ///     around them only looks like one. Plain tokens take no notice.
    package func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool, seams: [Int] = []) -> [Int32] {
        var ids: [Int32] = []
        if addSpecial, addBOS, let bos { ids.append(bos) }
        var scratch = scratches.withLock { $0.popLast() } ?? EncodeScratch()
        var text = text
        text.withUTF8 {
            encode(
                UnsafeRawBufferPointer($0), parseSpecial ? specialTokens : userDefinedTokens, seams, &scratch,
                into: &ids)
        }
        scratch.trim()
        scratches.withLock { if $0.count < 4 { $0.append(scratch) } }
        if addSpecial, addEOS, let eos { ids.append(eos) }
        if addSpecial, addSeparator, let separator { ids.append(separator) }
        return ids
    }

    private func encode(
        _ text: UnsafeRawBufferPointer, _ special: ByteTrie, _ seams: [Int], _ scratch: inout EncodeScratch,
        into ids: inout [Int32]
    ) {
        var pending = 0
        var index = 0
        var nextSeam = 0
        var afterSpecial = true
        func encodePending(upTo end: Int) {
            while pending < end {
                let stop = Self.partEnd(text, from: pending, to: end)
                let part = UnsafeRawBufferPointer(rebasing: text[pending..<stop])
                encoder.encode(part, afterSpecial: afterSpecial, &scratch, into: &ids)
                afterSpecial = false
                pending = stop
            }
        }
        while index < text.count, !special.isEmpty {
            while nextSeam < seams.count, seams[nextSeam] <= index { nextSeam += 1 }
            let limit = nextSeam < seams.count ? min(seams[nextSeam], text.count) : text.count
            guard let match = special.longestMatch(in: text, at: index, upTo: limit) else {
                index += 1
                continue
            }
            encodePending(upTo: index)
            ids.append(match.value)
            index += match.length
            if stripsRight.contains(match.value) { index = Self.skipSpace(text, from: index) }
            pending = index
            afterSpecial = true
        }
        encodePending(upTo: text.count)
    }

    /// Positions within a part have 32 bits, after a growth of up to three: longer text is cut, between characters.
    private static func partEnd(_ text: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int {
        guard end - start > 1 << 28 else { return end }
        var stop = start + (1 << 28)
        while stop > start + 4, text[stop] & 0xc0 == 0x80 { stop -= 1 }
        return stop
    }

    private static func skipSpace(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < text.count {
            let width = min(utf8Length(lead: text[index]), text.count - index)
            let character = String(decoding: text[index..<(index + width)], as: UTF8.self)
            guard character.unicodeScalars.allSatisfy({ $0.properties.isWhitespace }) else { break }
            index += width
        }
        return index
    }

    /// Files cannot say it: Phi-3's special tokens, but for three, strip the white space behind them
    /// (`tokenizer_config.json` of the model, `rstrip`).
    private static func tokensStrippingRight(_ metadata: GGUFMetadata, _ vocabulary: Vocabulary) -> Set<Int32> {
        let name = metadata["general.name"]?.stringValue?.lowercased() ?? ""
        guard name.contains("phi-3") || name.contains("phi3") else { return [] }
        let exceptions = ["<unk>", "<s>", "<|endoftext|>"].compactMap { vocabulary.id(of: $0) }
        let special = vocabulary.types.indices.filter {
            switch vocabulary.types[$0] {
            case .control, .userDefined, .unknown: true
            default: false
            }
        }
        return Set(special.map { Int32($0) }).subtracting(exceptions)
    }

    // MARK: Ids to text

    /// The text of whole sequences: a space that encoding put in front is taken away. Bytes that are not UTF-8 become
    /// U+FFFD. For text that is continued piece by piece see `StreamingDecoder`.
    package func decode(_ ids: some Sequence<Int32>, renderSpecial: Bool) -> String {
        var decoder = StreamingDecoder(self, renderSpecial: renderSpecial, atStart: true)
        var text = ""
        for id in ids { text += decoder.append(id) }
        return text + decoder.finish()
    }
}
