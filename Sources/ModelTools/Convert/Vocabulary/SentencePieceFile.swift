/// `tokenizer.model`: a vocabulary of the SentencePiece library, a protocol buffer (`sentencepiece_model.proto`).
struct SentencePieceFile {
    struct Piece {
        var text = ""
        var score: Float = 0
        /// The library's numbers are those of `tokenizer.ggml.token_type`.
        var type: Int32 = 1
    }

    private(set) var pieces: [Piece] = []
    /// Byte pairs by score; otherwise unigram.
    private(set) var isBytePair = false
    private(set) var addsSpacePrefix = true
    private(set) var removesExtraSpaces = true
    private(set) var characterMap: [UInt8] = []

    private enum Model { static let unigram: UInt64 = 1, bytePair: UInt64 = 2 }

    /// - Throws: `ConvertError.tokenizer`.
    init(_ bytes: [UInt8], path: String) throws(ConvertError) {
        var model = Model.unigram
        var reader = ProtocolBuffer(bytes[...], path: path)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let message)): pieces.append(try Self.piece(message, path))
            case (2, .bytes(let message)):
                var trainer = ProtocolBuffer(message, path: path)
                while let field = try trainer.next() {
                    if field.number == 3, case .number(let value) = field.value { model = value }
                }
            case (3, .bytes(let message)): try readNormalizer(message, path)
            default: break
            }
        }
        guard model == Model.unigram || model == Model.bytePair else {
            throw .tokenizer(
                path: path, field: "model_type", found: "\(model)", expected: "1 (unigram) or 2 (byte pairs)")
        }
        guard !pieces.isEmpty else {
            throw .tokenizer(path: path, field: "the vocabulary", found: "empty", expected: "pieces")
        }
        isBytePair = model == Model.bytePair
    }

    private static func piece(_ message: ArraySlice<UInt8>, _ path: String) throws(ConvertError) -> Piece {
        var piece = Piece()
        var reader = ProtocolBuffer(message, path: path)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let text)): piece.text = String(decoding: text, as: UTF8.self)
            case (2, .word(let bits)): piece.score = Float(bitPattern: bits)
            case (3, .number(let type)):
                guard 1...6 ~= type else {
                    throw .tokenizer(path: path, field: "a piece's type", found: "\(type)", expected: "1 to 6")
                }
                piece.type = Int32(type)
            default: break
            }
        }
        guard piece.score.isFinite else {
            throw .tokenizer(path: path, field: "a piece's score", found: "\(piece.score)", expected: "a number")
        }
        return piece
    }

    private mutating func readNormalizer(_ message: ArraySlice<UInt8>, _ path: String) throws(ConvertError) {
        var reader = ProtocolBuffer(message, path: path)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (2, .bytes(let map)): characterMap = Array(map)
            case (3, .number(let flag)): addsSpacePrefix = flag != 0
            case (4, .number(let flag)): removesExtraSpaces = flag != 0
            default: break
            }
        }
    }
}

/// The fields of one message, in order (Protocol Buffers encoding).
private struct ProtocolBuffer {
    enum Value {
        case number(UInt64)
        case word(UInt32)
        case long(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    private var rest: ArraySlice<UInt8>
    private let path: String

    init(_ bytes: ArraySlice<UInt8>, path: String) {
        rest = bytes
        self.path = path
    }

    /// - Returns: nil at the end.
    mutating func next() throws(ConvertError) -> (number: UInt64, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let key = try number()
        let value: Value
        switch key & 7 {
        case 0: value = .number(try number())
        case 1: value = .long(try fixed(8))
        case 2:
            let length = try number()
            guard length <= UInt64(rest.count) else { throw fault("a field of \(length) bytes") }
            value = .bytes(rest.prefix(Int(length)))
            rest = rest.dropFirst(Int(length))
        case 5: value = .word(UInt32(truncatingIfNeeded: try fixed(4)))
        default: throw fault("a field of type \(key & 7)")
        }
        return (key >> 3, value)
    }

    private mutating func number() throws(ConvertError) -> UInt64 {
        var result: UInt64 = 0
        for place in 0..<10 {
            guard let byte = rest.popFirst() else { throw fault("cut off") }
            result |= UInt64(byte & 0x7f) << UInt64(7 * place)
            if byte & 0x80 == 0 { return result }
        }
        throw fault("a number of more than 64 bits")
    }

    private mutating func fixed(_ count: Int) throws(ConvertError) -> UInt64 {
        guard rest.count >= count else { throw fault("cut off") }
        let result = rest.prefix(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(count)
        return result
    }

    private func fault(_ found: String) -> ConvertError {
        .tokenizer(path: path, field: "the file", found: found, expected: "a SentencePiece model")
    }
}
