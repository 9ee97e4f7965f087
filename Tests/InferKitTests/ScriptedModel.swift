import ChatTemplates
import Engine
import Foundation
import InferKit
import Synchronization

/// A model that says what a test wants: tokens are bytes, a few have two.
final class ScriptedModel: ModelBackend {
    static let end: Int32 = 256
    static let turnStart: Int32 = 257
    static let turnEnd: Int32 = 258
    /// "ab" as one token, which encoding prefers to the two letters.
    static let pair: Int32 = 259

    /// What happened, in order.
    struct Log: Sendable {
        var synced: [[Int32]] = []
        var decoded: [Int32] = []
        var threads: Set<String> = []
        var generators = 0
    }

    let contextLength: Int
    let chatTemplates: ChatTemplateSources
    let beginOfText: Int32?
    let makesConstraint: (@Sendable (OutputPattern) throws -> any TokenConstraint)?
    let vocabularySize = 260
    let endOfGeneration: Set<Int32> = [ScriptedModel.end, ScriptedModel.turnEnd]
    let log = Mutex(Log())
    /// All tokens so far → the next one; nil: logits that are not numbers.
    let next: @Sendable ([Int32]) -> Int32?
    let isFlat: Bool
    let beforeDecode: @Sendable (Int) -> Void

    /// - Parameters:
    ///   - answer: said after every prompt, then the end.
    ///   - beforeDecode: called with the number of tokens decoded so far, on the model's thread.
    init(
        _ answer: String = "", tokens: [Int32]? = nil, contextLength: Int = 1000,
        template: String? = nil, beginOfText: Int32? = nil, isFlat: Bool = false,
        makesConstraint: (@Sendable (OutputPattern) throws -> any TokenConstraint)? = nil,
        beforeDecode: @escaping @Sendable (Int) -> Void = { _ in },
        next: (@Sendable ([Int32]) -> Int32?)? = nil
    ) {
        let script = (tokens ?? answer.utf8.map(Int32.init)) + [Self.end]
        self.contextLength = contextLength
        var templates = template.map { ChatTemplateSources(main: $0) } ?? ChatTemplateSources(.chatML)
        templates.bosText = "<|im_start|>"
        chatTemplates = templates
        self.beginOfText = beginOfText
        self.makesConstraint = makesConstraint
        self.isFlat = isFlat
        self.beforeDecode = beforeDecode
        self.next =
            next ?? { sequence in
                // The answer starts behind the last "assistant\n", or at the beginning of a raw prompt.
                let marker = [Self.turnStart] + "assistant\n".utf8.map(Int32.init)
                let start = sequence.indices.last { sequence[$0...].starts(with: marker) }.map { $0 + marker.count }
                let said = sequence.count - (start ?? 1)
                return said < script.count ? script[said] : Self.end
            }
    }

    var information: ModelInformation {
        ModelInformation(
            name: "scripted", architecture: "script", parameters: 0, activeParameters: 0, weightBytes: 0,
            vocabularySize: vocabularySize, trainedContextLength: contextLength, contextLength: contextLength,
            threads: 1, chatTemplate: nil, chatFormat: nil)
    }

    var controlTexts: ControlTexts { ControlTexts(control: ["<|im_start|>", "<|im_end|>"]) }

