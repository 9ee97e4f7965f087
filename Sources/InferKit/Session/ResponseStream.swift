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
        }

        /// Everything that happens: progress of the prompt, tokens, text, and at the end reason and usage.
        public let events: AsyncThrowingStream<GenerationEvent, any Error>
    }
}

extension LanguageModelSession.ResponseStream: AsyncSequence where Content == String {
    /// The element of the sequence.
    public typealias Element = Snapshot

    /// Iterates over snapshots.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var events: AsyncThrowingStream<GenerationEvent, any Error>.AsyncIterator
        fileprivate var content = ""

        /// The next snapshot, nil at the end of the answer.
        public mutating func next() async throws -> Snapshot? {
            while let event = try await events.next() {
                guard case .text(let delta) = event else { continue }
                content += delta
                return Snapshot(content: content)
            }
            return nil
        }
    }

    /// The snapshots.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(events: events.makeAsyncIterator()) }

    /// Only what is new in each step.
    public var deltas: LanguageModelSession.TextDeltas { LanguageModelSession.TextDeltas(events: events) }

    /// Waits for the whole answer.
    ///
    /// - Throws: `CancellationError` when the task or the answer was cancelled before the end.
    public func collect() async throws -> LanguageModelSession.Response<String> {
        var text = ""
        for try await event in events {
            switch event {
            case .text(let delta): text += delta
            case .finished(let reason, let usage):
                if reason == .cancelled { throw CancellationError() }
                return LanguageModelSession.Response(content: text, finishReason: reason, usage: usage)
            case .prefill, .token: break
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

        fileprivate let events: AsyncThrowingStream<GenerationEvent, any Error>

        /// The pieces.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(events: events.makeAsyncIterator()) }

        /// Iterates over pieces.
        public struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate var events: AsyncThrowingStream<GenerationEvent, any Error>.AsyncIterator

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
