import ChatTemplates
import InferKit

/// Pieces that several of OpenAI's APIs share.
enum OpenAIParts {
    /// Changes when the same seed might give another text.
    static let fingerprint = "infer-1"

    /// The prompt counts once for all its choices.
    /// - Parameter dropped: messages that were left out, told only if there are any.
    static func usage(_ results: [ServingResult], prompts: Int = 1, dropped: Int = 0) -> JSONValue {
        let perPrompt = max(results.count / max(prompts, 1), 1)
        let prompt = stride(from: 0, to: results.count, by: perPrompt).reduce(0) { $0 + results[$1].promptTokens }
        let generated = results.reduce(0) { $0 + $1.generatedTokens }
        let cached = stride(from: 0, to: results.count, by: perPrompt).reduce(0) { $0 + results[$1].cachedTokens }
        var details = JSONObject([("cached_tokens", .int(cached))])
        if dropped > 0 { details["dropped_messages"] = .int(dropped) }
        return [
            "prompt_tokens": .int(prompt), "completion_tokens": .int(generated),
            "total_tokens": .int(prompt + generated),
            "prompt_tokens_details": .object(details),
            "completion_tokens_details": ["reasoning_tokens": .int(results.reduce(0) { $0 + $1.reasoningTokens })],
        ]
    }

    static func timings(_ results: [ServingResult]) -> JSONValue {
        guard let first = results.first else { return .null }
        let generated = results.reduce(0) { $0 + $1.generatedTokens }
        let seconds = results.map { $0.timing.generation / .seconds(1) }.max() ?? 0
        let promptSeconds = first.timing.prompt / .seconds(1)
        let computed = first.promptTokens - first.cachedTokens
        return [
            "cache_n": .int(first.cachedTokens), "prompt_n": .int(computed), "prompt_ms": .double(promptSeconds * 1000),
            "prompt_per_second": .double(promptSeconds > 0 ? Double(computed) / promptSeconds : 0),
            "predicted_n": .int(generated), "predicted_ms": .double(seconds * 1000),
            "predicted_per_second": .double(seconds > 0 ? Double(generated) / seconds : 0),
        ]
    }

    /// A choice of an answer.
    /// - Parameter end: nil while it goes on.
    static func choice(
        _ index: Int, _ members: [(String, JSONValue)], logprobs: JSONValue, _ end: AnswerEnd?
    ) -> JSONValue {
        var choice = JSONObject([("index", .int(index))] + members)
        choice["logprobs"] = logprobs
        choice["finish_reason"] = JSONValue(end?.finishReason)
        if let details = end?.finishDetails { choice["finish_details"] = details }
        return .object(choice)
    }

    static func call(_ call: Transcript.ToolCall, id: String, isCustom: Bool = false) -> JSONValue {
        if isCustom {
            let input = ToolList.input(of: call.arguments.json)
            return [
                "id": .string(id), "type": "custom",
                "custom": ["name": .string(call.toolName), "input": .string(input)],
            ]
        }
        return [
            "id": .string(id), "type": "function",
            "function": [
                "name": .string(call.toolName), "arguments": .string(call.argumentsText),
            ],
        ]
    }

    /// A call as it is streamed: what it is; its arguments follow in pieces.
    static func callStart(_ name: String, index: Int, id: String, isCustom: Bool = false) -> JSONValue {
        let (type, text) = isCustom ? ("custom", ToolList.inputName) : ("function", "arguments")
        return .object(
            JSONObject([
                ("index", JSONValue.int(index)), ("id", .string(id)), ("type", .string(type)),
                (type, .object(JSONObject([("name", .string(name)), (text, .string(""))]))),
            ]))
    }

    /// A token's score in the chat API.
    static func score(_ score: TokenScore, _ model: ServedModel) -> JSONValue {
        var entry = tokenEntry(score.token, score.logProbability, model)
        entry["top_logprobs"] = .array(score.top.map { .object(tokenEntry($0.token, $0.logProbability, model)) })
        return .object(entry)
    }

    private static func tokenEntry(_ token: Int32, _ logProbability: Double, _ model: ServedModel) -> JSONObject {
        let bytes = model.bytes(of: token)
        return JSONObject([
            ("token", .string(String(decoding: bytes, as: UTF8.self))), ("logprob", .double(logProbability)),
            ("bytes", .array(bytes.map { .int(Int($0)) })),
        ])
    }
}

/// Names for things in replies.
enum Identifiers {
    private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")

    static func random(_ length: Int = 24) -> String {
        String((0..<length).map { _ in letters.randomElement() ?? "a" })
    }

    static func call() -> String { "call_" + random() }
}
