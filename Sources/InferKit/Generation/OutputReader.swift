import ChatTemplates

/// What an answer says, from its tokens as they come: text, thoughts and calls. Stop sequences are found in the text,
/// and nothing that could be part of one is given out.
struct OutputReader {
    /// What a text has ended.
    enum End: Equatable {
        case stopSequence(String)
        /// The end of the turn, spelled out.
        case turn
    }

    private var decoder: any TextDecoder
    /// Texts that end the turn, wherever they stand.
    private var ends: StopMatcher
    /// Nil: everything is text.
    private var parser: OutputParser?
    /// Sees all text at once while ``parser`` has to wait for what could be the end of the turn.
    private var tracker: OutputParser?
    /// Looks at text only: not at thoughts, and not at calls.
    private var stops: StopMatcher
    private var stop: String?
    /// Bytes at the end of the text that it took.
    private var cutBytes = 0
    private var callIDs: CallIDs
    private(set) var calls = 0

    /// Bytes of text so far, and where the tokens begin in it whose text may yet be cut off.
    private var length = 0
    private var undecided: [Int] = []

    /// - Parameter format: nil: everything is text.
    init(_ format: AnswerFormat?, stops: [String], prompt: [Int32], _ backend: any ModelBackend) {
        decoder = backend.makeTextDecoder(showing: format.map { .some($0.marks) } ?? .none)
        ends = StopMatcher(format?.endTexts ?? [])
        self.stops = StopMatcher(stops)
        callIDs = CallIDs(prompt)
        guard let format else { return }
        parser = OutputParser(syntax: format.syntax, tools: format.tools, generationPrompt: format.generationPrompt)
        if format.thoughtBudget == 0 { parser?.limitThoughts(.toBeCut) }
        if !ends.isEmpty { tracker = parser }
    }

    var isReasoning: Bool { (tracker ?? parser)?.isReasoning ?? false }
    var isAnswering: Bool { (tracker ?? parser)?.isAnswering ?? true }
    var hasNoAnswer: Bool { (tracker ?? parser)?.hasNoAnswer ?? true }
    var openCalls: (part: OutputParser.OpenCalls, readBytes: Int)? { (tracker ?? parser)?.openCalls }

    /// The call that is being written.
    var openCall: OpenCall? { parser?.openCall }

    /// Whether the last token ended inside of a character.
    var isInsideCharacter: Bool {
        var decoder = decoder
        return !decoder.finish().isEmpty
    }

    /// So many of the last tokens have no text yet that is certain to be given out.
    var undecidedTokens: Int { undecided.count }

    /// The thought is ended for the model, and there will be no other.
    mutating func cutThought() {
        parser?.limitThoughts(.cut)
        tracker?.limitThoughts(.cut)
    }

    mutating func append(_ token: Int32, _ emit: (GenerationEvent) -> Void) -> End? {
        undecided.append(length)
        let text = decoder.append(token)
        length += text.utf8.count
        _ = tracker?.feed(text)
        let (visible, end) = ends.append(text)
        read(visible, emit)
        decide()
        if let stop { return .stopSequence(stop) }
        return end == nil ? nil : .turn
    }

    /// Goes on behind the end of the turn.
    mutating func resume() { ends.resume() }

    /// - Parameter isTruncated: something else than the model ended the answer.
    /// - Returns: the stop sequence that stood at the end of the text.
    mutating func finish(isTruncated: Bool, _ emit: (GenerationEvent) -> Void) -> String? {
        guard stop == nil else { return nil }
        if !ends.hasMatched {
            let rest = decoder.finish()
            length += rest.utf8.count
            let (visible, end) = ends.append(rest)
            read(end == nil ? visible + ends.finish() : visible, emit)
        }
        for event in parser?.finish(isTruncated: isTruncated) ?? [] { pass(event, emit) }
        if stop == nil { flush(emit) }
        decide(isOver: true)
        return stop
    }

    private mutating func read(_ text: String, _ emit: (GenerationEvent) -> Void) {
        guard parser != nil else { return pass(.content(text), emit) }
        for event in parser?.feed(text) ?? [] { pass(event, emit) }
        guard stop == nil, !stops.isEmpty, let parser else { return }
        if parser.openCalls != nil { return flush(emit) }
        // White space that may yet turn out to be layout ends an answer nevertheless.
        let held = parser.heldContent
        guard !held.isEmpty else { return }
        var trial = stops
        let (visible, found) = trial.append(held)
        guard let found else { return }
        (stops, stop) = (trial, found)
        cutBytes = trial.cutBytes + parser.undecidedBytes
        if !visible.isEmpty { emit(.text(visible)) }
    }

    private mutating func pass(_ event: OutputEvent, _ emit: (GenerationEvent) -> Void) {
        guard stop == nil else { return }
        if case .content(let text) = event {
            let (visible, found) = stops.append(text)
            stop = found
            if found != nil {
                cutBytes = stops.cutBytes
                if let parser { cutBytes += parser.undecidedBytes + parser.heldContent.utf8.count }
            }
            if !visible.isEmpty { emit(.text(visible)) }
            return
        }
        flush(emit)
        switch event {
        case .content: break
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

    /// No stop sequence reaches over a thought or a call.
    private mutating func flush(_ emit: (GenerationEvent) -> Void) {
        let text = stops.finish()
        if !text.isEmpty { emit(.text(text)) }
    }

    /// Forgets the tokens whose text cannot be cut off any more. Behind a stop sequence those are left that it took.
    private mutating func decide(isOver: Bool = false) {
        var open = 0
        if stop != nil {
            open = cutBytes
        } else if ends.hasMatched {
            open = ends.cutBytes
        } else if isOver || stops.isEmpty && ends.isEmpty {
            return undecided.removeAll()
        } else {
            open = ends.heldBytes + stops.heldBytes
            if let parser, parser.isInText { open += parser.undecidedBytes + parser.heldContent.utf8.count }
        }
        undecided.removeFirst(undecided.prefix { $0 < length - open }.count)
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
