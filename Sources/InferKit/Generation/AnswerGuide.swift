import ChatTemplates
import Engine

/// Holds an answer to its form: thoughts are free, what follows them obeys a grammar. Where only calls have a form, the
/// grammar starts at the mark of a call and is over at its end.
struct AnswerGuide {
    private enum Phase {
        /// Nothing is restricted: no form for this part.
        case free
        /// The form of the whole answer, before its first token.
        case beforeAnswer
        case inAnswer
        case inCalls
    }

    private let format: AnswerFormat
    private let backend: any ModelBackend
    private var constraint: (any TokenConstraint)?
    private var phase: Phase
    private var wasInCalls = false
    private var mask: TokenMask
    private var masked: [Float] = []
    /// What may come before the form begins: the mark of a thought, or white space behind one.
    private let thoughtMark: Int32?
    private let blanks: Set<Int32>
    private var hasThought: Bool
    private var hasSkippedBlank = false

    /// - Returns: nil if nothing is to be held to a form.
    init?(_ format: AnswerFormat, _ thoughtMark: Int32?, _ backend: any ModelBackend) throws {
        guard
            format.pattern != nil || format.callPattern != nil || format.sectionPattern != nil
                || !format.argumentPatterns.isEmpty
        else { return nil }
        self.format = format
        self.backend = backend
        mask = TokenMask(count: backend.vocabularySize)
        phase = format.pattern == nil ? .free : .beforeAnswer
        let opensThought = format.syntax.opensReasoning(generationPrompt: format.generationPrompt)
        hasThought = opensThought
        // An empty thought in the prompt says that there is to be none.
        let isAsked = !format.generationPrompt.containsText(format.syntax.reasoning?.close ?? "")
        let mayThink = format.mayThink && format.thoughtBudget != 0 && !opensThought && isAsked
        self.thoughtMark = mayThink ? thoughtMark : nil
        let spaces = ["\n", "\n\n", " "].map { backend.encode($0, addSpecial: false, parseSpecial: false) }
        blanks = Set(spaces.compactMap { $0.count == 1 ? $0.first : nil })
        if let pattern = format.pattern { constraint = try backend.constraint(for: pattern) }
    }

    /// Whether what comes now cannot leave its form.
    var holds: Bool { phase == .inCalls || phase == .inAnswer }

    /// Whether the answer is to have a form and has not begun.
    var owesForm: Bool { phase == .beforeAnswer && !format.holdsThoughts }

    /// Whether the form is complete and nothing can follow; known once an end was chosen.
    private(set) var isOver = false

    /// Whether the next token is to be chosen here.
    func restricts(_ reader: OutputReader) -> Bool {
        phase != .free && (format.holdsThoughts || reader.isAnswering) && constraint != nil
    }

    /// Finds out whether the form can begin at all, so that a request for one that cannot is refused at once.
    /// - Parameter banned: tokens that can never come.
    mutating func checkStart(banned: [Int32]) throws {
        guard constraint != nil else { return }
        try ofForm { try constraint?.mask(into: &mask) }
        for token in banned where token >= 0 && Int(token) < mask.count { mask[token] = false }
        if mask.isEmpty { throw Self.everythingIsBanned }
    }

    private static let everythingIsBanned = LanguageModelSession.GenerationError.invalidOption(
        .init(debugDescription: "the logit bias bans every token that the form of the answer allows"))

    /// Chooses a token that the form allows.
    mutating func choose(
        _ logits: UnsafeBufferPointer<Float>, _ sampler: inout Sampler, ignoresEnd: Bool
    ) throws -> Int32? {
        try ofForm { try constraint?.mask(into: &mask) }
        var extra: Set<Int32> = []
        if phase == .beforeAnswer {
            if hasThought, !hasSkippedBlank { extra.formUnion(blanks) }
            if !hasThought, let thoughtMark { extra.insert(thoughtMark) }
        }
        extra = extra.filter { !mask[$0] }
        for token in extra { mask[token] = true }
        if ignoresEnd {
            var others = mask
            for token in backend.endOfGeneration { others[token] = false }
            isOver = others.isEmpty
            if !isOver { mask = others }
        }

        if masked.isEmpty { masked = Array(repeating: 0, count: logits.count) }
        let choice = masked.withUnsafeMutableBufferPointer { copy -> Int32? in
            _ = copy.update(fromContentsOf: logits)
            mask.apply(to: copy)
            return sampler.sample(UnsafeBufferPointer(copy))
        }
        guard let choice else {
            let isBanned = mask.tokens.contains { logits[Int($0)].isFinite }
            if isBanned { throw Self.everythingIsBanned }
            return nil
        }
        if extra.contains(choice) {
            if blanks.contains(choice) { hasSkippedBlank = true }
        } else if !backend.endOfGeneration.contains(choice) {
            if phase == .beforeAnswer { phase = .inAnswer }
            try ofForm { try constraint?.accept(choice) }
        }
        return choice
    }

    /// A token that was not chosen comes next.
    mutating func acceptForced(_ token: Int32) throws {
        if format.holdsThoughts { try ofForm { try constraint?.accept(token) } }
    }

    /// To be called when the reader knows the last token: calls begin and end.
    mutating func follow(_ reader: OutputReader) throws {
        if reader.isReasoning { hasThought = true }
        guard format.pattern == nil else { return }
        let open = reader.openCalls
        defer { wasInCalls = open != nil }
        guard let open else {
            phase = .free
            constraint = nil
            return
        }
        guard !wasInCalls else { return }
        // A token that holds the mark and more was not chosen for the form: such calls are left to the model.
        guard open.readBytes == 0, let pattern = format.pattern(of: open.part) else { return }
        constraint = try backend.constraint(for: pattern)
        phase = .inCalls
    }
}

extension AnswerFormat {
    fileprivate func pattern(of part: OutputParser.OpenCalls) -> OutputPattern? {
        switch part {
        case .section: sectionPattern
        case .call: callPattern
        case .arguments(let name): argumentPatterns[name]
        }
    }
}

/// What goes wrong with a grammar while an answer is made: the fault of whoever asked for it.
private func ofForm(_ body: () throws -> Void) throws {
    do {
        try body()
    } catch {
        throw LanguageModelSession.GenerationError.unsupportedGuide(.init(debugDescription: "\(error)"))
    }
}

extension ModelBackend {
    /// A grammar for the form, at its beginning.
    /// - Throws: ``LanguageModelSession/GenerationError/unsupportedGuide(_:)``.
    func constraint(for pattern: OutputPattern) throws -> any TokenConstraint {
        do {
            return try makeConstraint(pattern)
        } catch {
            throw LanguageModelSession.GenerationError.unsupportedGuide(.init(debugDescription: "\(error)"))
        }
    }
}

extension String {
    fileprivate func containsText(_ text: String) -> Bool {
        !text.isEmpty && Array(utf8).firstRange(of: Array(text.utf8)) != nil
    }
}
