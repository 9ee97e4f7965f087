import ArgumentParser
import Foundation
import InferKit

/// `infer run`: answers one prompt, or chats when standard input is a terminal.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer a prompt, or chat. The default command.",
        discussion: """
            The prompt is the argument, a file (-f) or standard input; of an argument and a text in a file or at \
            standard input the argument comes first. From a terminal without a prompt a chat starts. A model with a chat template answers the prompt as a message; --raw continues it as plain text.

            The answer goes to standard output, everything else to standard error. Ctrl-C ends the answer and \
            prints what there is (exit code 130).

              infer --model qwen-9b.gguf "Name three rivers in Italy."
              infer --model qwen-9b.gguf --raw --echo "Once upon a time"
              infer --model qwen-9b.gguf "Summarise this letter:" < letter.txt
              infer --model qwen-9b.gguf -f letter.txt --system "Summarise." --json-output
              infer --model qwen-9b.gguf --tools --reasoning 500 "What is 1234 * 5678?"
              infer --model qwen-9b.gguf -j '{"type": "object", "properties": {"city": {"type": "string"}}}' \
                "Where is the Eiffel tower?"
            """)

    @OptionGroup(title: "Prompt") var prompt: PromptOptions
    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Answer") var answers: AnswerOptions
    @OptionGroup(title: "Sampling") var sampling: SamplingOptions

    @Flag(
        help: "Print one JSON object with text, reasoning, tool calls, finish reason and figures, at the end.")
    var jsonOutput = false

    @Flag(name: [.short, .long], help: "Print model, seed and speed to standard error.")
    var verbose = false

    func validate() throws {
        guard !prompt.raw || !answers.needsChat else {
            throw ValidationError("--tools and --reasoning need a chat; they do not go with --raw")
        }
    }

    func run() async throws {
        let text = try prompt.read()
        if text == nil, prompt.raw { throw ValidationError("--raw needs a prompt") }
        if text == nil, jsonOutput { throw ValidationError("--json-output needs a prompt") }
        if let text, text.allSatisfy(\.isWhitespace), !prompt.raw { throw ValidationError("the prompt is empty") }

        let plan = try answers.plan(sampling.options(seed: UInt64(UInt32.random(in: 0...UInt32.max))))
        let model = try loadModel()
        let interrupts = Interrupts()
        guard let text else {
            var chat = ChatLoop(
                model: model, instructions: prompt.system, plan: plan, isVerbose: verbose,
                interrupts: interrupts)
            return try await chat.run()
        }
        try await answer(text, model, plan, interrupts)
    }

    private func loadModel() throws -> GGUFLanguageModel {
        var progress = ProgressLine()
        defer { progress.clear() }
        progress.show("loading \(model.model)")
        return try GGUFLanguageModel(path: model.model, configuration: try model.configuration())
    }

    private func answer(
        _ text: String, _ model: GGUFLanguageModel, _ plan: AnswerPlan, _ interrupts: Interrupts
    ) async throws {
        let stop = StopFlag()
        let events: AsyncThrowingStream<GenerationEvent, any Error>
        if prompt.raw {
            interrupts.handle { stop.set() }
            if prompt.echo, !jsonOutput { try StandardOutput.write(text) }
            let tokens = model.tokenize(text, parseSpecial: true)
            events = model.generate(
                tokens: tokens, options: plan.options, schema: plan.schema, until: stop)
        } else {
            let session = LanguageModelSession(model: model, tools: plan.tools, instructions: prompt.system)
            interrupts.handle { session.cancel() }
            events = plan.events(session, text)
        }

        var reader = AnswerReader()
        do {
            try await reader.follow(events, isStreaming: !jsonOutput)
        } catch {
            if !jsonOutput, !reader.text.isEmpty { try? StandardOutput.line() }
            throw error
        }
        let printed = (prompt.echo ? text : "") + reader.text
        if !jsonOutput, !printed.endsWithLineBreak { try StandardOutput.line() }
        if let usage = reader.usage {
            let report = RunReport(
                information: model.information, seed: plan.options.seed ?? 0, text: printed, answer: reader,
                usage: usage)
            if jsonOutput { try StandardOutput.line(try report.json()) }
            if verbose { Terminal.writeMessage(report.summary) }
        }
        switch reader.reason {
        case .cancelled: throw ExitCode(130)
        case .maximumTokens where plan.schema != nil:
            throw CommandError("the limit of tokens cut the answer off: it is not complete JSON")
        case .contextFull where plan.schema != nil:
            throw CommandError("the context is full: the answer is not complete JSON")
        default: break
        }
    }
}