    func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool, seams: [Int]) -> [Int32] {
        var rest = Substring(text)
        var tokens: [Int32] = []
        let special: [(String, Int32)] = [("<|im_start|>", Self.turnStart), ("<|im_end|>", Self.turnEnd)]
        while !rest.isEmpty {
            let place = text.utf8.count - rest.utf8.count
            let found = special.first { name, _ in
                rest.hasPrefix(name) && !seams.contains { place < $0 && $0 < place + name.utf8.count }
            }
            if parseSpecial, let (name, id) = found {
                tokens.append(id)
                rest = rest.dropFirst(name.count)
            } else if rest.hasPrefix("ab") {
                tokens.append(Self.pair)
                rest = rest.dropFirst(2)
            } else {
                tokens += rest.removeFirst().utf8.map(Int32.init)
            }
        }
        return tokens
    }

    static func bytes(_ token: Int32) -> [UInt8] {
        switch token {
        case 0..<256: [UInt8(token)]
        case pair: Array("ab".utf8)
        default: []
        }
    }

    func decode(_ tokens: [Int32], renderSpecial: Bool) -> String {
        String(decoding: tokens.flatMap(Self.bytes), as: UTF8.self)
    }

    func isControl(_ token: Int32) -> Bool { (256...258).contains(token) }

    func makeTextDecoder(showing control: ShownControlTokens) -> any TextDecoder { Decoder(shown: control) }

    func makeConstraint(_ pattern: OutputPattern) throws -> any TokenConstraint {
        guard let makesConstraint else { throw NoConstraints() }
        return try makesConstraint(pattern)
    }

    struct NoConstraints: Error {}

    func tokens(containing texts: [String]) -> Set<Int32> { Set(texts.flatMap(\.utf8).map(Int32.init)) }

    func makeRunner(parallel: Int) throws -> any StepRunner { Runner(self) }

    /// Whole characters only, as far as these tests need it.
    private struct Decoder: TextDecoder {
        let shown: ShownControlTokens
        var pending: [UInt8] = []

        mutating func append(_ token: Int32) -> String {
            if shown.contains(token), token == ScriptedModel.turnStart { return "<|im_start|>" }
            if shown.contains(token), token == ScriptedModel.turnEnd { return "<|im_end|>" }
            pending += ScriptedModel.bytes(token)
            guard let text = String(validating: pending, as: UTF8.self) else { return "" }
            pending = []
            return text
        }

        mutating func finish() -> String { String(decoding: pending, as: UTF8.self) }
    }

    private final class Sequence: StepSequence {
        let capacity: Int
        var tokens: [Int32] = []
        var decodes = 0
        var isLong = false
        let needsSnapshots = false

        init(capacity: Int) { self.capacity = capacity }

        var count: Int { tokens.count }
        func reset() { tokens = [] }
        func canTruncate(to newCount: Int) -> Bool { true }
        func truncate(to newCount: Int) -> Bool {
            tokens.removeSubrange(newCount...)
            return true
        }
        func copyCheckpoint() -> StateCheckpoint? { nil }
        func adopt(count newCount: Int, checkpoint: StateCheckpoint?) {}
    }

    private final class Runner: StepRunner {
        let model: ScriptedModel
        let promptRows = 1 << 20
        let longContext: Int? = nil
        let copies: SequenceCopies? = nil
        let logits = UnsafeMutableBufferPointer<Float>.allocate(capacity: 260)

        init(_ model: ScriptedModel) { self.model = model }

        deinit { logits.deallocate() }

        func makeSequence() throws -> any StepSequence {
            model.log.withLock { $0.generators += 1 }
            return Sequence(capacity: model.contextLength)
        }

        func run(
            _ pieces: [StepPiece], advanced: () -> Void,
            deliver: (Int, Int, UnsafeMutableBufferPointer<Float>) -> Void
        ) {
            let sequences = pieces.compactMap { $0.sequence as? Sequence }
            for (sequence, piece) in zip(sequences, pieces) {
                let isAnswer = piece.tokens.count == 1 && piece.logits == .last && sequence.count > 0
                if isAnswer { model.beforeDecode(sequence.decodes) }
                sequence.tokens += piece.tokens
                model.log.withLock { log in
                    log.threads.insert(Thread.current.name ?? "")
                    if isAnswer {
                        sequence.decodes += 1
                        log.decoded += piece.tokens
                    } else {
                        log.synced.append(sequence.tokens)
                    }
                }
            }
            advanced()
            for (index, sequence) in sequences.enumerated() where pieces[index].logits != .none {
                writeLogits(sequence.tokens)
                deliver(index, sequence.count - 1, logits)
            }
        }

        func embed(_ tokens: [Int32]) throws -> [Float] { [] }

        private func writeLogits(_ tokens: [Int32]) {
            guard let next = model.next(tokens) else { return logits.update(repeating: .nan) }
            logits.update(repeating: model.isFlat ? 0 : -100)
            logits[Int(next)] = model.isFlat ? 0 : 100
            // Printable ASCII only, so that a drawn text is text.
            if model.isFlat {
                for id in 0..<260 where !(0x20..<0x7F).contains(id) { logits[id] = -.infinity }
            }
        }
    }
}

/// The text of all `.text` events, and the last event.
func collect(
    _ events: AsyncThrowingStream<GenerationEvent, any Error>
) async throws -> (texts: [String], tokens: [Int32], reason: FinishReason?, usage: Usage?) {
    var texts: [String] = []
    var tokens: [Int32] = []
    var finish: (FinishReason, Usage)?
    for try await event in events {
        switch event {
        case .text(let text): texts.append(text)
        case .token(let token): tokens.append(token)
        case .finished(let reason, let usage): finish = (reason, usage)
        case .prefill, .reasoning, .toolCall, .toolOutput, .diagnostic: break
        }
    }
    return (texts, tokens, finish?.0, finish?.1)
}
