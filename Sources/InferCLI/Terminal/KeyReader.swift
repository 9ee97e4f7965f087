import Foundation

/// Turns the bytes that a terminal sends into keys.
package struct KeyReader {
    package enum Key: Equatable {
        case text(String)
        case enter, interrupt, end, closed, previous, following, suspend, clearScreen, unknown
        case edit(EditedLine.Edit)
    }

    private let source: () -> UInt8?
    private let isNear: () -> Bool
    /// A byte that was looked at and belongs to the next key.
    private var waiting: UInt8?

    /// - Parameters:
    ///   - nextByte: waits for a byte; nil when there will be no more.
    ///   - isNear: whether a byte comes so soon that the terminal sent it with the one before, and no finger did.
    package init(
        nextByte: @escaping () -> UInt8? = KeyReader.standardInput,
        isNear: @escaping () -> Bool = KeyReader.standardInputIsNear
    ) {
        source = nextByte
        self.isNear = isNear
    }

    private mutating func nextByte() -> UInt8? {
        defer { waiting = nil }
        return waiting ?? source()
    }

    package mutating func next() -> Key {
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
    private mutating func escapeSequence() -> Key {
        // The key Escape sends its byte alone, and means nothing here.
        guard isNear() else { return .unknown }
        guard let kind = nextByte() else { return .closed }
        guard kind == UInt8(ascii: "[") || kind == UInt8(ascii: "O") else {
            // Escape before the sequence of another key; with anything else it is that key with Alt.
            if kind == 0x1B { waiting = kind }
            return .unknown
        }
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
    private mutating func pasted() -> Key {
        let end = Array("\u{1b}[201~".utf8)
        var bytes: [UInt8] = []
        while !bytes.suffix(end.count).elementsEqual(end) {
            guard let byte = nextByte() else { return .closed }
            bytes.append(byte == 0x0D ? 0x0A : byte)
        }
        return .text(String(decoding: bytes.dropLast(end.count), as: UTF8.self))
    }

    /// A terminal that is not set to UTF-8 sends bytes that begin no character, or one that is never completed: each is
    /// one unknown character, and what comes behind it is a key of its own.
    private mutating func character(first: UInt8) -> Key {
        let length =
            switch first {
            case ..<0x80: 1
            case 0xC2...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF4: 4
            default: 0
            }
        guard length > 0 else { return .text("\u{FFFD}") }
        var bytes = [first]
        while bytes.count < length {
            guard isNear() else { return .text("\u{FFFD}") }
            guard let byte = nextByte() else { return .closed }
            guard 0x80...0xBF ~= byte else {
                waiting = byte
                return .text("\u{FFFD}")
            }
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
    package static func standardInputIsNear() -> Bool {
        // Slow lines deliver the bytes of one key in pieces; no finger is as quick.
        var request = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        var ready = poll(&request, 1, 50)
        while ready < 0, errno == EINTR { ready = poll(&request, 1, 50) }
        return ready > 0
    }
}
