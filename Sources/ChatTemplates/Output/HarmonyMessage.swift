/// A message in OpenAI's harmony format, in which gpt-oss writes: a header with a channel and perhaps a recipient, then
/// `<|message|>` and the text. (Format: "OpenAI harmony response format", github.com/openai/harmony.)
struct HarmonyMessage: Sendable {
    enum Kind: Equatable {
        case content
        case reasoning
        case call(name: String)
    }

    var kind: Kind
    /// Where the text starts.
    var start: Int
    /// How far the arguments of a call have been read.
    var scanned: Int
    var scanner = JSONScanner()

    init(kind: Kind, start: Int) {
        self.kind = kind
        self.start = start
        scanned = start
    }

    /// - Parameter header: everything from the end of the last message to `<|message|>`.
    init(header: String, start: Int) {
        func word(after mark: String) -> String? {
            let bytes = Array(header.utf8)
            guard let place = utf8Occurrences(of: Array(mark.utf8), in: bytes).last else { return nil }
            let rest = bytes[(place + mark.utf8.count)...].drop(while: CallReader.isWhitespace)
            let word = rest.prefix { !CallReader.isWhitespace($0) && $0 != UInt8(ascii: "<") }
            return word.isEmpty ? nil : String(decoding: word, as: UTF8.self)
        }
        let prefix = "functions."
        if let recipient = word(after: "to="), recipient != "user" {
            let isFunction = recipient.utf8.starts(with: prefix.utf8)
            self.init(
                kind: .call(
                    name: isFunction
                        ? String(decoding: recipient.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : recipient),
                start: start)
        } else {
            self.init(kind: word(after: "<|channel|>") == "analysis" ? .reasoning : .content, start: start)
        }
    }
}

extension OutputParser {
    private static let headerBeginnings = [
        "<|channel|>", "<|start|>", "<|constrain|>", "<|message|>", "<|end|>", "to=",
    ]
    private static let messageEnds = ["<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"]
    private static let maximumHeaderLength = 1024

    mutating func advanceHarmonyHeader(_ start: Int) -> Bool {
        var place = start
        while place < buffer.count, CallReader.isWhitespace(buffer[place]) { place += 1 }
        let rest = buffer[place...]
        let isHeader = Self.headerBeginnings.contains { mark in
            rest.prefix(mark.utf8.count).elementsEqual(mark.utf8.prefix(rest.count))
        }
        let limit = start + Self.maximumHeaderLength
        if isHeader {
            let found = firstMark([("<|message|>", .openSection)])
            if let found, let end = found.end, found.start <= limit {
                let header = String(decoding: buffer[start..<found.start], as: UTF8.self)
                enter(HarmonyMessage(header: header, start: end))
                return true
            }
            if found?.start ?? buffer.count <= limit { return false }
        }
        // Text without a header is content.
        position = start
        phase = .harmonyBody(HarmonyMessage(kind: .content, start: start))
        return true
    }

    private mutating func enter(_ message: HarmonyMessage) {
        var message = message
        if case .call = message.kind, schemas.isEmpty { message.kind = .content }
        position = message.start
        switch message.kind {
        case .reasoning: if !reasoning.isEmpty { append(.reasoning(reasoning.add([0x0A]))) }
        case .content: if !content.isEmpty { append(.content(content.add([0x0A]))) }
        case .call: break
        }
        phase = .harmonyBody(message)
    }

    mutating func advanceHarmonyBody(_ message: HarmonyMessage) -> Bool {
        if case .call(let name) = message.kind { return advanceHarmonyCall(message, name: name) }
        let found = firstMark(Self.messageEnds.map { ($0, .stray) })
        let end = found?.start ?? buffer.count
        if message.kind == .reasoning { emitReasoning(upTo: end) } else { emitContent(upTo: end) }
        guard let found, let markEnd = found.end else { return false }
        // These two belong to the next header.
        let startsHeader = ["<|start|>", "<|channel|>"].contains { buffer[found.start...].starts(with: $0.utf8) }
        position = startsHeader ? found.start : markEnd
        enterContent()
        phase = .harmonyHeader(start: position)
        return true
    }

    private mutating func advanceHarmonyCall(_ message: HarmonyMessage, name: String) -> Bool {
        var message = message
        while message.scanned < buffer.count {
            let progress = message.scanner.read(buffer[message.scanned])
            message.scanned += 1
            switch progress {
            case .needsMore: continue
            case .complete:
                let text = Array(buffer[message.start..<message.scanned])
                if let value = try? JSONValue(parsing: text), let arguments = try? ToolCall.arguments(value) {
                    addCalls([ToolCall(name: name, arguments: arguments)])
                    position = message.scanned
                } else {
                    refuse(name)
                }
            case .invalid: refuse(name)
            }
            phase = .harmonyBody(HarmonyMessage(kind: .content, start: position))
            return true
        }
        phase = .harmonyBody(message)
        return false
    }

    private mutating func refuse(_ name: String) {
        append(
            .diagnostic(
                OutputDiagnostic(
                    message: "malformed tool call: the arguments of '\(name)' are not a JSON object",
                    unfinishedCall: nil)))
    }

    mutating func finish(_ message: HarmonyMessage, isTruncated: Bool) {
        switch message.kind {
        case .content: emitContent(upTo: endOfText(isTruncated: isTruncated))
        case .reasoning: emitReasoning(upTo: endOfText(isTruncated: isTruncated))
        case .call: finishUnfinishedCall(from: message.start, isTruncated: isTruncated)
        }
    }
}
