extension LanguageModelSession {
    /// An answer as it grows. Iterating gives snapshots: each holds all that there is so far.
    ///
    /// The work stops within one token when the consumer stops listening. A stream is read once, as snapshots or
    /// through one of its views.
    public struct ResponseStream<Content: Sendable>: Sendable {
        /// The answer so far.
        public struct Snapshot: Sendable {
            /// All there is so far.
            public var content: Content
            /// All thoughts so far, where the model marks them.
            public var reasoning = ""
        }

        let answer: RunningAnswer

        /// Everything that happens: progress of the prompt, tokens, text, and at the end reason and usage.
        public var events: AsyncThrowingStream<GenerationEvent, any Error> {
            let consumer = AnswerConsumer(answer)
            return AsyncThrowingStream { try await consumer.next() }
        }
    }
}

/// An answer under way, for whoever takes its events.
struct RunningAnswer: Sendable {
    let events: AsyncThrowingStream<GenerationEvent, any Error>
    /// Tells it to stop.
    let stop: @Sendable () -> Void
    /// Waits until all that there is of it is in the transcript.
    let end: @Sendable () async -> Void
}

/// Takes the events of an answer, and stops it when nobody takes them any more.
final class AnswerConsumer: Sendable {
    private let answer: RunningAnswer

    init(_ answer: RunningAnswer) { self.answer = answer }

    deinit { answer.stop() }

    func next() async throws -> GenerationEvent? {
        var events = answer.events.makeAsyncIterator()
        if let event = try await events.next() { return event }
        // A task that was cancelled is told of no more events, but finds the answer in the transcript.
        await answer.end()
        return nil
    }
}

extension LanguageModelSession.ResponseStream: AsyncSequence where Content == String {
    /// The element of the sequence.
    public typealias Element = Snapshot

    /// Iterates over snapshots.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let events: AnswerConsumer
        fileprivate var snapshot = Snapshot(content: "")

        /// The next snapshot, nil at the end of the answer.
        public mutating func next() async throws -> Snapshot? {
            while let event = try await events.next() {
                switch event {
                case .text(let delta): snapshot.content += delta
                case .reasoning(let delta): snapshot.reasoning += delta
                // The answer is what comes last.
                case .toolOutput: snapshot = Snapshot(content: "")
                default: continue
                }
                return snapshot
            }
            return nil
        }
    }

    /// The snapshots.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(events: AnswerConsumer(answer)) }

    /// Only what is new of the text in each step, also of text before a call.
    public var deltas: LanguageModelSession.TextDeltas { LanguageModelSession.TextDeltas(answer: answer) }

    /// Waits for the whole answer.
    ///
    /// - Throws: `CancellationError` when the task or the answer was cancelled before the end.
    public func collect() async throws -> LanguageModelSession.Response<String> {
        var text = ""
        var reasoning = ""
        let events = AnswerConsumer(answer)
        while let event = try await events.next() {
            switch event {
            case .text(let delta): text += delta
            case .reasoning(let delta): reasoning += delta
            // What was said before a call is in the transcript; the answer is what comes last.
            case .toolOutput: (text, reasoning) = ("", "")
            case .finished(let reason, let usage):
                if reason == .cancelled { throw CancellationError() }
                return LanguageModelSession.Response(
                    content: text, reasoning: reasoning, finishReason: reason, usage: usage)
            case .diagnostic(let problem): text += problem.unfinishedCall ?? ""
            case .prefill, .token, .toolCall: break
            }
        }
        throw CancellationError()
    }
}

extension LanguageModelSession {
    /// An answer in pieces: joined they are the whole text.
    public struct TextDeltas: AsyncSequence, Sendable {
        /// A piece of text.
        public typealias Element = String

        fileprivate let answer: RunningAnswer

        /// The pieces.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(events: AnswerConsumer(answer)) }

        /// Iterates over pieces.
        public struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate let events: AnswerConsumer

            /// The next piece, nil at the end of the answer.
            public mutating func next() async throws -> String? {
                while let event = try await events.next() {
                    if case .text(let delta) = event { return delta }
                }
                return nil
            }
        }
    }
}
