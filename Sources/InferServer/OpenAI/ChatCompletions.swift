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
            model: try fields.string("model") ?? model.name, showsScores: chat.settings.scoreAlternatives != nil,
            custom: chat.toolList.custom)
        guard isStreamed else {
            let answers = try await answering.collect()
            service.log(request, model, answers.compactMap(\.result))
            return .json(Self.completion(answers, head, answering))
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
        /// Tools that take free text.
        var custom: Set<String>
    }

    // MARK: At once

    private static func completion(_ answers: [CollectedAnswer], _ head: Head, _ answering: Answering) -> JSONValue {
        let choices = answers.enumerated().map { index, answer -> JSONValue in
            var message: JSONObject = JSONObject([
                ("role", "assistant"),
                ("content", answer.content.isEmpty && !answer.calls.isEmpty ? .null : .string(answer.content)),
                ("refusal", .null),
            ])
            if !answer.reasoning.isEmpty { message["reasoning_content"] = .string(answer.reasoning) }
            if !answer.calls.isEmpty {
                message["tool_calls"] = .array(
                    answer.calls.map {
                        OpenAIParts.call($0, id: Identifiers.call(), isCustom: head.custom.contains($0.toolName))
                    })
            }
            let scores = answer.scores.map { OpenAIParts.score($0, answering.model) }
            return OpenAIParts.choice(
                index, [("message", .object(message))],
                logprobs: head.showsScores ? ["content": .array(scores), "refusal": .null] : .null, answer.end)
        }
        return [
            "id": .string(head.id), "object": "chat.completion", "created": .int(head.created),
            "model": .string(head.model), "system_fingerprint": .string(OpenAIParts.fingerprint),
            "choices": .array(choices),
            "usage": OpenAIParts.usage(answers.compactMap(\.result), dropped: answering.droppedMessages),
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
        func choice(
            _ index: Int, _ delta: JSONObject, _ end: AnswerEnd? = nil, scores: [TokenScore] = []
        ) -> JSONValue {
            let entries = scores.map { OpenAIParts.score($0, answering.model) }
            return OpenAIParts.choice(
                index, [("delta", .object(delta))],
                logprobs: entries.isEmpty ? .null : ["content": .array(entries), "refusal": .null], end)
        }
        for index in answering.jobs.indices {
            send([choice(index, JSONObject([("role", "assistant"), ("content", "")]))])
        }
        var calls = answering.jobs.map { _ in 0 }
        var isCustom = answering.jobs.map { _ in false }
        var waitingScores: [[TokenScore]] = answering.jobs.map { _ in [] }
        var results: [ServingResult] = []
        for await (index, event) in answering.events() {
            func sendDelta(_ delta: JSONObject, _ end: AnswerEnd? = nil) {
                send([choice(index, delta, end, scores: waitingScores[index])])
                waitingScores[index] = []
            }
            func sendCall(_ call: JSONValue) { sendDelta(JSONObject([("tool_calls", .array([call]))])) }
            switch event {
            case .started, .promptScores: break
            case .scores(let scores): waitingScores[index] += scores
            case .content(let text): sendDelta(JSONObject([("content", .string(text))]))
            case .reasoning(let text): sendDelta(JSONObject([("reasoning_content", .string(text))]))
            case .callBegan(let name):
                isCustom[index] = head.custom.contains(name)
                sendCall(
                    OpenAIParts.callStart(
                        name, index: calls[index], id: Identifiers.call(), isCustom: isCustom[index]))
            case .callArguments(let text):
                // Free text is only known from the whole.
                if isCustom[index] { break }
                sendCall(["index": .int(calls[index]), "function": ["arguments": .string(text)]])
            case .call(let call):
                if isCustom[index] {
                    let input = ToolList.input(of: call.arguments.json)
                    sendCall(["index": .int(calls[index]), "custom": ["input": .string(input)]])
                }
                calls[index] += 1
            case .finished(let outcome):
                if let result = outcome.result { results.append(result) }
                if let failure = outcome.end.failure {
                    // One that fails ends the stream: no client reads on behind an error.
                    answering.giveUp()
                    writer.send(failure.openAI)
                    writer.sendDone()
                    return finished(results)
                }
                sendDelta(JSONObject(), outcome.end)
            }
        }
        if wantsUsage {
            send(
                [], usage: OpenAIParts.usage(results, dropped: answering.droppedMessages),
                timings: OpenAIParts.timings(results))
        }
        writer.sendDone()
        finished(results)
    }
}
