import Synchronization

/// What came of one prompt so far: the part of the transcript that it becomes.
final class Turn: Sendable {
    private struct State {
        var entries: [Transcript.Entry]
        var reasoning = ""
        var text = ""
        var calls: [Transcript.ToolCall] = []
    }

    private let state: Mutex<State>

    init(prompt: String) { state = Mutex(State(entries: [.prompt(prompt)])) }

    /// Everything with an answer in it; nothing if there is only the prompt. Calls that nobody will answer are text:
    /// templates would refuse a conversation with them.
    var closedEntries: [Transcript.Entry] {
        state.withLock { state in
            var closed = state
            if !closed.calls.isEmpty {
                let text = closed.calls.map(\.description).joined(separator: "\n")
                closed.text += (closed.text.isEmpty ? "" : "\n") + text
                closed.calls = []
            }
            let all = closed.entries + Self.open(closed)
            return all.count > 1 ? all : []
        }
    }

    /// Everything, for the model to go on from.
    var conversation: [Transcript.Entry] { state.withLock { $0.entries + Self.open($0) } }

    var calls: [Transcript.ToolCall] { state.withLock { $0.calls } }

    private static func open(_ state: State) -> [Transcript.Entry] {
        var entries: [Transcript.Entry] = []
        if !state.reasoning.isEmpty { entries.append(.reasoning(state.reasoning)) }
        if !state.text.isEmpty { entries.append(.response(state.text)) }
        if !state.calls.isEmpty { entries.append(.toolCalls(state.calls)) }
        return entries
    }

    func add(_ event: GenerationEvent) {
        state.withLock { state in
            switch event {
            case .text(let delta): state.text += delta
            case .reasoning(let delta): state.reasoning += delta
            case .toolCall(let call): state.calls.append(call)
            // Not lost: it is what the model said.
            case .diagnostic(let problem): state.text += problem.unfinishedCall ?? ""
            case .prefill, .token, .toolOutput, .finished: break
            }
        }
    }

    /// The calls are answered: what comes next is another message.
    func add(_ outputs: [Transcript.ToolOutput]) {
        state.withLock { state in
            state.entries += Self.open(state) + outputs.map { .toolOutput($0) }
            (state.reasoning, state.text, state.calls) = ("", "", [])
        }
    }

    /// An answer without a word, which the model ended by itself, is an answer too.
    func noteEmptyAnswer() {
        state.withLock { state in
            if Self.open(state).isEmpty { state.entries.append(.response("")) }
        }
    }
}
