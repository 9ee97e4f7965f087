/// Takes a model's output apart while it is generated: content, reasoning, tool calls.
///
/// The result does not depend on how the text is cut into pieces, down to single bytes. Streamed text never holds a part
/// of a marker: what may be the start of one waits until that is decided. A call that turns out malformed comes back as
/// content, with a diagnostic.
package struct OutputParser: Sendable {
    enum Phase {
        case content
        case reasoning
        /// A call began inside an open thought. If the thought is closed later the call was part of it; if the output
        /// ends first, it was meant as a call.
        case heldReasoning(start: Int)
        case calls(CallReader)
        case harmonyHeader(start: Int)
        case harmonyBody(HarmonyMessage)
    }

    let syntax: OutputSyntax
    let schemas: ToolSchemas
    var phase: Phase
    var buffer: [UInt8] = []
    /// Up to here the buffer has been dealt with.
    var position = 0
    var content = TextChannel()
    var reasoning = TextChannel()
    var hasCalls = false
    private var thoughts = Thoughts.free
    private var endsInCall = false
    private var events: [OutputEvent] = []

    /// - Parameters:
    ///   - tools: those of the request; without any, calls are not looked for.
    ///   - generationPrompt: the end of the prompt, which may leave a thought open.
    package init(syntax: OutputSyntax, tools: [JSONValue] = [], generationPrompt: String = "") {
        self.syntax = syntax
        schemas = ToolSchemas(tools)
        phase = .content
        reasoning.dropsLeadingWhitespace = true
        if syntax.form == .harmony {
            phase = .harmonyHeader(start: 0)
        } else if syntax.opensReasoning(generationPrompt: generationPrompt) {
            phase = .reasoning
        }
    }

    /// Whether the output so far ends inside a thought, which a budget may then close.
    package var isReasoning: Bool {
        switch phase {
        case .reasoning, .heldReasoning: true
        case .harmonyBody(let message): message.kind == .reasoning
        default: false
        }
    }

    /// What a budget leaves of thoughts.
    package enum Thoughts: Sendable {
        case free
        /// A thought that begins will be cut. A closing mark that closes nothing belongs to one that is not there.
        case toBeCut
        /// The thought was cut. Marks of thoughts that come now belong to what the model meant to think, so they are no
        /// text.
        case cut
    }

    package mutating func limitThoughts(_ limit: Thoughts) { thoughts = limit }

    /// The next piece of output.
    package mutating func feed(_ text: String) -> [OutputEvent] { feed(Array(text.utf8)) }

    /// The next bytes of the output, which may be cut inside of a character.
    package mutating func feed(_ bytes: [UInt8]) -> [OutputEvent] {
        buffer += bytes
        advance()
        return takeEvents()
    }

    /// To be called once after the last piece.
    /// - Parameter isTruncated: whether the output was cut by a limit. An unfinished call is then reported as such; if
    ///   the model ended its turn by itself, it is content.
    package mutating func finish(isTruncated: Bool) -> [OutputEvent] {
        if case .heldReasoning(let start) = phase {
            position = start
            enterContent()
            phase = .content
            advance()
        }
        switch phase {
        case .content: emitContent(upTo: endOfText(isTruncated: isTruncated))
        case .reasoning, .heldReasoning: emitReasoning(upTo: endOfText(isTruncated: isTruncated))
        case .calls(let reader): finish(reader, isTruncated: isTruncated)
        case .harmonyHeader: break
        case .harmonyBody(let message): finish(message, isTruncated: isTruncated)
        }
        append(.reasoning(reasoning.finish(keepsTrailingWhitespace: false)))
        append(.content(content.finish(keepsTrailingWhitespace: !hasCalls && !endsInCall)))
        return takeEvents()
    }

    /// Where the text ends for good. What is left is the possible beginning of a mark; if the output was cut, several
    /// characters of one were one.
    func endOfText(isTruncated: Bool) -> Int {
        isTruncated && buffer.count - position >= Self.recognisableMarkLength ? position : buffer.count
    }

    private static let recognisableMarkLength = 4

    private mutating func takeEvents() -> [OutputEvent] {
        defer { events = [] }
        return events
    }

    mutating func append(_ event: OutputEvent) {
        switch (events.last, event) {
        case (_, .content("")), (_, .reasoning("")): break
        case (.content(let before)?, .content(let text)): events[events.count - 1] = .content(before + text)
        case (.reasoning(let before)?, .reasoning(let text)): events[events.count - 1] = .reasoning(before + text)
        default: events.append(event)
        }
    }

    mutating func emitContent(upTo end: Int) {
        append(.content(content.add(buffer[position..<end])))
        position = end
    }

    mutating func emitReasoning(upTo end: Int) {
        append(.reasoning(reasoning.add(buffer[position..<end])))
        position = end
    }

    /// After a marker: white space up to the next text is layout, not content.
    mutating func enterContent() {
        if content.isEmpty { content.dropsLeadingWhitespace = true }
    }

    mutating func addCalls(_ calls: [ToolCall]) {
        for call in calls {
            hasCalls = true
            enterContent()
            append(.toolCall(call))
        }
    }

    // MARK: Phases

    mutating func advance() {
        while true {
            let goesOn: Bool
            switch phase {
            case .content: goesOn = advanceContent()
            case .reasoning: goesOn = advanceReasoning()
            case .heldReasoning: goesOn = advanceHeldReasoning()
            case .calls(let reader): goesOn = advanceCalls(reader)
            case .harmonyHeader(let start): goesOn = advanceHarmonyHeader(start)
            case .harmonyBody(let message): goesOn = advanceHarmonyBody(message)
            }
            guard goesOn else { return }
        }
    }

    enum Mark {
        case openReasoning
        case closeReasoning
        case openSection
        case openCall
        /// A closing mark that belongs to nothing.
        case stray
        /// A mark of a thought that is not to be.
        case cutThought
    }

    /// The first of the marks in the rest of the buffer; `end` is nil if only its beginning is there yet.
    func firstMark(_ marks: [(text: String, mark: Mark)]) -> (mark: Mark, start: Int, end: Int?)? {
        let candidates = marks.map { (bytes: Array($0.text.utf8), mark: $0.mark) }
        let firstBytes = Set(candidates.compactMap(\.bytes.first))
        for place in position..<buffer.count where firstBytes.contains(buffer[place]) {
            for (bytes, mark) in candidates {
                let rest = buffer[place...].prefix(bytes.count)
                guard rest.elementsEqual(bytes.prefix(rest.count)) else { continue }
                return (mark, place, rest.count == bytes.count ? place + bytes.count : nil)
            }
        }
        return nil
    }

    private var callMarks: [(text: String, mark: Mark)] {
        guard let calls = syntax.calls, !schemas.isEmpty else { return [] }
        let section = calls.section.map { [($0.open, Mark.openSection)] } ?? []
        return section + [(calls.open, .openCall)]
    }

    private mutating func advanceContent() -> Bool {
        var marks = callMarks
        if let reasoning = syntax.reasoning {
            let isStart = content.isEmpty && !hasCalls
            if thoughts == .cut {
                marks.append((reasoning.open, .cutThought))
            } else if isStart {
                marks.append((reasoning.open, .openReasoning))
            }
            if thoughts != .free {
                marks.append((reasoning.close, .cutThought))
            } else if isStart {
                marks.append((reasoning.close, .stray))
            }
        }
        if hasCalls, let calls = syntax.calls {
            marks += [calls.close, calls.section?.close].compactMap { $0 }.map { ($0, Mark.stray) }
        }
        if syntax.takesBareObject, content.isEmpty, !schemas.isEmpty, let goesOn = startBareObject() { return goesOn }
        guard let found = firstMark(marks) else {
            emitContent(upTo: buffer.count)
            return false
        }
        emitContent(upTo: found.start)
        // With text before them these marks are text themselves.
        let isText = !content.isEmpty && (found.mark == .openReasoning || found.mark == .stray && !hasCalls)
        if isText { return position < buffer.count && advanceContent() }
        guard let end = found.end else { return false }
        switch found.mark {
        case .openReasoning:
            position = end
            enterContent()
            phase = .reasoning
        case .openSection, .openCall:
            guard let calls = syntax.calls else { return false }
            phase = .calls(
                CallReader(
                    calls, schemas, start: found.start, markEnd: end, isSection: found.mark == .openSection))
        case .stray, .cutThought, .closeReasoning:
            position = end
            enterContent()
        }
        return true
    }

    private mutating func advanceReasoning() -> Bool {
        guard let marks = syntax.reasoning else { return false }
        guard let found = firstMark([(marks.close, .closeReasoning)] + callMarks) else {
            emitReasoning(upTo: buffer.count)
            return false
        }
        emitReasoning(upTo: found.start)
        guard let end = found.end else { return false }
        if found.mark == .closeReasoning {
            position = end
            enterContent()
            phase = .content
        } else {
            phase = .heldReasoning(start: found.start)
        }
        return true
    }

    private mutating func advanceHeldReasoning() -> Bool {
        guard case .heldReasoning(let start) = phase, let marks = syntax.reasoning else { return false }
        guard let found = firstMark([(marks.close, .closeReasoning)]) else {
            position = buffer.count
            return false
        }
        guard let end = found.end else {
            position = found.start
            return false
        }
        position = start
        emitReasoning(upTo: found.start)
        position = end
        enterContent()
        phase = .content
        return true
    }

    private mutating func advanceCalls(_ reader: CallReader) -> Bool {
        var reader = reader
        let outcome = reader.read(buffer)
        let calls = reader.takeCalls()
        if reader.isBare, let call = calls.first, !schemas.contains(call.name) {
            giveUp(start: position, markEnd: position + 1, message: nil)
            return true
        }
        addCalls(calls)
        switch outcome {
        case .needsMore:
            if reader.isBare, !looksLikeBareCall(from: position) {
                giveUp(start: position, markEnd: position + 1, message: nil)
                return true
            }
            phase = .calls(reader)
            return false
        case .finished(let end):
            position = end
            phase = .content
        case .malformed(let start, let markEnd, let message):
            giveUp(start: start, markEnd: markEnd, message: reader.isBare ? nil : message)
        }
        return true
    }

    /// What looked like a call is content: its mark at least; the rest is looked through again.
    private mutating func giveUp(start: Int, markEnd: Int, message: String?) {
        if let message {
            append(.diagnostic(OutputDiagnostic(message: "malformed tool call: \(message)", unfinishedCall: nil)))
        }
        position = start
        emitContent(upTo: max(markEnd, start + 1))
        phase = .content
    }

    private mutating func finish(_ reader: CallReader, isTruncated: Bool) {
        var reader = reader
        let isComplete = reader.completesAtEnd()
        addCalls(reader.takeCalls())
        position = reader.unfinishedStart
        if isComplete {
            emitContent(upTo: endOfText(isTruncated: isTruncated))
        } else {
            finishUnfinishedCall(from: position, isTruncated: isTruncated)
        }
    }

    /// The output ended inside a call, whose text starts at `start`.
    mutating func finishUnfinishedCall(from start: Int, isTruncated: Bool) {
        guard isTruncated else {
            append(
                .diagnostic(
                    OutputDiagnostic(
                        message: "malformed tool call: the model stopped before its end", unfinishedCall: nil)))
            return emitContent(upTo: buffer.count)
        }
        let text = String(decoding: buffer[start...], as: UTF8.self)
        append(.diagnostic(OutputDiagnostic(message: "the output ends inside a tool call", unfinishedCall: text)))
        endsInCall = true
        position = buffer.count
    }

    // MARK: Bare objects

    /// Starts reading a reply that begins with a brace; nil if the text so far rules that out.
    private mutating func startBareObject() -> Bool? {
        guard let calls = syntax.calls else { return nil }
        var place = position
        // Several objects may follow each other, separated by semicolons.
        while place < buffer.count,
            CallReader.isWhitespace(buffer[place]) || hasCalls && buffer[place] == UInt8(ascii: ";")
        {
            place += 1
        }
        guard place < buffer.count else { return false }
        guard buffer[place] == UInt8(ascii: "{") else { return nil }
        guard looksLikeBareCall(from: place) else { return nil }
        emitContent(upTo: place)
        phase = .calls(CallReader(bareObject: calls, schemas, start: place))
        return true
    }

    /// False once the first key is one that no call has.
    private func looksLikeBareCall(from start: Int) -> Bool {
        var place = start + 1
        while place < buffer.count, CallReader.isWhitespace(buffer[place]) { place += 1 }
        guard place < buffer.count else { return true }
        let rest = buffer[place...]
        return ["name", "type", "function", "parameters", "arguments", "id"].contains { key in
            let quoted = Array("\"\(key)\"".utf8)
            return rest.prefix(quoted.count).elementsEqual(quoted.prefix(rest.count))
        }
    }
}
