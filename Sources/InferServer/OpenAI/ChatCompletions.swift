import ChatTemplates
import Foundation
import InferKit

/// `POST /v1/chat/completions`.
struct ChatCompletions {
    let service: InferService

    func reply(to request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        let chat = try ChatTurn(fields)
        let isStreamed = try fields.bool("stream") ?? false
        let wantsUsage = try fields["stream_options"].map { try Fields($0, path: "stream_options") }?.bool(
            "include_usage")
        let model = try await service.catalog.model(named: fields.string("model"))
        let answering = try service.answer(chat, model, request, streamsCalls: isStreamed)
        let head = Head(
            id: "chatcmpl-" + Identifiers.random(), created: Int(Date().timeIntervalSince1970),
            model: try fields.string("model") ?? model.name, showsScores: chat.settings.scoreAlternatives != nil)
        guard isStreamed else {
            let answers = try await answering.collect()
            service.log(request, model, answers.compactMap(\.result))
            return .json(Self.completion(answers, head, answering.model))
        }
        return .events(
            EventWriter.stream(disconnected: request.disconnected) { writer in
                await Self.stream(answering, head, wantsUsage ?? false, writer) { results in
                    service.log(request, model, results)
                }
            })
    }

    /// What all parts of a reply have in common.
    struct Head: Sendable {
        var id: String
        var created: Int
        var model: String
        var showsScores: Bool
    }

    // MARK: At once

    private static func completion(_ answers: [CollectedAnswer], _ head: Head, _ model: ServedModel) -> JSONValue {
        let choices = answers.enumerated().map { index, answer -> JSONValue in
            var message: JSONObject = JSONObject([
                ("role", "assistant"),
                ("content", answer.content.isEmpty && !answer.calls.isEmpty ? .null : .string(answer.content)),
                ("refusal", .null),
            ])
            if !answer.reasoning.isEmpty { message["reasoning_content"] = .string(answer.reasoning) }
            if !answer.calls.isEmpty {
                message["tool_calls"] = .array(answer.calls.map { OpenAIParts.call($0, id: Identifiers.call()) })
            }
            return [
                "index": .int(index), "message": .object(message),
                "logprobs": head.showsScores
                    ? ["content": .array(answer.scores.map { OpenAIParts.score($0, model) }), "refusal": .null] : .null,
                "finish_reason": .string(answer.result?.finishReason ?? "stop"),
            ]
        }
        return [
            "id": .string(head.id), "object": "chat.completion", "created": .int(head.created),
            "model": .string(head.model), "system_fingerprint": .string(OpenAIParts.fingerprint),
            "choices": .array(choices), "usage": OpenAIParts.usage(answers.compactMap(\.result)),
            "timings": OpenAIParts.timings(answers.compactMap(\.result)),
        ]
    }

    // MARK: Piece by piece

    private static func stream(
        _ answering: Answering, _ head: Head, _ wantsUsage: Bool, _ writer: EventWriter,
        finished: ([ServingResult]) -> Void
    ) async {
        func send(_ choices: [JSONValue], usage: JSONValue? = nil, timings: JSONValue? = nil) {
            var chunk = JSONObject([
                ("id", .string(head.id)), ("object", "chat.completion.chunk"), ("created", .int(head.created)),
                ("model", .string(head.model)), ("system_fingerprint", .string(OpenAIParts.fingerprint)),
                ("choices", .array(choices)),
            ])
            if let usage { chunk["usage"] = usage }
            if let timings { chunk["timings"] = timings }
            writer.send(.object(chunk))
        }
        func choice(_ index: Int, _ delta: JSONObject, reason: String? = nil, scores: [TokenScore] = []) -> JSONValue {
            [
                "index": .int(index), "delta": .object(delta),
                "logprobs": head.showsScores && !scores.isEmpty
                    ? ["content": .array(scores.map { OpenAIParts.score($0, answering.model) }), "refusal": .null]
                    : .null,
                "finish_reason": JSONValue(reason),
            ]
        }
        for index in answering.choices.indices {
            send([choice(index, JSONObject([("role", "assistant"), ("content", "")]))])
        }
        var calls = answering.choices.map { _ in 0 }
        var waitingScores: [[TokenScore]] = answering.choices.map { _ in [] }
        var results: [ServingResult] = []
        for await (index, event) in answering.events() {
            func sendDelta(_ delta: JSONObject, reason: String? = nil) {
                send([choice(index, delta, reason: reason, scores: waitingScores[index])])
                waitingScores[index] = []
            }
            switch event {
            case .scores(let scores): waitingScores[index] += scores
            case .content(let text): sendDelta(JSONObject([("content", .string(text))]))
            case .reasoning(let text): sendDelta(JSONObject([("reasoning_content", .string(text))]))
            case .callBegan(let name):
                let start = OpenAIParts.callStart(name, index: calls[index], id: Identifiers.call())
                sendDelta(JSONObject([("tool_calls", .array([start]))]))
            case .callArguments(let text):
                let piece: JSONValue = ["index": .int(calls[index]), "function": ["arguments": .string(text)]]
                sendDelta(JSONObject([("tool_calls", .array([piece]))]))
            case .call: calls[index] += 1
            case .finished(let result):
                results.append(result)
                if let failure = result.failure {
                    finished(results)
                    return writer.send(failure.openAI)
                }
                sendDelta(JSONObject(), reason: result.finishReason)
            }
        }
        if wantsUsage {
            send([], usage: OpenAIParts.usage(results), timings: OpenAIParts.timings(results))
        }
        writer.sendDone()
        finished(results)
    }
}
