import ArgumentParser
import ChatTemplates
import Foundation
import InferKit
import ModelTools

/// `infer eval generate`: answers to prompts, compared with what they shall be.
struct EvalGenerate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Answers to prompts, compared with what they shall be.",
        discussion: """
            Each line of the file is an object with prompt (or messages) and answer, one text or several that are right, \
            or regex, which has to be found in the answer. The model gets the prompt as a message, with --raw as plain \
            text to go on with. An answer has to be the same but for white space around it; --extract says which part \
            of it counts. Always the most likely token is taken unless --temp says otherwise.

              {"prompt": "What is 17 + 25?", "answer": "17 + 25 = 42."}
              {"messages": [{"role": "user", "content": "Name a river in Italy."}], "regex": "Po|Arno|Tiber"}

              infer eval generate -m qwen.gguf sums.jsonl -n 64
              infer eval generate -m qwen.gguf sums.jsonl --extract '(\\d+)\\.?$'
            """)

    @Argument(
        help: ArgumentHelp("The items, JSON Lines.", valueName: "items"), completion: .file(extensions: ["jsonl"]))
    var items: String

    @Flag(help: "Go on with the prompt as plain text.")
    var raw = false

    @Option(help: ArgumentHelp("What the model is told before each prompt.", valueName: "text"))
    var system: String?

    @Option(
        name: [.customShort("n"), .customLong("predict")],
        help: ArgumentHelp("Most tokens of an answer.", valueName: "tokens"))
    var predict = 256

    @Option(help: ArgumentHelp("End an answer before this text. May be given several times.", valueName: "text"))
    var stop: [String] = []

    @Option(name: [.customLong("temp"), .customLong("temperature")], help: "0: always the most likely token.")
    var temperature = 0.0

    @Option(name: [.short, .long], help: ArgumentHelp("The same seed gives the same answers.", valueName: "number"))
    var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "What of an answer counts: the last match of a regular expression, or its first group.", valueName: "regex")
    )
    var extract: String?

    @Flag(help: "Upper and lower case are the same.")
    var ignoreCase = false

    @OptionGroup var output: EvalOutputOptions
    @OptionGroup(title: "Model") var model: ModelOptions

    func validate() throws {
        guard predict >= 1 else { throw ValidationError("--predict must be at least 1") }
        guard !raw || system == nil else { throw ValidationError("--system needs a chat; it does not go with --raw") }
        _ = try extraction()
        do { try options.validate() } catch { throw ValidationError("\(error)") }
    }

    /// What one item gave.
    struct Part: Codable, Equatable {
        var line: Int
        var output: String
        var correct: Int
        var tokens: Int
        /// False when the limit of tokens or of the context ended it.
        var ended: Bool
    }

    func run() async throws {
        let run = try EvalRun(output.destination)
        let file = try EvalItems(path: items)
        let items = try file.prompts()
        if raw, let item = items.first(where: { $0.messages.count != 1 }) {
            throw file.error(item.line, "--raw needs a \"prompt\", found \"messages\" of a conversation")
        }
        run.note("loading \(model.model)")
        let language = try GGUFLanguageModel(path: model.model, configuration: try model.configuration())
        let state = try run.open(Part.self, identity: identity(file))
        var isComplete = true
        for (number, item) in items.enumerated().dropFirst(state.records.count) {
            isComplete = run.progress(number, items.count, "items")
            guard isComplete, let part = try await answer(item, language, file, run.answerFlag()) else {
                isComplete = false
                break
            }
            try state.append(part)
        }
        try run.close(state, isComplete: isComplete) { parts in try report(parts, of: items.count) }
    }

    private var options: GenerationOptions {
        var options = GenerationOptions(temperature: temperature, maximumResponseTokens: predict)
        options.stopSequences = stop
        options.seed = seed
        return options
    }

    private func extraction() throws -> Regex<AnyRegexOutput>? {
        try extract.map { text in
            do { return try Regex(text) } catch {
                throw ValidationError("--extract is no regular expression: \(error)")
            }
        }
    }

    private func identity(_ file: EvalItems) -> String {
        let how = [
            raw ? "raw" : "chat", system ?? "", "\(predict)", stop.joined(separator: "|"), "\(temperature)", "\(seed)",
            extract ?? "", "\(ignoreCase)", model.chatFormat?.rawValue ?? "", model.chatTemplateFile ?? "",
            model.compute.ctxSize.map(String.init) ?? "",
        ]
        return
            "generate of \(EvalIdentity.model(model.model)), items \(file.fingerprint), \(how.joined(separator: ","))"
    }

    /// Nil after Ctrl-C.
    private func answer(
        _ item: GenerationItem, _ language: GGUFLanguageModel, _ file: EvalItems, _ stop: StopFlag
    ) async throws -> Part? {
        let events: AsyncThrowingStream<GenerationEvent, any Error>
        if raw {
            let tokens = language.tokenize(item.messages[0].content, parseSpecial: true)
            events = language.generate(tokens: tokens, options: options, until: stop)
        } else {
            let messages = (system.map { [ChatMessage(.system, $0)] } ?? []) + item.messages
            let prompt = try language.prompt(for: ChatRequest(Conversation(messages: messages)))
            events = language.generate(prompt, options: options, until: stop)
        }
        var text = ""
        do {
            for try await event in events {
                switch event {
                case .text(let delta): text += delta
                case .finished(.cancelled, _): return nil
                case .finished(let reason, let usage):
                    let isRight = item.accepts(text, extract: try extraction(), ignoresCase: ignoreCase)
                    return Part(
                        line: item.line, output: text, correct: isRight ? 1 : 0, tokens: usage.generatedTokens,
                        ended: reason != .maximumTokens && reason != .contextFull)
                default: break
                }
            }
        } catch let error as LanguageModelSession.GenerationError {
            throw file.error(item.line, "\(error)")
        }
        return nil
    }

    private func report(_ parts: [Part], of count: Int) throws -> EvalReport? {
        guard let correct = Estimate(mean: parts.map { Double($0.correct) }) else { return nil }
        let tokens = parts.reduce(0) { $0 + $1.tokens }
        let cut = parts.count { !$0.ended }
        var report = EvalReport()
        report.add("evaluation", .string("generate"))
        report.add("model", .string(model.model))
        report.add("items_file", .string(items))
        report.add("items", .int(parts.count))
        report.add("items", text: "\(parts.count) of \(count)")
        report.add("correct", "correct", correct)
        report.add("generated_tokens", .int(tokens))
        report.add("cut_off", .int(cut))
        report.add("tokens", text: "\(tokens) generated; \(cut) answers cut off")
        return report
    }
}
