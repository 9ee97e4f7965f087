import ChatTemplates
import Foundation
import InferKit
import Tokenization

/// `POST /v1/completions`: plain text goes on; with `echo` and `logprobs` it is scored, as evaluation harnesses need.
struct Completions {
    let service: InferService

    static let mostPrompts = 1024

    func reply(to request: ServerRequest) async throws -> ServerReply {
        let fields = try Fields(body: request.body)
        var settings = try AnswerSettings(fields)
        if settings.maximumTokens == nil, fields["max_tokens"] == nil { settings.maximumTokens = 16 }
        settings.scoreAlternatives = try fields.int("logprobs", in: 0...100)
        let bestOf = try fields.int("best_of", in: 1...AnswerSettings.mostChoices) ?? settings.choices
        guard bestOf == settings.choices else {
            throw APIError.invalid("best_of is \(bestOf), expected the same as n", param: "best_of")
        }
        let model = try await service.catalog.model(named: fields.string("model"))
        let prompts = try prompts(fields, model)
        let echo = try fields.bool("echo") ?? false
        let grammar = try fields.string("grammar").map { ChatRequest.Format.grammar($0) }
        let format = model.format(grammar ?? fields["json_schema"].map { .schema($0) } ?? .text)
        var jobs: [ServingJob] = []
        for prompt in prompts {
            service.logPrompt(promptText(prompt, model), request)
            for choice in 0..<settings.choices {
                var job = settings.job(prompt.tokens, choice: choice)
                job.format = format
                if echo, choice == 0 { job.promptScoreAlternatives = settings.scoreAlternatives }
                // Evaluation harnesses ask for one token and take all scores but the last for the prompt's: there has to
                // be one, even where the text ends.
                if job.promptScoreAlternatives != nil, settings.maximumTokens == 1 {
                    job.options.ignoresEndOfGeneration = true
                }
                jobs.append(job)
            }
        }
        let head = Head(
            id: "cmpl-" + Identifiers.random(), created: Int(Date().timeIntervalSince1970),
            model: try fields.string("model") ?? model.name)
        let isStreamed = try fields.bool("stream") ?? false
        let wantsUsage = try fields["stream_options"].map { try Fields($0, path: "stream_options") }?
            .bool("include_usage")
        let answering = try service.answer(jobs, model, request)
        guard isStreamed else {
            let answers = try await answering.collect()
            service.log(request, model, answers.compactMap(\.result))
            return .json(completion(answers, prompts, settings, echo, head, model))
        }
        return .events(
            EventWriter.stream(disconnected: request.disconnected) { [settings] writer in
                let results = await stream(answering, prompts, settings, echo, head, wantsUsage ?? false, writer)
                service.log(request, model, results)
            })
    }

    private struct Head: Sendable {
        var id: String
        var created: Int
        var model: String
    }

    struct Prompt: Sendable {
        var tokens: [Int32]
        /// nil: given as tokens.
        var text: String?
    }

    // MARK: Prompts

    private func prompts(_ fields: Fields, _ model: ServedModel) throws -> [Prompt] {
        let value = try fields.required("prompt")
        if let suffix = try fields.string("suffix"), !suffix.isEmpty {
            guard let prefix = value.stringValue else {
                throw APIError.invalid("suffix needs prompt to be one text", param: "suffix")
            }
            return [Prompt(tokens: try model.infill(prefix: prefix, suffix: suffix), text: prefix)]
        }
        func prompt(_ value: JSONValue) throws -> Prompt {
            if let text = value.stringValue { return Prompt(tokens: model.tokens(ofText: text), text: text) }
            if let ids = value.arrayValue { return Prompt(tokens: try tokens(ids), text: nil) }
            throw fields.wrong("prompt", value, "a text, token ids, or an array of these")
        }
        func tokens(_ ids: [JSONValue]) throws -> [Int32] {
            try ids.map { id in
                guard let token = id.intValue.flatMap({ Int32(exactly: $0) }) else {
                    throw fields.wrong("prompt", id, "token ids")
                }
                return token
            }
        }
        guard let list = value.arrayValue, list.first?.intValue == nil else { return [try prompt(value)] }
        guard !list.isEmpty, list.count <= Self.mostPrompts else {
            throw APIError.invalid(
                "prompt has \(list.count) entries, expected 1 to \(Self.mostPrompts)", param: "prompt")
        }
        return try list.map(prompt)
    }

    // MARK: Replies

    private func completion(
        _ answers: [CollectedAnswer], _ prompts: [Prompt], _ settings: AnswerSettings, _ echo: Bool, _ head: Head,
        _ model: ServedModel
    ) -> JSONValue {
        let choices = answers.enumerated().map { index, answer -> JSONValue in
            let prompt = prompts[index / settings.choices]
            let scored = answers[index / settings.choices * settings.choices]
            var table = ScoreTable(model: model)
            if echo {
                table.addPrompt(prompt.tokens, scored.promptScores, hidesBOS: prompt.text != nil)
            }
            let echoed = echo ? (settings.scoreAlternatives != nil ? table.text : promptText(prompt, model)) : ""
            table.add(answer.scores)
            table.finish()
            return OpenAIParts.choice(
                index, [("text", .string(echoed + answer.content))],
                logprobs: settings.scoreAlternatives == nil ? .null : table.json, answer.end)
        }
        return [
            "id": .string(head.id), "object": "text_completion", "created": .int(head.created),
            "model": .string(head.model), "system_fingerprint": .string(OpenAIParts.fingerprint),
            "choices": .array(choices),
            "usage": OpenAIParts.usage(answers.compactMap(\.result), prompts: prompts.count),
        ]
    }

