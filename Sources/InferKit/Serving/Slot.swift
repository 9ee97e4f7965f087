import Engine

/// The memory of one sequence and the tokens it holds, kept from one job to the next: what the next prompt has in common
/// with them need not be computed again. A session has one of its own, a scheduler some for everybody else.
///
/// The scheduler's thread uses it while a job runs on it, whoever owns it between two jobs; a job's last event is the
/// border between the two.
package final class Slot: @unchecked Sendable {
    private(set) var sequence: (any StepSequence)?
    /// The tokens whose effect the sequence holds.
    package private(set) var tokens: [Int32] = []
    /// A recurrent state cannot rewind, and a layer with a window not far, so the state at the end of the last prompt is
    /// kept: what usually follows is the same prompt with another ending.
    private var promptEnd: PromptEnd?
    var isBusy = false
    /// The scheduler's clock when a job last used it.
    var lastUse = 0

    private struct PromptEnd {
        let checkpoint: StateCheckpoint
        let logits: [Float]
    }

    package init() {}

    /// How many of the first tokens of a prompt need not be computed, if it runs here.
    func usablePrefix(of wanted: [Int32]) -> Int {
        guard let sequence else { return 0 }
        let common = commonPrefix(wanted)
        if common == tokens.count, common < wanted.count { return common }
        let keep = min(common, wanted.count - 1)
        if sequence.canTruncate(to: keep) { return keep }
        return promptEnd.map { $0.checkpoint.count <= common ? $0.checkpoint.count : 0 } ?? 0
    }

    private func commonPrefix(_ wanted: [Int32]) -> Int {
        var common = 0
        while common < min(tokens.count, wanted.count), tokens[common] == wanted[common] { common += 1 }
        return common
    }

    /// Makes the sequence hold what it has in common with a prompt.
    ///
    /// - Parameters:
    ///   - reuses: whether it may hold anything from before.
    ///   - isLong: how a sequence of the prompt's length is computed.
    /// - Returns: the logits behind the prompt where nothing is left to compute.
    func begin(_ wanted: [Int32], reuses: Bool, isLong: Bool, _ runner: any StepRunner) throws -> [Float]? {
        let sequence = try self.sequence ?? runner.makeSequence()
        self.sequence = sequence
        guard reuses, sequence.isLong == isLong else {
            forget()
            sequence.isLong = isLong
            return nil
        }
        let keep = usablePrefix(of: wanted)
        let end = promptEnd.flatMap { $0.checkpoint.count == keep && keep < tokens.count ? $0 : nil }
        if keep == tokens.count {
            // It goes on from where it is.
        } else if sequence.canTruncate(to: keep) {
            _ = sequence.truncate(to: keep)
        } else if let end {
            sequence.adopt(count: keep, checkpoint: end.checkpoint)
        } else {
            forget()
            return nil
        }
        tokens.removeSubrange(keep...)
        if let promptEnd, promptEnd.checkpoint.count > keep { self.promptEnd = nil }
        return keep == wanted.count ? promptEnd?.logits : nil
    }

    /// Empties the sequence and lets `fill` give it other tokens, which are computed already.
    func replace(by known: ArraySlice<Int32>, _ fill: (any StepSequence) -> Void) {
        forget()
        guard let sequence else { return }
        fill(sequence)
        tokens = Array(known)
    }

    /// Empties the sequence; its memory is kept.
    func forget() {
        sequence?.reset()
        sequence?.isLong = false
        tokens.removeAll(keepingCapacity: true)
        promptEnd = nil
    }

    /// The sequence has taken in these tokens.
    func advance(by computed: ArraySlice<Int32>) { tokens += computed }

    /// Keeps the end of a prompt where it could not be gone back to.
    /// - Parameter logits: those behind it.
    func keepPromptEnd(_ logits: [Float]) {
        guard let sequence, sequence.needsSnapshots, let checkpoint = sequence.copyCheckpoint() else { return }
        promptEnd = PromptEnd(checkpoint: checkpoint, logits: logits)
    }
}
