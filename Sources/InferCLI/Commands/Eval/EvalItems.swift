import ChatTemplates
import Foundation
import ModelTools

/// Items of an evaluation: JSON Lines, one object each. Empty lines are passed over.
struct EvalItems {
    /// Objects with the number of their line, from 1.
    let objects: [(line: Int, object: JSONObject)]
    let path: String
    /// Names the content among others.
    let fingerprint: String

    init(path: String) throws {
        self.path = path
        let data = try TextFile.data(of: path)
        var objects: [(Int, JSONObject)] = []
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for (number, line) in data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            for byte in line { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            guard line.contains(where: { $0 > 0x20 }) else { continue }
            do {
                guard case .object(let object) = try JSONValue(parsing: [UInt8](line), maximumDepth: 32) else {
                    throw CommandError("\(path), line \(number + 1): expected a JSON object")
                }
                objects.append((number + 1, object))
            } catch let error as JSONError {
                throw CommandError("\(path), line \(number + 1): \(error)")
            }
        }
        guard !objects.isEmpty else { throw CommandError("\(path): there are no items") }
        self.objects = objects
        fingerprint = String(hash, radix: 16)
    }

    func error(_ line: Int, _ what: String) -> CommandError { CommandError("\(path), line \(line): \(what)") }

    func text(_ key: String, _ line: Int, _ object: JSONObject) throws -> String {
        guard let value = object[key] else { throw error(line, "\"\(key)\" is missing") }
        guard let text = value.stringValue else { throw error(line, "\"\(key)\" is not a text") }
        return text
    }

    /// A text or an array of texts, not empty; nil when the key is missing.
    func texts(_ key: String, _ line: Int, _ object: JSONObject) throws -> [String]? {
        guard let value = object[key] else { return nil }
        if let text = value.stringValue { return [text] }
        guard let list = value.arrayValue, !list.isEmpty, list.count <= 1000 else {
            throw error(line, "\"\(key)\" is not a text or an array of 1 to 1000 texts")
        }
        return try list.map { element in
            guard let text = element.stringValue else {
                throw error(line, "\"\(key)\" holds something else than texts")
            }
            return text
        }
    }

    // MARK: Multiple choice

    /// `{"prompt": "…", "choices": ["…", "…"], "answer": 0}`; the answer may also be the text of a choice.
    func choices() throws -> [MultipleChoice.Item] {
        try objects.map { line, object in
            let prompt = try text("prompt", line, object)
            guard let choices = try texts("choices", line, object) else { throw error(line, "\"choices\" is missing") }
            guard choices.count >= 2 else { throw error(line, "there is one choice, expected two or more") }
            if choices.contains("") { throw error(line, "a choice is empty") }
            let answer: Int
            switch object["answer"] {
            case .int(let index)?:
                guard choices.indices.contains(index) else {
                    throw error(line, "\"answer\" is \(index), expected 0 to \(choices.count - 1)")
                }
                answer = index
            case .string(let text)?:
                guard let index = choices.firstIndex(where: { $0.sameCodePoints(as: text) }) else {
                    throw error(line, "\"answer\" is none of the choices")
                }
                answer = index
            case nil: throw error(line, "\"answer\" is missing")
            default: throw error(line, "\"answer\" is not the number or the text of a choice")
            }
            return MultipleChoice.Item(line: line, prompt: prompt, choices: choices, answer: answer)
        }
    }

    // MARK: Generation

    /// `{"prompt": "…", "answer": "…"}`: or `"messages"` in place of a prompt, an array of answers that are all right, or
    /// `"regex"` in place of an answer.
    func prompts() throws -> [GenerationItem] {
        try objects.map { line, object in
            let messages = try messages(line, object)
            switch (try texts("answer", line, object), object["regex"]) {
            case (let answers?, nil):
                return GenerationItem(line: line, messages: messages, expectation: .exact(answers))
            case (nil, let pattern?):
                guard let text = pattern.stringValue else { throw error(line, "\"regex\" is not a text") }
                do {
                    return GenerationItem(line: line, messages: messages, expectation: .pattern(try Regex(text)))
                } catch let cause {
                    throw error(line, "\"regex\" is no regular expression: \(cause)")
                }
            default: throw error(line, "expected one of \"answer\" and \"regex\"")
            }
        }
    }

    private func messages(_ line: Int, _ object: JSONObject) throws -> [ChatMessage] {
        guard let value = object["messages"] else { return [ChatMessage(.user, try text("prompt", line, object))] }
        guard object["prompt"] == nil else { throw error(line, "expected one of \"prompt\" and \"messages\"") }
        guard let list = value.arrayValue, !list.isEmpty else { throw error(line, "\"messages\" is not an array") }
        return try list.map { message in
            guard let role = message["role"]?.stringValue.flatMap({ ChatMessage.Role(rawValue: $0) }),
                let content = message["content"]?.stringValue
            else { throw error(line, "a message has no known \"role\" or no \"content\"") }
            return ChatMessage(role, content)
        }
    }
}

/// A prompt and what its answer shall be.
struct GenerationItem {
    enum Expectation {
        /// One of these, white space around it aside.
        case exact([String])
        /// Found in the answer.
        case pattern(Regex<AnyRegexOutput>)
    }

    let line: Int
    let messages: [ChatMessage]
    let expectation: Expectation

    /// - Parameter extract: what of the answer counts: its last match, or the first group of that.
    func accepts(_ answer: String, extract: Regex<AnyRegexOutput>?, ignoresCase: Bool) -> Bool {
        var answer = answer
        if let extract {
            guard let match = answer.matches(of: extract).last else { return false }
            let part = match.output.count > 1 ? match.output[1].substring : match.output[0].substring
            answer = String(part ?? "")
        }
        switch expectation {
        case .exact(let right):
            func plain(_ text: String) -> String {
                let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
                return ignoresCase ? text.lowercased() : text
            }
            return right.contains { plain($0).sameCodePoints(as: plain(answer)) }
        case .pattern(let pattern):
            return answer.firstMatch(of: ignoresCase ? pattern.ignoresCase() : pattern) != nil
        }
    }
}
