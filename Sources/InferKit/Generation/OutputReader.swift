import ChatTemplates

/// What an answer says, from its tokens as they come: text, thoughts and calls. Stop sequences are found wherever they
/// stand, and nothing that could be part of one is given out.
struct OutputReader {
    private var decoder: any TextDecoder
    private var stops: StopMatcher
    /// Nil: everything is text.
    private var parser: OutputParser?
    /// Sees all text at once while ``parser`` has to wait for what could be a stop sequence.
    private var tracker: OutputParser?
    private var callIDs: CallIDs
    private(set) var calls = 0

    /// - Parameter format: nil: everything is text.
    init(_ format: AnswerFormat?, stops: [String], prompt: [Int32], _ backend: any ModelBackend) {
        decoder = backend.makeTextDecoder(showing: format.map { .some($0.marks) } ?? .none)
        let stops = stops + (format?.endTexts ?? [])
        self.stops = StopMatcher(stops)
        callIDs = CallIDs(prompt)
        guard let format else { return }
        parser = OutputParser(syntax: format.syntax, tools: format.tools, generationPrompt: format.generationPrompt)
        if !stops.isEmpty { tracker = parser }
    }

    var isReasoning: Bool { (tracker ?? parser)?.isReasoning ?? false }
    var isAnswering: Bool { (tracker ?? parser)?.isAnswering ?? true }
    var hasNoAnswer: Bool { (tracker ?? parser)?.hasNoAnswer ?? true }
    var openCalls: (part: OutputParser.OpenCalls, readBytes: Int)? { (tracker ?? parser)?.openCalls }

    /// Whether there are calls if the answer ends here. Some are only known to be one at the end, when their closing marks
    /// do not come any more.
    var endsInCalls: Bool {
        guard calls == 0, var rest = tracker ?? parser else { return calls > 0 }
        return rest.finish(isTruncated: false).contains { if case .toolCall = $0 { true } else { false } }
    }

    /// The call that is being written, without what could be part of a stop sequence.
    var openCall: OpenCall? { parser?.openCall }

    /// - Returns: the stop sequence that was found.
    mutating func append(_ token: Int32, _ emit: (GenerationEvent) -> Void) -> String? {
        let text = decoder.append(token)
        _ = tracker?.feed(text)
        let (visible, stop) = stops.append(text)
        read(visible, emit)
        return stop
    }

    /// - Parameter isTruncated: something else than the model ended the answer.
    mutating func finish(isTruncated: Bool, _ emit: (GenerationEvent) -> Void) {
        if !stops.hasMatched {
            let (visible, stop) = stops.append(decoder.finish())
            read(stop == nil ? visible + stops.finish() : visible, emit)
        }
        for event in parser?.finish(isTruncated: isTruncated) ?? [] { pass(event, emit) }
    }

    private mutating func read(_ text: String, _ emit: (GenerationEvent) -> Void) {
        guard parser != nil else {
            if !text.isEmpty { emit(.text(text)) }
            return
        }
        for event in parser?.feed(text) ?? [] { pass(event, emit) }
    }

    private mutating func pass(_ event: OutputEvent, _ emit: (GenerationEvent) -> Void) {
        switch event {
        case .content(let text): emit(.text(text))
        case .reasoning(let text): emit(.reasoning(text))
        case .toolCall(let call):
            calls += 1
            emit(
                .toolCall(
                    Transcript.ToolCall(
                        id: call.id ?? callIDs.next(), toolName: call.name,
                        arguments: GeneratedContent(.object(call.arguments)))))
        case .diagnostic(let diagnostic):
            emit(.diagnostic(OutputProblem(message: diagnostic.message, unfinishedCall: diagnostic.unfinishedCall)))
        }
    }
}

/// Names for calls in syntaxes that have none: nine letters and digits, which every template takes. They depend on the
/// prompt alone, so that the same seed goes on giving the same text.
private struct CallIDs {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    init(_ prompt: [Int32]) {
        for token in prompt { mix(UInt64(UInt32(bitPattern: token))) }
    }

    /// FNV-1a (Fowler, Noll and Vo), a word at a time.
    private mutating func mix(_ word: UInt64) { state = (state ^ word) &* 0x0000_0100_0000_01b3 }

    mutating func next() -> String {
        mix(1)
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        var rest = state ^ state >> 32
        var id = "c"
        for _ in 0..<8 {
            id.append(letters[Int(rest % 36)])
            rest /= 36
        }
        return id
    }
}
