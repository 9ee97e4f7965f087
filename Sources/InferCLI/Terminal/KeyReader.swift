import Foundation

/// Turns the bytes that a terminal sends into keys.
package struct KeyReader {
    package enum Key: Equatable {
        case text(String)
        case enter, interrupt, end, closed, previous, following, suspend, clearScreen, unknown
        case edit(EditedLine.Edit)
    }

    private let nextByte: () -> UInt8?

    /// - Parameter nextByte: waits for a byte; nil when there will be no more.
    package init(nextByte: @escaping () -> UInt8? = KeyReader.standardInput) { self.nextByte = nextByte }

    package func next() -> Key {
        guard let byte = nextByte() else { return .closed }
        switch byte {
        case 0x0D, 0x0A: return .enter
        case 0x01: return .edit(.home)
        case 0x02: return .edit(.left)
        case 0x03: return .interrupt
        case 0x04: return .end
        case 0x05: return .edit(.end)
        case 0x06: return .edit(.right)
        case 0x08, 0x7F: return .edit(.deleteBackward)
        case 0x09: return .text("\t")
        case 0x0B: return .edit(.deleteToEnd)
        case 0x0C: return .clearScreen
        case 0x0E: return .following
        case 0x10: return .previous
        case 0x15: return .edit(.deleteToStart)
        case 0x17: return .edit(.deleteWord)
        case 0x1A: return .suspend
        case 0x1B: return escapeSequence()
        case 0x00...0x1F: return .unknown
        default: return character(first: byte)
        }
    }

    /// ESC [ … or ESC O …, as in xterm's "Control Sequences" document.
    private func escapeSequence() -> Key {
        guard let kind = nextByte() else { return .closed }
        guard kind == UInt8(ascii: "[") || kind == UInt8(ascii: "O") else { return .unknown }
        var parameters = ""
        while let byte = nextByte() {
            guard (0x40...0x7E).contains(byte) else {
                parameters.unicodeScalars.append(Unicode.Scalar(byte))
                guard parameters.utf8.count < 16 else { return .unknown }
                continue
            }
            switch (UInt8(byte), parameters) {
            case (UInt8(ascii: "A"), _): return .previous
            case (UInt8(ascii: "B"), _): return .following
            case (UInt8(ascii: "C"), _): return .edit(.right)
            case (UInt8(ascii: "D"), _): return .edit(.left)
            case (UInt8(ascii: "H"), _), (UInt8(ascii: "~"), "1"), (UInt8(ascii: "~"), "7"): return .edit(.home)
            case (UInt8(ascii: "F"), _), (UInt8(ascii: "~"), "4"), (UInt8(ascii: "~"), "8"): return .edit(.end)
            case (UInt8(ascii: "~"), "3"): return .edit(.deleteForward)
            case (UInt8(ascii: "~"), "200"): return pasted()
            default: return .unknown
            }
        }
        return .closed
    }

    /// Everything up to ESC [ 201 ~ is text, line breaks included.
    private func pasted() -> Key {
        let end = Array("\u{1b}[201~".utf8)
        var bytes: [UInt8] = []
        while !bytes.suffix(end.count).elementsEqual(end) {
            guard let byte = nextByte() else { return .closed }
            bytes.append(byte == 0x0D ? 0x0A : byte)
        }
        return .text(String(decoding: bytes.dropLast(end.count), as: UTF8.self))
    }

    private func character(first: UInt8) -> Key {
        let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        var bytes = [first]
        while bytes.count < length {
            guard let byte = nextByte() else { return .closed }
            bytes.append(byte)
        }
        return .text(String(decoding: bytes, as: UTF8.self))
    }

    package static func standardInput() -> UInt8? {
        var byte: UInt8 = 0
        while true {
            let count = read(STDIN_FILENO, &byte, 1)
            if count == 1 { return byte }
            if count < 0, errno == EINTR { continue }
            return nil
        }
    }
}