    private func promptText(_ prompt: Prompt, _ model: ServedModel) -> String {
        prompt.text ?? model.tokenizer.decode(prompt.tokens, renderSpecial: true)
    }

    private func stream(
        _ answering: Answering, _ prompts: [Prompt], _ settings: AnswerSettings, _ echo: Bool, _ head: Head,
        _ wantsUsage: Bool, _ writer: EventWriter
    ) async -> [ServingResult] {
        func sendChunk(_ choices: [JSONValue], usage: JSONValue? = nil) {
            var chunk = JSONObject([
                ("id", .string(head.id)), ("object", "text_completion"), ("created", .int(head.created)),
                ("model", .string(head.model)), ("system_fingerprint", .string(OpenAIParts.fingerprint)),
                ("choices", .array(choices)),
            ])
            if let usage { chunk["usage"] = usage }
            writer.send(.object(chunk))
        }
        let model = answering.model
        // Scores that wait for the text that they belong to, and where it begins.
        var tables = answering.jobs.map { _ in ScoreTable(model: model) }
        var results = answering.jobs.map { _ in ServingResult?.none }
        for await (index, event) in answering.events() {
            func send(_ text: String, _ end: AnswerEnd? = nil) {
                let logprobs = tables[index].takeJSON()
                sendChunk([OpenAIParts.choice(index, [("text", .string(text))], logprobs: logprobs, end)])
            }
            switch event {
            case .started:
                guard echo else { break }
                let text = promptText(prompts[index / settings.choices], model)
                send(text)
                tables[index].skip(text)
            case .scores(let scores): tables[index].add(scores)
            case .content(let text): send(text)
            case .promptScores, .reasoning, .callBegan, .callArguments, .call: break
            case .finished(let outcome):
                results[index] = outcome.result
                if let failure = outcome.end.failure {
                    // One that fails ends the stream: no client reads on behind an error.
                    answering.giveUp()
                    writer.send(failure.openAI)
                    writer.sendDone()
                    return results.compactMap { $0 }
                }
                send("", outcome.end)
            }
        }
        let all = results.compactMap { $0 }
        if wantsUsage { sendChunk([], usage: OpenAIParts.usage(all, prompts: prompts.count)) }
        writer.sendDone()
        return all
    }
}

/// The old form of log-probabilities: four arrays of equal length, whose texts joined are the text of the reply.
private struct ScoreTable {
    let model: ServedModel
    private var decoder: StreamingDecoder
    private var tokens: [String] = []
    private var values: [Double?] = []
    private var tops: [[(String, Double)]?] = []
    private var offset = 0
    private var offsets: [Int] = []

    init(model: ServedModel) {
        self.model = model
        decoder = StreamingDecoder(model.tokenizer, renderSpecial: true)
    }

    /// The texts so far, joined.
    var text: String { tokens.joined() }

    private mutating func add(_ text: String, _ value: Double?, _ top: [(String, Double)]?) {
        tokens.append(text)
        values.append(value)
        tops.append(top)
        offsets.append(offset)
        skip(text)
    }

    /// Text that is not scored.
    mutating func skip(_ text: String) { offset += text.unicodeScalars.count }

    /// - Parameter hidesBOS: whether a token that the server has put in front is left out.
    mutating func addPrompt(_ prompt: [Int32], _ scores: [TokenScore], hidesBOS: Bool) {
        let skipped = hidesBOS && model.tokenizer.addBOS && prompt.first == model.tokenizer.bos ? 1 : 0
        let texts = model.pieces(of: Array(prompt.dropFirst(skipped)))
        for (index, text) in texts.enumerated() {
            let place = index + skipped
            // Nothing precedes the first.
            guard index > 0, place - 1 < scores.count else {
                add(text, nil, nil)
                continue
            }
            add(text, scores[place - 1].logProbability, top(scores[place - 1]))
        }
    }

    mutating func add(_ scores: [TokenScore]) {
        for score in scores { add(decoder.append(score.token), score.logProbability, top(score)) }
    }

    /// What is left of a character that was never completed.
    mutating func finish() {
        if let last = tokens.indices.last { tokens[last] += decoder.finish() }
    }

    /// The best tokens; the token itself is always among them.
    private func top(_ score: TokenScore) -> [(String, Double)] {
        var list = score.top.map { (model.text(of: $0.token), $0.logProbability) }
        if !score.top.contains(where: { $0.token == score.token }) {
            list.append((model.text(of: score.token), score.logProbability))
        }
        return list
    }

    var json: JSONValue {
        [
            "tokens": .array(tokens.map { .string($0) }),
            "token_logprobs": .array(values.map { $0.map { .double($0) } ?? .null }),
            "top_logprobs": .array(
                tops.map { top in
                    guard let top else { return .null }
                    // Different tokens may have the same text: the likelier one counts.
                    var object = JSONObject()
                    for (text, value) in top where object[text] == nil { object[text] = .double(value) }
                    return .object(object)
                }),
            "text_offset": .array(offsets.map { .int($0) }),
        ]
    }

    /// What there is since the last time; null if nothing is.
    mutating func takeJSON() -> JSONValue {
        guard !tokens.isEmpty else { return .null }
        defer { (tokens, values, tops, offsets) = ([], [], [], []) }
        return json
    }
}
