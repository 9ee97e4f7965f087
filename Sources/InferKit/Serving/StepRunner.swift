package import Engine

/// What a scheduler needs of whatever computes: sequences, and steps that take tokens of several of them through the model
/// together. The engine implements it; tests put a scripted model in its place.
///
/// One owner at a time: the scheduler's thread.
package protocol StepRunner: AnyObject {
    /// Prompt tokens that one step has room for, beside one token of every answer.
    var promptRows: Int { get }
    /// Sequences longer than this are computed in another way from their first token on; nil: none are.
    var longContext: Int? { get }
    /// What the copies of a sequence consist of; nil: sequences cannot be copied, so prefixes are not kept.
    var copies: SequenceCopies? { get }

    /// A new empty sequence.
    /// - Throws: `EngineError`, when there is no memory for it.
    func makeSequence() throws -> any StepSequence

    /// Takes the pieces, of one sequence each, through the model.
    ///
    /// - Parameters:
    ///   - advanced: called once, when the sequences hold the new tokens and before the first logits come.
    ///   - deliver: receives the index of a piece, a position of its sequence and the logits behind it, for the rows that
    ///     were asked for. Positions of one piece come in order; several pieces may be served at once, each by one thread.
    func run(
        _ pieces: [StepPiece], advanced: () -> Void,
        deliver: (Int, Int, UnsafeMutableBufferPointer<Float>) -> Void)

    /// The vector of a text; see `Embedder`.
    func embed(_ tokens: [Int32]) throws -> [Float]
}

/// Consecutive tokens of one sequence inside a step.
package struct StepPiece {
    package let sequence: any StepSequence
    package let tokens: ArraySlice<Int32>
    /// The rows that are asked for logits.
    package let logits: LogitRows

    package init(_ sequence: any StepSequence, _ tokens: ArraySlice<Int32>, logits: LogitRows) {
        self.sequence = sequence
        self.tokens = tokens
        self.logits = logits
    }
}

/// The memory of one sequence of tokens; see `SequenceState` for what its members promise.
package protocol StepSequence: AnyObject {
    /// Tokens seen so far.
    var count: Int { get }
    /// Tokens that fit.
    var capacity: Int { get }
    /// Set while the sequence is empty.
    var isLong: Bool { get set }
    /// Whether ``canTruncate(to:)`` may say no.
    var needsSnapshots: Bool { get }

    func reset()
    func canTruncate(to newCount: Int) -> Bool
    func truncate(to newCount: Int) -> Bool
    func copyCheckpoint() -> StateCheckpoint?
    func adopt(count newCount: Int, checkpoint: StateCheckpoint?)
}

extension SequenceState: StepSequence {}

/// Facts about copies of sequences, for whoever keeps them.
package struct SequenceCopies {
    package let layout: StateLayout
    /// Bytes of one ``StateCheckpoint``.
    package let checkpointBytes: Int
    /// Tells apart models, cache types and versions whose arithmetic differs.
    package let fingerprint: () -> UInt64
}
