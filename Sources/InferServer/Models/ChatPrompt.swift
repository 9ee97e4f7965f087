import ChatTemplates
import InferKit
import Tokenization

extension ServedModel {
    /// - Throws: `APIError` for what the model's template, or a grammar, does not take.
    func prompt(for turn: ChatTurn) throws(APIError) -> ChatPrompt {
        do {
            return try model.prompt(for: turn.request)
        } catch {
            throw APIError.wrapping(error)
        }
    }

    /// Prompt lengths that other prompts are likely to share: before the first message of the user, and before the
    /// answer.
    func checkpoints(of prompt: ChatPrompt, _ turn: ChatTurn) -> [Int] {
        var bytes = [prompt.text.utf8.count - prompt.answer.generationPrompt.utf8.count]
        let messages = turn.request.conversation.messages
        if let index = messages.firstIndex(where: { $0.role == .user }), index > 0 || !turn.tools.isEmpty {
            var other = ChatRequest(turn.request.conversation)
            other.conversation.messages = Array(messages[..<index]) + [ChatMessage(.user, "\u{1}")]
            other.conversation.continuesLastMessage = false
            if let text = try? model.prompt(for: other).text {
                bytes.append(zip(prompt.text.utf8, text.utf8).prefix { $0 == $1 }.count)
            }
        }
        return bytes.map { tokenCount(prompt, bytes: $0) }.filter { $0 > 0 }
    }

    /// How many whole tokens the first bytes of the prompt make.
    private func tokenCount(_ prompt: ChatPrompt, bytes: Int) -> Int {
        var rest = bytes
        for (index, token) in prompt.tokens.enumerated() {
            let spelling = self.bytes(of: token)
            // A token that is in front without being in the text.
            if index == 0, token == tokenizer.bos, !prompt.text.utf8.starts(with: spelling) { continue }
            guard spelling.count <= rest else { return index }
            rest -= spelling.count
        }
        return prompt.tokens.count
    }

    /// How an answer of plain text is held to a form; nil: it is free.
    func format(_ format: ChatRequest.Format) -> AnswerFormat? {
        var answer = AnswerFormat()
        switch format {
        case .text: return nil
        case .json: answer.pattern = .schema(["type": "object"])
        case .schema(let schema): answer.pattern = .schema(schema)
        case .grammar(let text): answer.pattern = .gbnf(text)
        }
        return answer
    }
}
