import ChatTemplates
import InferKit

/// A conversation that has become too long, without its oldest turns.
///
/// System messages stay, and so do the newest message of the user and what followed it last. What goes, goes in whole
/// turns from the oldest on: never a call without its results. So much goes that there is room for an answer too: for
/// the tokens that were asked for, but for no more than a quarter of the context.
struct ContextFit {
    let limit: Int
    let room: Int

    init(limit: Int, maximumTokens: Int?) {
        self.limit = limit
        room = min(maximumTokens ?? .max, limit / 4)
    }

    /// Beginnings to leave out, the shortest first; the first leaves out nothing.
    static func candidates(_ messages: [ChatMessage]) -> [[ChatMessage]] {
        func isSystem(_ message: ChatMessage) -> Bool { message.role == .system || message.role == .developer }
        let spoken = messages.indices.filter { !isSystem(messages[$0]) }
        var result = [messages]
        func leaveOut(_ range: [Int]) {
            let gone = Set(range)
            result.append(messages.indices.filter { !gone.contains($0) }.map { messages[$0] })
        }
        // Turns begin with a user's message that does not follow another.
        var starts: [Int] = []
        for (place, index) in spoken.enumerated() where messages[index].role == .user {
            if place == 0 || messages[spoken[place - 1]].role != .user { starts.append(place) }
        }
        for start in starts where start > 0 { leaveOut(Array(spoken[..<start])) }
        guard let last = starts.last else { return result }
        // Within the newest turn: rounds of calls and results.
        let firstRound = spoken[last...].firstIndex { messages[$0].role != .user } ?? spoken.count
        for place in spoken.indices where place > firstRound && messages[spoken[place]].role == .assistant {
            leaveOut(Array(spoken[..<last]) + Array(spoken[firstRound..<place]))
        }
        return result
    }

    /// - Parameter count: the tokens of a prompt of these messages.
    func shortened(
        _ messages: [ChatMessage], count: ([ChatMessage]) throws(APIError) -> Int
    ) throws(APIError) -> [ChatMessage] {
        if try count(messages) + room <= limit { return messages }
        let candidates = Self.candidates(messages)
        // The more is left out, the shorter the prompt: the first that fits is searched by halves.
        func first(_ fits: (Int) -> Bool) throws(APIError) -> [ChatMessage]? {
            var (low, high) = (0, candidates.count)
            while low < high {
                let middle = (low + high) / 2
                if fits(try count(candidates[middle])) { high = middle } else { low = middle + 1 }
            }
            return low < candidates.count ? candidates[low] : nil
        }
        if let fitting = try first({ $0 + room <= limit }) { return fitting }
        return try first { $0 < limit } ?? messages
    }
}

extension ChatTurn {
    /// Leaves out the oldest turns where the request allows it and there is no room for them.
    /// - Returns: the prompt.
    mutating func fit(_ model: ServedModel) throws(APIError) -> ChatPrompt {
        let limit = min(contextLimit ?? .max, model.contextLength)
        if dropsOldest {
            let fit = ContextFit(limit: limit, maximumTokens: settings.maximumTokens)
            let all = request.conversation.messages
            let turn = self
            request.conversation.messages = try fit.shortened(all) { messages throws(APIError) in
                var shorter = turn
                shorter.request.conversation.messages = messages
                return try model.prompt(for: shorter).tokens.count
            }
            droppedMessages = all.count - request.conversation.messages.count
        }
        let prompt = try model.prompt(for: self)
        guard limit < model.contextLength else { return prompt }
        guard prompt.tokens.count < limit else {
            throw APIError(ServingError.promptTooLong(tokens: prompt.tokens.count, contextLength: limit))
        }
        settings.maximumTokens = min(settings.maximumTokens ?? .max, limit - prompt.tokens.count)
        return prompt
    }
}
