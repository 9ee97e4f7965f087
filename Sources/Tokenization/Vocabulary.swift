import GGUF

/// What a token is for (`tokenizer.ggml.token_type`; names as in gguf-py `TokenType`).
package enum TokenType: UInt8, Sendable {
    case undefined = 0
    case normal = 1
    case unknown = 2
    /// Written by the chat template or by `addSpecial`, never by plain text: `<|im_start|>`, `<s>`.
    case control = 3
    /// Recognised wherever its text occurs, before anything else is split.
    case userDefined = 4
    case unused = 5
    /// Stands for one byte that no other token covers: `<0x0A>`.
    case byte = 6
}

/// The tokens of a file: their bytes as stored, types and scores, and the way back from bytes to id.
///
/// Tokens need not be UTF-8. Where two tokens have the same bytes the lower id is found. A token of length zero
/// (some files have them as filling) is never found.
struct Vocabulary: Sendable {
    let count: Int
    /// All tokens one after another; token `id` is `storage[offsets[id]..<offsets[id + 1]]`.
    private let storage: [UInt8]
    private let offsets: [UInt32]
    let types: [TokenType]
    /// Empty when the file has none.
    let scores: [Float]
    let longestToken: Int

    /// Open addressing: high half of the hash, low half id + 1; 0 is free.
    private let slots: [UInt64]
    private let seed: UInt64

    init(_ metadata: GGUFMetadata) throws(TokenizerError) {
        let tokens = try stringArray(metadata, Key.tokens)
        guard let tokens else { throw .metadata(.missingKey(Key.tokens)) }
        guard tokens.count > 0 else { throw .emptyVocabulary }
        guard tokens.count < Int(Int32.max) else {
            throw .tooManyTokens(found: tokens.count, limit: Int(Int32.max) - 1)
        }
        count = tokens.count

        var storage: [UInt8] = []
        var offsets: [UInt32] = []
        var longest = 0
        var total = 0
        for id in 0..<tokens.count { total += tokens.stringBytes(at: id).count }
        guard total < Int(UInt32.max) else { throw .tooManyTokens(found: tokens.count, limit: Int(Int32.max) - 1) }
        storage.reserveCapacity(total)
        offsets.reserveCapacity(tokens.count + 1)
        for id in 0..<tokens.count {
            let bytes = tokens.stringBytes(at: id)
            offsets.append(UInt32(storage.count))
            storage.append(contentsOf: bytes)
            longest = max(longest, bytes.count)
        }
        offsets.append(UInt32(storage.count))
        self.storage = storage
        self.offsets = offsets
        longestToken = longest

        types = try Self.types(metadata, count: tokens.count)
        scores = try Self.scores(metadata, count: tokens.count)

        let seed = ByteHash.seed
        self.seed = seed
        var slots = [UInt64](repeating: 0, count: tableCapacity(tokens.count))
        storage.withUnsafeBytes { storage in
            slots.withUnsafeMutableBufferPointer { slots in
                let mask = slots.count - 1
                for id in 0..<tokens.count {
                    let range = Int(offsets[id])..<Int(offsets[id + 1])
                    guard !range.isEmpty else { continue }
                    let bytes = UnsafeRawBufferPointer(rebasing: storage[range])
                    let hash = ByteHash.hash(bytes, seed: seed)
                    var slot = Int(truncatingIfNeeded: hash) & mask
                    probing: while slots[slot] != 0 {
                        if slots[slot] >> 32 == hash >> 32 {
                            let other = Int(slots[slot] & 0xffff_ffff) - 1
                            let range = Int(offsets[other])..<Int(offsets[other + 1])
                            if equal(UnsafeRawBufferPointer(rebasing: storage[range]), bytes) { break probing }
                        }
                        slot = (slot + 1) & mask
                    }
                    if slots[slot] == 0 { slots[slot] = (hash >> 32) << 32 | UInt64(id + 1) }
                }
            }
        }
        self.slots = slots
    }

    private static func types(_ metadata: GGUFMetadata, count: Int) throws(TokenizerError) -> [TokenType] {
        let key = Key.tokenTypes
        let numbers: [Int]?
        do { numbers = try metadata.optionalInts(key) } catch { throw .metadata(error) }
        guard let numbers else { return [TokenType](repeating: .normal, count: count) }
        guard numbers.count >= count else { throw .arrayLength(key: key, found: numbers.count, expected: count) }
        return numbers.prefix(count).map { UInt8(exactly: $0).flatMap { TokenType(rawValue: $0) } ?? .undefined }
    }

    private static func scores(_ metadata: GGUFMetadata, count: Int) throws(TokenizerError) -> [Float] {
        let key = Key.scores
        let scores: [Float]
        do {
            if let array = try metadata.optionalArray(key), let numbers = array.ints() {
                scores = numbers.map { Float($0) }
            } else {
                scores = try metadata.optionalFloats(key) ?? []
            }
        } catch { throw .metadata(error) }
        guard scores.isEmpty || scores.count >= count else {
            throw .arrayLength(key: key, found: scores.count, expected: count)
        }
        return scores
    }

    /// The bytes of a token as stored. `id` must be in `0..<count`.
    @inline(__always)
    func withBytes<Result>(of id: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        storage.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[Int(offsets[id])..<Int(offsets[id + 1])]))
        }
    }

    /// The bytes of a token as stored. `id` must be in `0..<count`.
    func bytes(of id: Int) -> ArraySlice<UInt8> { storage[Int(offsets[id])..<Int(offsets[id + 1])] }

    /// The token with exactly these bytes.
    @inline(__always)
    func id(of bytes: UnsafeRawBufferPointer) -> Int32? {
        guard bytes.count <= longestToken else { return nil }
        let hash = ByteHash.hash(bytes, seed: seed)
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if slots[slot] >> 32 == hash >> 32 {
                let id = Int(slots[slot] & 0xffff_ffff) - 1
                if withBytes(of: id, { equal($0, bytes) }) { return Int32(id) }
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    func id(of bytes: some Collection<UInt8>) -> Int32? { Array(bytes).withUnsafeBytes { id(of: $0) } }
    func id(of text: String) -> Int32? { id(of: Array(text.utf8)) }

    /// The byte a token of type `byte` stands for: `<0x0A>` is 10. Nil when the token is not written so.
    func byteValue(of id: Int) -> UInt8? {
        let text = Array(bytes(of: id))
        guard text.count == 6, text[0...2].elementsEqual("<0x".utf8), text[5] == UInt8(ascii: ">"),
            let high = hexDigit(text[3]), let low = hexDigit(text[4])
        else { return nil }
        return high << 4 | low
    }
}

/// Whether the same bytes.
@inline(__always)
func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    for index in 0..<left.count where left[index] != right[index] { return false }
    return true
}

private func hexDigit(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    default: nil
    }
}

/// An array of strings, nil when the key is missing.
func stringArray(_ metadata: GGUFMetadata, _ key: String) throws(TokenizerError) -> GGUFArray? {
    guard let value = metadata[key] else { return nil }
    guard let array = value.array, array.elementType == .string else {
        throw .metadata(.wrongType(key: key, found: value.typeDescription, expected: "array of string"))
    }
    return array
}
