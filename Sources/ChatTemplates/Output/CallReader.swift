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
        case tags
        case tagKey(start: Int)
        case tagFlag(start: Int, key: String)
        case tagValueOpen(key: String)
        case tagValue(start: Int, key: String, isString: Bool?)
        /// After complete arguments.
        case close
        case over
    }

    private enum Match {
        case yes(end: Int)
        /// The buffer ends within the mark.
        case partial
        case no
    }

    /// No name, key or id in any syntax is longer.
    private static let maximumNameLength = 512

    let calls: OutputSyntax.Calls
    let schemas: ToolSchemas
    private(set) var stage: Stage
    private(set) var cursor: Int
    /// Start and end of the mark of the call being read.
    private var start: Int
    private(set) var markEnd: Int
    private var nameStart = 0
    private(set) var name = ""
    private(set) var id: String?
    private(set) var arguments = JSONObject()
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
        if calls.arguments == .callObjects { return .json(JSONScanner()) }
        return calls.namePrefix == nil ? .name : .namePrefix
    }

    private var stageAfterName: Stage {
        switch calls.arguments {
        case .callObjects, .json: .json(JSONScanner())
        case .gemma: .gemma(GemmaArguments.Scanner())
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

    private func match(_ mark: String, _ buffer: [UInt8], at place: Int) -> Match {
        var place = place
        for byte in mark.utf8 {
            guard place < buffer.count else { return .partial }
            guard buffer[place] == byte else { return .no }
            place += 1
        }
        return .yes(end: place)
    }

    private mutating func skipWhitespace(_ buffer: [UInt8]) {
        while cursor < buffer.count, Self.isWhitespace(buffer[cursor]) { cursor += 1 }
    }

    static func isWhitespace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }

    private static func endsName(_ byte: UInt8) -> Bool {
        byte <= 0x20 || "<>[]{}()\"'`,=".utf8.contains(byte)
    }

    /// Skips white space and the mark. False: more text is needed.
    private mutating func expect(_ mark: String, _ buffer: [UInt8]) throws(CallError) -> Bool {
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
        case .json, .gemma: return try readArguments(buffer)
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

    private mutating func finishCall() {
        if calls.arguments != .callObjects {
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

    // MARK: Tags

    private mutating func readTags(_ buffer: [UInt8]) throws(CallError) -> Bool {
        guard case .tagged(let tags) = calls.arguments else { return true }
        switch stage {
        case .tagKey(let start):
            guard let key = try text(upTo: tags.keyEnd, from: start, buffer) else { return false }
            if tags.stringFlagEnd != nil {
                stage = .tagFlag(start: cursor, key: key)
            } else if tags.valueOpen != nil {
                stage = .tagValueOpen(key: key)
            } else {
                stage = .tagValue(start: cursor, key: key, isString: nil)
            }
        case .tagFlag(let start, let key):
            guard let flag = try text(upTo: tags.stringFlagEnd ?? "", from: start, buffer) else { return false }
            stage = .tagValue(start: cursor, key: key, isString: flag == "true")
        case .tagValueOpen(let key):
            guard try expect(tags.valueOpen ?? "", buffer) else { return false }
            stage = .tagValue(start: cursor, key: key, isString: nil)
        case .tagValue(let start, let key, let isString):
            return readValue(tags, start: start, key: key, isString: isString, buffer)
        default: return try readTagOrClose(tags, buffer)
        }
        return true
    }

    private mutating func readTagOrClose(_ tags: OutputSyntax.Tags, _ buffer: [UInt8]) throws(CallError) -> Bool {
        skipWhitespace(buffer)
        guard cursor < buffer.count else { return false }
        switch match(tags.open, buffer, at: cursor) {
        case .yes(let end):
            cursor = end
            stage = .tagKey(start: end)
            return true
        case .partial: return false
        case .no: break
        }
        if let close = calls.close, case .partial = match(close, buffer, at: cursor) { return false }
        if let close = calls.close, case .yes = match(close, buffer, at: cursor) {
            stage = .close
            return true
        }
        // Models forget the inner closing mark and go on with the outer one.
        if let section = calls.section {
            switch match(section.close, buffer, at: cursor) {
            case .yes:
                finishCall()
                return true
            case .partial: return false
            case .no: break
            }
        }
        throw CallError("expected '\(tags.open)' or '\(calls.close ?? "")'")
    }

    /// Text from `start` to the mark, which `cursor` is moved behind; nil if it has not come yet.
    private mutating func text(upTo mark: String, from start: Int, _ buffer: [UInt8]) throws(CallError) -> String? {
        while cursor < buffer.count {
            switch match(mark, buffer, at: cursor) {
            case .yes(let end):
                defer { cursor = end }
                return String(decoding: buffer[start..<cursor], as: UTF8.self)
            case .partial: return nil
            case .no: cursor += 1
            }
            guard cursor - start <= Self.maximumNameLength else { throw CallError("expected '\(mark)'") }
        }
        return nil
    }

    /// A value ends at the closing tag that is followed by something that can follow it; the same text inside of a
    /// value (code, for example) is part of it.
    private mutating func readValue(
        _ tags: OutputSyntax.Tags, start: Int, key: String, isString: Bool?, _ buffer: [UInt8]
    ) -> Bool {
        while cursor < buffer.count {
            switch match(tags.close, buffer, at: cursor) {
            case .no: cursor += 1
            case .partial: return false
            case .yes(let end):
                var after = end
                while after < buffer.count, Self.isWhitespace(buffer[after]) { after += 1 }
                let followers = [tags.open, calls.close, calls.section?.close].compactMap { $0 }
                let matches = followers.map { match($0, buffer, at: after) }
                let follows = matches.contains { if case .yes = $0 { true } else { false } }
                if follows {
                    set(key, buffer[start..<cursor], isString: isString, tags)
                    cursor = end
                    stage = .tags
                    return true
                }
                if matches.contains(where: { if case .partial = $0 { true } else { false } }) { return false }
                cursor += 1
            }
        }
        return false
    }

    private mutating func set(_ key: String, _ bytes: ArraySlice<UInt8>, isString: Bool?, _ tags: OutputSyntax.Tags) {
        var bytes = bytes
        if tags.trimsNewlines {
            if bytes.first == 0x0A { bytes.removeFirst() }
            if bytes.last == 0x0A { bytes.removeLast() }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        switch isString {
        case true?: arguments[key] = .string(text)
        case false?: arguments[key] = (try? JSONValue(parsing: text)) ?? .string(text)
        case nil: arguments[key] = schemas.value(of: text, for: key, of: name)
        }
    }
}
