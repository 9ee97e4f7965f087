/// Follows JSON text byte by byte and tells where a value ends or stops being JSON, without building anything.
struct JSONScanner {
    enum Progress {
        case needsMore
        /// The byte just read was the last of the value.
        case complete
        case invalid
    }

    private enum Expectation {
        case value
        case valueOrClose
        case key
        case keyOrClose
        case colon
        case commaOrClose
        case string(isKey: Bool)
        case escape(isKey: Bool)
        case hexadecimal(Int, isKey: Bool)
        /// Letters of `true`, `false`, `null` or the characters of a number.
        case word
    }

    private static let maximumDepth = 256

    private var expectation = Expectation.value
    /// The closing bracket of each open array or object.
    private var open: [UInt8] = []
    private var word: [UInt8] = []

    /// Only objects and arrays end by themselves; the value must be one of them.
    mutating func read(_ byte: UInt8) -> Progress {
        switch expectation {
        case .string(let isKey): return readString(byte, isKey: isKey)
        case .escape(let isKey):
            if byte == UInt8(ascii: "u") {
                expectation = .hexadecimal(4, isKey: isKey)
                return .needsMore
            }
            expectation = .string(isKey: isKey)
            return "\"\\/bfnrt".utf8.contains(byte) ? .needsMore : .invalid
        case .hexadecimal(let count, let isKey):
            expectation = count == 1 ? .string(isKey: isKey) : .hexadecimal(count - 1, isKey: isKey)
            return Unicode.Scalar(byte).hexadecimalValue == nil ? .invalid : .needsMore
        case .word: return readWord(byte)
        default: return readStructure(byte)
        }
    }

    private mutating func readString(_ byte: UInt8, isKey: Bool) -> Progress {
        switch byte {
        case UInt8(ascii: "\""): expectation = isKey ? .colon : .commaOrClose
        case UInt8(ascii: "\\"): expectation = .escape(isKey: isKey)
        case 0..<0x20: return .invalid
        default: break
        }
        return .needsMore
    }

    private mutating func readWord(_ byte: UInt8) -> Progress {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), 0x20, 0x0A, 0x0D, 0x09:
            // Short, so that parsing it as JSON is the simplest check.
            guard (try? JSONValue(parsing: word)) != nil else { return .invalid }
            expectation = .commaOrClose
            return readStructure(byte)
        default:
            word.append(byte)
            return word.count <= 400 && byte > 0x20 && byte < 0x7F ? .needsMore : .invalid
        }
    }

    private mutating func readStructure(_ byte: UInt8) -> Progress {
        if byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { return .needsMore }
        switch (expectation, byte) {
        case (.value, UInt8(ascii: "{")), (.valueOrClose, UInt8(ascii: "{")):
            open.append(UInt8(ascii: "}"))
            expectation = .keyOrClose
        case (.value, UInt8(ascii: "[")), (.valueOrClose, UInt8(ascii: "[")):
            open.append(UInt8(ascii: "]"))
            expectation = .valueOrClose
        case (.valueOrClose, UInt8(ascii: "]")), (.keyOrClose, UInt8(ascii: "}")): return close(byte)
        case (.commaOrClose, UInt8(ascii: "]")), (.commaOrClose, UInt8(ascii: "}")): return close(byte)
        case (.commaOrClose, UInt8(ascii: ",")):
            expectation = open.last == UInt8(ascii: "}") ? .key : .value
        case (.key, UInt8(ascii: "\"")), (.keyOrClose, UInt8(ascii: "\"")): expectation = .string(isKey: true)
        case (.colon, UInt8(ascii: ":")): expectation = .value
        case (.value, _) where !open.isEmpty, (.valueOrClose, _) where !open.isEmpty:
            if byte == UInt8(ascii: "\"") {
                expectation = .string(isKey: false)
            } else {
                guard "-0123456789tfn".utf8.contains(byte) else { return .invalid }
                word = [byte]
                expectation = .word
            }
        default: return .invalid
        }
        return open.count <= Self.maximumDepth ? .needsMore : .invalid
    }

    private mutating func close(_ byte: UInt8) -> Progress {
        guard open.popLast() == byte else { return .invalid }
        expectation = .commaOrClose
        return open.isEmpty ? .complete : .needsMore
    }
}
