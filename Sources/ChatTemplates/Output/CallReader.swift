/// Reads one region of calls from a growing buffer: a section with its calls, or a single call. It goes on where it
/// stopped when more text comes, so reading is linear however the text is cut.
struct CallReader {
    enum Outcome: Equatable {
        case needsMore
        /// The region is over; what follows is other text.
        case finished(at: Int)
        /// Text from `start` on is not a call. `markEnd` is where the mark that promised one ends.
        case malformed(start: Int, markEnd: Int, message: String)
    }

    /// What is to be read next.
    enum Stage {
        /// Before a call in a section, or after the last.
        case betweenCalls
        case namePrefix
        case name
        case nameEnd
        case id
        case idEnd
        case json(JSONScanner)
        case gemma(GemmaArguments.Scanner)
        case python(PythonCalls.Scanner)
        case tags
        case tagKey(start: Int)
        case tagFlag(start: Int, key: String)
        case tagValueOpen(key: String)
        case tagValue(OpenValue)
        /// After complete arguments.
        case close
        case over
    }

    enum Match {
        case yes(end: Int)
        /// The buffer ends within the mark.
        case partial
        case no
    }

    /// No name, key or id in any syntax is longer.
    static let maximumNameLength = 512

    let calls: OutputSyntax.Calls
    let schemas: ToolSchemas
    var stage: Stage
    var cursor: Int
    /// Start and end of the mark of the call being read.
    private var start: Int
    private(set) var markEnd: Int
    private var nameStart = 0
    private(set) var name = ""
    private(set) var id: String?
    var arguments = JSONObject()
    private(set) var argumentsStart = 0
    private var readCalls = 0
    /// Calls read and not yet taken.
    private var pending: [ToolCall] = []
    /// Where the text behind the first mark starts, and whether that is the mark of a section.
    let regionStart: Int
    let opensSection: Bool

    /// - Parameters:
    ///   - start: place of the mark that opens the region.
    ///   - markEnd: the end of that mark.
    ///   - isSection: whether it is the mark of the section rather than that of a call.
    init(_ calls: OutputSyntax.Calls, _ schemas: ToolSchemas, start: Int, markEnd: Int, isSection: Bool) {
        self.calls = calls
        self.schemas = schemas
        self.start = start
        self.markEnd = markEnd
        cursor = markEnd
        regionStart = markEnd
        opensSection = isSection
        stage = .betweenCalls
        if !isSection { stage = stageAfterOpen }
    }

    /// For a reply that is an object without any mark.
    init(bareObject calls: OutputSyntax.Calls, _ schemas: ToolSchemas, start: Int) {
        self.init(calls, schemas, start: start, markEnd: start, isSection: false)
        isBare = true
    }

    /// Whether nothing but a name among the tools makes the text a call.
    private(set) var isBare = false

    /// Where the text starts that has not become part of a call.
    var unfinishedStart: Int { start }

    /// At the end of the output: whether the calls are complete and only closing marks are missing. Completes the last.
    mutating func completesAtEnd() -> Bool {
        switch stage {
        case .betweenCalls: return readCalls > 0
        case .close:
            finishCall()
            return true
        case .over: return true
        default: return false
        }
    }

    mutating func takeCalls() -> [ToolCall] {
        defer { pending = [] }
        return pending
    }

    private var stageAfterOpen: Stage {
        if calls.arguments.holdNames { return stageAfterName }
        return calls.namePrefix == nil ? .name : .namePrefix
    }

    private var stageAfterName: Stage {
        switch calls.arguments {
        case .callObjects, .json: .json(JSONScanner())
        case .gemma: .gemma(GemmaArguments.Scanner())
        case .pythonCalls: .python(PythonCalls.Scanner())
        case .tagged: .tags
        }
    }

    // MARK: Reading

