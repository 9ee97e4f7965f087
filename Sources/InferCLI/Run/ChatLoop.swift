import Foundation
import InferKit

/// A conversation at a terminal.
struct ChatLoop {
    private let model: GGUFLanguageModel
    private let instructions: String?
    private let plan: AnswerPlan
    private let isVerbose: Bool
    private let interrupts: Interrupts
    private var session: LanguageModelSession
    private var editor = LineEditor()

    init(
        model: GGUFLanguageModel, instructions: String?, plan: AnswerPlan, isVerbose: Bool,
        interrupts: Interrupts
    ) {
        self.model = model
        self.instructions = instructions
        self.plan = plan
        self.isVerbose = isVerbose
        self.interrupts = interrupts
        session = LanguageModelSession(model: model, tools: plan.tools, instructions: instructions)
    }

    mutating func run() async throws {
        let information = model.information
        Terminal.writeHint(
            "\(information.name ?? information.architecture) – /help shows what you can type, Ctrl-D ends")
        while let message = nextMessage() {
            switch ChatInput(message) {
            case .nothing: break
            case .quit: return
            case .help: Terminal.writeMessage(ChatInput.helpText)
            case .clear:
                session = LanguageModelSession(model: model, tools: plan.tools, instructions: instructions)
                Terminal.writeHint("the conversation is empty")
            case .save(let path): save(to: path)
            case .unknown(let command): Terminal.writeHint("there is no \(command); /help shows what there is")
            case .message(let text): try await answer(text)
            }
        }
    }

    /// One message of one or more lines, nil at the end.
    private mutating func nextMessage() -> String? {
        var collector = MessageCollector()
        while true {
            switch editor.read(prompt: collector.isEmpty ? "> " : "… ") {
            case .line(let line):
                if let message = collector.append(line) { return message }
            case .interrupted(let wasEmpty):
                if wasEmpty, collector.isEmpty { Terminal.writeHint("/quit or Ctrl-D ends the conversation") }
                collector = MessageCollector()
            case .end:
                return collector.isEmpty ? nil : collector.text
            }
        }
    }

    /// - Throws: where an answer cannot be printed; other failures are told, and the chat goes on.
    private func answer(_ text: String) async throws {
        let session = session
        interrupts.handle { session.cancel() }
        defer { interrupts.handle(nil) }
        var reader = AnswerReader()
        do {
            try await reader.follow(plan.events(session, text), isStreaming: true)
            if !reader.text.endsWithLineBreak { try StandardOutput.line() }
            switch reader.reason {
            case .cancelled: Terminal.writeHint("[stopped]")
            case .contextFull: Terminal.writeHint("[the context is full: /clear starts anew]")
            case .maximumTokens: Terminal.writeHint("[the limit of tokens was reached]")
            case .endOfText, .toolCalls, .stopSequence: break
            }
        } catch let error as CommandError {
            throw error
        } catch {
            if !reader.text.isEmpty { try? StandardOutput.line() }
            Terminal.writeMessage("Error: \(error)\n")
            if case LanguageModelSession.GenerationError.exceededContextWindowSize = error {
                Terminal.writeHint("/clear starts a new conversation")
            }
        }
        if isVerbose, let usage = reader.usage {
            let report = RunReport(
                information: model.information, seed: plan.options.seed ?? 0, text: reader.text, answer: reader,
                usage: usage)
            Terminal.writeMessage(report.summary)
        }
    }

    private func save(to path: String) {
        guard !path.isEmpty else { return Terminal.writeHint("/save needs the name of a file") }
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            let transcript = session.transcript
            let data =
                path.hasSuffix(".json") ? try encoder.encode(transcript) : Data(ChatInput.text(of: transcript).utf8)
            try OutputFile.write(data, to: path)
            Terminal.writeHint("\(transcript.count) messages saved to \(path)")
        } catch {
            Terminal.writeHint("\(error)")
        }
    }
}
