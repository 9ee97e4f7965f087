/// A call that is still being written, as far as it is certain.
package struct OpenCall: Sendable, Equatable {
    package var id: String?
    package var name: String
    /// A beginning of the arguments as ``JSONValue/text(_:)`` will write them.
    package var arguments: String
}

extension OutputParser {
    /// The call that is being read, once its name is known; nil where the notation tells nothing before the end.
    ///
    /// Only for calls that are held to their form: others may still turn out to be none.
    package var openCall: OpenCall? {
        switch phase {
        case .calls(let reader): return reader.openCall(buffer)
        case .harmonyBody(let message):
            guard case .call(let name) = message.kind else { return nil }
            return OpenCall(name: name, arguments: JSONBeginning.text(of: buffer[message.start..<message.scanned]))
        case .content, .reasoning, .heldReasoning, .harmonyHeader: return nil
        }
    }
}

extension CallReader {
    /// See ``OutputParser/openCall``.
    func openCall(_ buffer: [UInt8]) -> OpenCall? {
        guard !isBare else { return nil }
        switch stage {
        case .json:
            let isBegun = argumentsStart >= markEnd
            let text = buffer[(isBegun ? argumentsStart : cursor)..<cursor]
            if calls.arguments == .callObjects { return Self.openObject(text) }
            return OpenCall(id: id, name: name, arguments: JSONBeginning.text(of: text))
        case .tags, .tagKey, .tagFlag, .tagValueOpen, .tagValue:
            return OpenCall(id: id, name: name, arguments: openTags(buffer))
        default: return nil
        }
    }

    /// Arguments that stand between tags: those that are complete, and what there is of a text.
    private func openTags(_ buffer: [UInt8]) -> String {
        var text = JSONValue.object(arguments).text()
        text.removeLast()
        guard case .tagged(let tags) = calls.arguments, case .tagValue(let open) = stage,
            arguments[open.key] == nil, open.isText
        else { return text }
        var value = buffer[open.start..<open.certainEnd(cursor)]
        if tags.trimsNewlines, value.first == 0x0A { value.removeFirst() }
        // It may be the last, which does not count.
        if value.last == 0x0A { value.removeLast() }
        value.removeLast(TextChannel.incompleteLength(value))
        let written = JSONValue.string(String(decoding: value, as: UTF8.self)).text().dropLast()
        return text + (arguments.isEmpty ? "" : ",") + JSONValue.string(open.key).text() + ":" + written
    }

    /// A call that is one object, `{"name": …, "arguments": {…}}`, where the name comes first.
    private static func openObject(_ text: ArraySlice<UInt8>) -> OpenCall? {
        var rest = text
        func skip(_ mark: String) -> Bool {
            rest = rest.drop(while: isWhitespace)
            guard rest.starts(with: mark.utf8) else { return false }
            rest = rest.dropFirst(mark.utf8.count)
            return true
        }
        guard skip("{"), skip("\"name\""), skip(":"), skip("\"") else { return nil }
        guard let end = rest.firstIndex(of: UInt8(ascii: "\"")), !rest[..<end].contains(UInt8(ascii: "\\")) else {
            return nil
        }
        let name = String(decoding: rest[..<end], as: UTF8.self)
        rest = rest[(end + 1)...]
        guard skip(","), skip("\"arguments\"") || skip("\"parameters\""), skip(":"), skip("{") else { return nil }
        let start = rest.startIndex - 1
        var scanner = JSONScanner()
        var place = start
        while place < text.endIndex {
            let progress = scanner.read(text[place])
            place += 1
            if case .complete = progress { break }
        }
        return OpenCall(name: name, arguments: JSONBeginning.text(of: text[start..<place]))
    }
}

/// The beginning of a JSON value, written anew.
enum JSONBeginning {
    /// - Parameter bytes: the beginning of valid JSON text.
    /// - Returns: the longest beginning of the value's compact text that no further byte can change.
    static func text(of bytes: ArraySlice<UInt8>) -> String {
        var output: [UInt8] = []
        var place = bytes.startIndex
        while place < bytes.endIndex {
            let byte = bytes[place]
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D: place += 1
            case UInt8(ascii: "\""):
                let end = stringEnd(bytes, from: place)
                output += string(bytes[place..<(end ?? bytes.endIndex)], isWhole: end != nil)
                guard let end else { return String(decoding: output, as: UTF8.self) }
                place = end
            case _ where "{}[],:".utf8.contains(byte):
                output.append(byte)
                place += 1
            default:
                let end = bytes[place...].firstIndex { "{}[],: \n\r\t\"".utf8.contains($0) }
                // A number may go on.
                guard let end, let value = try? JSONValue(parsing: Array(bytes[place..<end])) else {
                    return String(decoding: output, as: UTF8.self)
                }
                output += value.utf8()
                place = end
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The place behind the closing quote.
    private static func stringEnd(_ bytes: ArraySlice<UInt8>, from start: Int) -> Int? {
        var place = start + 1
        while place < bytes.endIndex {
            switch bytes[place] {
            case UInt8(ascii: "\\"): place += 2
            case UInt8(ascii: "\""): return place + 1
            default: place += 1
            }
        }
        return nil
    }

    /// - Parameter bytes: from the opening quote on.
    private static func string(_ bytes: ArraySlice<UInt8>, isWhole: Bool) -> [UInt8] {
        if isWhole { return (try? JSONValue(parsing: Array(bytes)))?.utf8() ?? Array(bytes) }
        var rest = Array(bytes)
        // What the next bytes may make part of one character is left away: an escape, half of a pair of escapes.
        while true {
            if let value = try? JSONValue(parsing: rest + [UInt8(ascii: "\"")]), let text = value.stringValue,
                !endsInHalfAPair(rest), text.unicodeScalars.last != "\u{FFFD}"
            {
                return value.utf8().dropLast()
            }
            guard rest.count > 1, bytes.count - rest.count < 12 else { return [UInt8(ascii: "\"")] }
            rest.removeLast()
        }
    }

    /// Whether the text ends in an escape for the first half of a surrogate pair.
    private static func endsInHalfAPair(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 6, bytes[bytes.count - 6] == UInt8(ascii: "\\") else { return false }
        let tail = String(decoding: bytes.suffix(5), as: UTF8.self)
        guard tail.first == "u", let unit = UInt16(tail.dropFirst(), radix: 16) else { return false }
        return 0xD800..<0xDC00 ~= unit
    }
}