    mutating func read(_ buffer: [UInt8]) -> Outcome {
        while true {
            if case .over = stage { return .finished(at: cursor) }
            let before = cursor
            do throws(CallError) {
                guard try advance(buffer) else { return .needsMore }
            } catch {
                if case .betweenCalls = stage, readCalls > 0 { return .finished(at: before) }
                return .malformed(start: start, markEnd: markEnd, message: error.message)
            }
        }
    }

    func match(_ mark: String, _ buffer: [UInt8], at place: Int) -> Match {
        var place = place
        for byte in mark.utf8 {
            guard place < buffer.count else { return .partial }
            guard buffer[place] == byte else { return .no }
            place += 1
        }
        return .yes(end: place)
    }

    mutating func skipWhitespace(_ buffer: [UInt8]) {
        while cursor < buffer.count, Self.isWhitespace(buffer[cursor]) { cursor += 1 }
    }

    static func isWhitespace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }

    private static func endsName(_ byte: UInt8) -> Bool {
        byte <= 0x20 || "<>[]{}()\"'`,=".utf8.contains(byte)
    }

    /// Skips white space and the mark. False: more text is needed.
    mutating func expect(_ mark: String, _ buffer: [UInt8]) throws(CallError) -> Bool {
        skipWhitespace(buffer)
        switch match(mark, buffer, at: cursor) {
        case .yes(let end):
            cursor = end
            return true
        case .partial: return false
        case .no: throw CallError("expected '\(mark)'")
        }
    }

    /// One stage further; false if that needs more text.
    private mutating func advance(_ buffer: [UInt8]) throws(CallError) -> Bool {
        switch stage {
        case .betweenCalls: return try advanceBetweenCalls(buffer)
        case .namePrefix:
            guard let prefix = calls.namePrefix else { break }
            guard try expect(prefix, buffer) else { return false }
            stage = .name
        case .name: return try readName(buffer)
        case .nameEnd: return try readNameEnd(buffer)
        case .id:
            guard let text = try runOfName(buffer) else { return false }
            id = text
            stage = .idEnd
        case .idEnd:
            if let end = calls.nameEnd { guard try expect(end, buffer) else { return false } }
            stage = stageAfterName
        case .json, .gemma, .python: return try readArguments(buffer)
        case .tags, .tagKey, .tagFlag, .tagValueOpen, .tagValue: return try readTags(buffer)
        case .close: return readClose(buffer)
        case .over: break
        }
        return true
    }

    private mutating func advanceBetweenCalls(_ buffer: [UInt8]) throws(CallError) -> Bool {
        let place = cursor
        skipWhitespace(buffer)
        guard cursor < buffer.count else {
            cursor = place
            return false
        }
        switch match(calls.open, buffer, at: cursor) {
        case .yes(let end):
            if readCalls > 0 { start = cursor }
            markEnd = readCalls > 0 ? end : markEnd
            cursor = end
            stage = stageAfterOpen
            return true
        case .partial:
            cursor = place
            return false
        case .no: break
        }
        guard let section = calls.section else { throw CallError("expected '\(calls.open)'") }
        switch match(section.close, buffer, at: cursor) {
        case .yes(let end):
            guard readCalls > 0 else { throw CallError("there is no call in the section") }
            cursor = end
            stage = .over
            return true
        case .partial:
            cursor = place
            return false
        case .no:
            cursor = place
            throw CallError("expected '\(calls.open)'")
        }
    }

    /// The arguments are complete, so that this is a call even if its closing mark is missing.
    private mutating func readClose(_ buffer: [UInt8]) -> Bool {
        guard let close = calls.close else {
            finishCall()
            return true
        }
        let place = cursor
        skipWhitespace(buffer)
        guard cursor < buffer.count else {
            cursor = place
            return false
        }
        switch match(close, buffer, at: cursor) {
        case .yes(let end): cursor = end
        case .partial:
            cursor = place
            return false
        case .no:
            if calls.arguments == .callObjects, buffer[cursor] == UInt8(ascii: "{") {
                argumentsStart = cursor
                stage = .json(JSONScanner())
                return true
            }
            cursor = place
        }
        finishCall()
        return true
    }

    mutating func finishCall() {
        if !calls.arguments.holdNames {
            pending.append(ToolCall(id: id, name: name, arguments: arguments))
        }
        readCalls += 1
        (name, id, arguments) = ("", nil, JSONObject())
        start = cursor
        markEnd = cursor
        stage = calls.section == nil ? .over : .betweenCalls
    }

    // MARK: Name

    /// The characters from `nameStart` to the first that no name has; nil if the buffer ends before that.
    private mutating func runOfName(_ buffer: [UInt8]) throws(CallError) -> String? {
        skipWhitespace(buffer)
        var end = cursor
        while end < buffer.count, !Self.endsName(buffer[end]) { end += 1 }
        guard end - cursor <= Self.maximumNameLength else { throw CallError("the name is too long") }
        guard end < buffer.count else { return nil }
        guard end > cursor else { throw CallError("expected a name") }
        defer { cursor = end }
        return String(decoding: buffer[cursor..<end], as: UTF8.self)
    }

    private mutating func readName(_ buffer: [UInt8]) throws(CallError) -> Bool {
        guard let text = try runOfName(buffer) else { return false }
        name = text
        if calls.nameIsID {
            id = text
            name = Self.name(inID: text)
        }
        stage = .nameEnd
        return true
    }

    /// `functions.get_weather:0` → `get_weather`
    private static func name(inID id: String) -> String {
        var bytes = Array(id.utf8)
        if let colon = bytes.lastIndex(of: UInt8(ascii: ":")) { bytes.removeSubrange(colon...) }
        let prefix = Array("functions.".utf8)
        if bytes.starts(with: prefix) { bytes.removeFirst(prefix.count) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private mutating func readNameEnd(_ buffer: [UInt8]) throws(CallError) -> Bool {
        if let idOpen = calls.idOpen {
            skipWhitespace(buffer)
            switch match(idOpen, buffer, at: cursor) {
            case .yes(let end):
                cursor = end
                stage = .id
                return true
            case .partial: return false
            case .no: break
            }
        }
        if let end = calls.nameEnd { guard try expect(end, buffer) else { return false } }
        stage = stageAfterName
        return true
    }

    // MARK: JSON and Gemma's notation

    private mutating func readArguments(_ buffer: [UInt8]) throws(CallError) -> Bool {
        if argumentsStart < markEnd { argumentsStart = cursor }
        while cursor < buffer.count {
            let progress: JSONScanner.Progress
            switch stage {
            case .json(var scanner):
                progress = scanner.read(buffer[cursor])
                stage = .json(scanner)
            case .gemma(var scanner):
                progress = scanner.read(buffer[cursor])
                stage = .gemma(scanner)
            case .python(var scanner):
                progress = scanner.read(buffer[cursor])
                stage = .python(scanner)
            default: return true
            }
            cursor += 1
            switch progress {
            case .needsMore: continue
            case .invalid: throw CallError("the arguments are not valid")
            case .complete:
                try decode(Array(buffer[argumentsStart..<cursor]))
                stage = .close
                return true
            }
        }
        return false
    }

    private mutating func decode(_ text: [UInt8]) throws(CallError) {
        if case .gemma = stage {
            guard let object = GemmaArguments.parse(text) else { throw CallError("the arguments are not valid") }
            arguments = object
            return
        }
        if case .python = stage {
            pending += try PythonCalls.parse(text)
            return
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: text)
        } catch {
            throw CallError("the arguments are not JSON: \(error.message)")
        }
        guard calls.arguments == .callObjects else {
            arguments = try ToolCall.arguments(value)
            return
        }
        for element in value.arrayValue ?? [value] { pending.append(try ToolCall.reading(element)) }
    }
}
