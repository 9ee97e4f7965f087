extension TemplateTraits {
    /// The messages in a form that the template takes and shows in full. Every change is made at the message that needs
    /// it and depends on nothing behind, so that the prompt of the next turn begins with that of this one.
    func fitted(_ conversation: Conversation) -> [ChatMessage] {
        var messages = joiningThoughts(conversation.messages)
        if !knowsDeveloper {
            for i in messages.indices where messages[i].role == .developer { messages[i].role = .system }
        }
        if !rendersTools, !conversation.tools.isEmpty { describe(conversation.tools, in: &messages) }
        messages = rendersCalls ? fittingCalls(messages) : messages.map(inWords)
        messages = fittingSystem(messages)
        if bridge != .none { messages = bridging(messages) }
        if joinsNeighbours { messages = joiningNeighbours(messages) }
        return shortensIDs ? shorteningIDs(messages) : messages
    }

    /// A thought alone belongs to what the assistant wrote after it. (In the Responses API it is an item of its own.)
    private func joiningThoughts(_ messages: [ChatMessage]) -> [ChatMessage] {
        var result: [ChatMessage] = []
        var thoughts: [String] = []
        for (index, message) in messages.enumerated() {
            guard message.role == .assistant, let reasoning = message.reasoning else {
                var message = message
                if !thoughts.isEmpty { message.reasoning = thoughts.joined(separator: "\n") }
                thoughts = []
                result.append(message)
                continue
            }
            thoughts.append(reasoning)
            let isAlone = message.content.isEmpty && message.toolCalls.isEmpty
            if isAlone, index + 1 < messages.count, messages[index + 1].role == .assistant { continue }
            var message = message
            message.reasoning = thoughts.joined(separator: "\n")
            thoughts = []
            result.append(message)
        }
        return result
    }

    // MARK: Tools and calls as words

    private func describe(_ tools: [JSONValue], in messages: inout [ChatMessage]) {
        let description = ToolPrompt.description(of: tools)
        if let first = messages.first, first.role == .system || first.role == .developer {
            messages[0].content += "\n\n" + description
        } else {
            messages.insert(ChatMessage(.system, description), at: 0)
        }
    }

    private func inWords(_ message: ChatMessage) -> ChatMessage {
        var message = message
        let calls = message.toolCalls.map(ToolPrompt.text)
        if !calls.isEmpty {
            let content = message.content
            message.content = ((content.isEmpty ? [] : [content]) + calls).joined(separator: "\n")
            message.toolCalls = []
        }
        guard message.role == .tool, !rendersResults else { return message }
        return ChatMessage(.user, ToolPrompt.text(ofResult: message.content))
    }

    // MARK: Calls

    private func fittingCalls(_ messages: [ChatMessage]) -> [ChatMessage] {
        var result: [ChatMessage] = []
        var rest = messages[...]
        while var message = rest.popFirst() {
            if textBesideCalls == .ownMessage, !message.toolCalls.isEmpty, !message.content.isEmpty {
                var text = message
                text.toolCalls = []
                result.append(text)
                message.content = ""
                message.reasoning = nil
            }
            guard callSequence != .together, message.toolCalls.count > 1 else {
                result.append(message)
                continue
            }
            var results: [ChatMessage] = []
            if callSequence == .inTurns {
                results = Array(rest.prefix { $0.role == .tool })
                rest = rest.dropFirst(results.count)
            }
            for (index, call) in message.toolCalls.enumerated() {
                var part = index == 0 ? message : ChatMessage(.assistant, "")
                part.toolCalls = [call]
                result.append(part)
                // A result that names no call belongs to the first that has none.
                let own = results.firstIndex { $0.toolCallID == nil || $0.toolCallID == call.id }
                if let own { result.append(results.remove(at: own)) }
            }
            result += results
        }
        return result
    }

    // MARK: System messages

    private static func isSystem(_ message: ChatMessage) -> Bool {
        message.role == .system || message.role == .developer
    }

    private func fittingSystem(_ messages: [ChatMessage]) -> [ChatMessage] {
        var front = Array(messages.prefix(while: Self.isSystem))
        var rest = Array(messages.dropFirst(front.count))
        if system != .anywhere {
            for i in rest.indices where Self.isSystem(rest[i]) { rest[i].role = .user }
        }
        guard !front.isEmpty else { return rest }
        let isBehindLastQuestion = showsSystemAtLastQuestion && !rest.isEmpty && rest.last?.role != .user
        let goesToUser = system == .nowhere || wantsUserBehindSystem && !rest.contains { $0.role == .user }
        if front.count > 1, joinsFrontSystem || goesToUser || isBehindLastQuestion {
            front[0].content = front.map(\.content).joined(separator: "\n\n")
            front.removeLast(front.count - 1)
        }
        guard goesToUser || isBehindLastQuestion else { return front + rest }
        let question = goesToUser ? rest.indices.first : rest.lastIndex { $0.role == .user }
        if let question, rest[question].role == .user {
            rest[question].content = front[0].content + "\n\n" + rest[question].content
            return rest
        }
        return [ChatMessage(.user, front[0].content)] + rest
    }

    // MARK: Order

    private func bridging(_ messages: [ChatMessage]) -> [ChatMessage] {
        var result: [ChatMessage] = []
        var isBehindResult = false
        for message in messages {
            let behindCall = result.last.map { $0.role == .tool || !$0.toolCalls.isEmpty } ?? false
            if message.role == .user, behindCall, bridge == .emptyAnswer || !isBehindResult {
                result.append(ChatMessage(.assistant, ""))
            }
            result.append(message)
            isBehindResult = message.role == .tool || message.role == .user && isBehindResult
        }
        guard bridge == .joined else { return result }
        return joiningRuns(result) { before, message in
            message.role == .user && (before.role == .tool || before.role == .user)
        }
    }

    private func joiningNeighbours(_ messages: [ChatMessage]) -> [ChatMessage] {
        joiningRuns(messages) { before, message in
            before.role == message.role && message.role != .tool && before.toolCalls.isEmpty
                && message.toolCalls.isEmpty
        }
    }

    /// - Parameter belongs: whether a message belongs to the one in front of it.
    private func joiningRuns(
        _ messages: [ChatMessage], _ belongs: (ChatMessage, ChatMessage) -> Bool
    ) -> [ChatMessage] {
        var joined: [ChatMessage] = []
        var rest = messages[...]
        while let first = rest.popFirst() {
            var run = [first]
            while let last = run.last, let next = rest.first, belongs(last, next) { run.append(rest.removeFirst()) }
            var message = first
            if run.count > 1 {
                message.content = run.map(\.content).filter { !$0.isEmpty }.joined(separator: "\n\n")
                let thoughts = run.compactMap(\.reasoning)
                message.reasoning = thoughts.isEmpty ? nil : thoughts.joined(separator: "\n")
            }
            joined.append(message)
        }
        return joined
    }

    // MARK: Ids

    private func shorteningIDs(_ messages: [ChatMessage]) -> [ChatMessage] {
        var shortIDs: [CodePoints: String] = [:]
        var taken: Set<String> = []
        var number = 0
        func short(_ id: String) -> String {
            if let known = shortIDs[CodePoints(id)] { return known }
            var short = id
            let fits = id.utf8.count == 9 && id.utf8.allSatisfy { Character(Unicode.Scalar($0)).isASCIIWord }
            while !fits && short == id || taken.contains(short) {
                let digits = String(number)
                short = "call" + String(repeating: "0", count: max(0, 5 - digits.utf8.count)) + digits
                number += 1
            }
            shortIDs[CodePoints(id)] = short
            taken.insert(short)
            return short
        }
        return messages.map { message in
            var message = message
            for i in message.toolCalls.indices { message.toolCalls[i].id = message.toolCalls[i].id.map(short) }
            message.toolCallID = message.toolCallID.map(short)
            return message
        }
    }
}
