import Foundation
import InferKit

/// An answer with its figures, for people (`--verbose`) and for programs (`--json-output`).
struct RunReport {
    let information: ModelInformation
    let seed: UInt64
    let text: String
    let answer: AnswerReader
    let usage: Usage

    private var reason: FinishReason { answer.reason }

    /// Several lines.
    var summary: String {
        let parameters = Self.short(information.parameters)
        let active =
            information.activeParameters < information.parameters
            ? " (\(Self.short(information.activeParameters)) active per token)" : ""
        return """
            model    \(information.name ?? "unnamed"), \(information.architecture), \(parameters) parameters\(active)
            run      \(information.threads) threads, context \(information.contextLength) tokens, seed \(seed)
            prompt   \(usage.promptTokens) tokens, \(usage.cachedPromptTokens) of them cached, \
            \(Self.rate(usage.promptTokensPerSecond)) tokens/s
            answer   \(usage.generatedTokens) tokens, \(Self.rate(usage.tokensPerSecond)) tokens/s, \
            the first after \(Int(Self.seconds(usage.timeToFirstToken) * 1000)) ms; \(Self.words(reason))

            """
    }

    /// One object on one line.
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(Document(self)), as: UTF8.self)
    }

    private static func seconds(_ duration: Duration) -> Double { duration / .seconds(1) }

    private static func rate(_ value: Double) -> String { String(format: value < 100 ? "%.1f" : "%.0f", value) }

    private static func short(_ count: Int) -> String {
        switch count {
        case 1_000_000_000...: String(format: "%.1f B", Double(count) / 1e9)
        case 1_000_000...: String(format: "%.1f M", Double(count) / 1e6)
        default: "\(count)"
        }
    }

    private static func words(_ reason: FinishReason) -> String {
        switch reason {
        case .endOfText: "the model ended it"
        case .toolCalls: "the model called tools"
        case .stopSequence(let text): "stopped before \(text.debugDescription)"
        case .maximumTokens: "the limit of tokens was reached"
        case .contextFull: "the context is full"
        case .cancelled: "interrupted"
        }
    }

    private struct Document: Encodable {
        struct Figures: Encodable {
            let promptTokens, cachedPromptTokens, completionTokens, reasoningTokens: Int
            let promptTokensPerSecond, tokensPerSecond, timeToFirstToken: Double

            enum CodingKeys: String, CodingKey {
                case promptTokens = "prompt_tokens"
                case cachedPromptTokens = "cached_prompt_tokens"
                case completionTokens = "completion_tokens"
                case reasoningTokens = "reasoning_tokens"
                case promptTokensPerSecond = "prompt_tokens_per_second"
                case tokensPerSecond = "tokens_per_second"
                case timeToFirstToken = "time_to_first_token"
            }
        }

        struct Call: Encodable {
            let id, name: String
            let arguments: GeneratedContent
            /// Nil for a call that was not run.
            let output: String?
        }

        let text: String
        let reasoning: String?
        let toolCalls: [Call]?
        let diagnostics: [String]?
        let finishReason: String
        let stopSequence: String?
        let model: String?
        let seed: UInt64
        let usage: Figures

        enum CodingKeys: String, CodingKey {
            case text, reasoning, diagnostics, model, seed, usage
            case toolCalls = "tool_calls"
            case finishReason = "finish_reason"
            case stopSequence = "stop_sequence"
        }

        init(_ report: RunReport) {
            text = report.text
            let answer = report.answer
            reasoning = answer.reasoning.isEmpty ? nil : answer.reasoning
            // Outputs come in the order of the calls.
            let calls = answer.toolCalls.enumerated().map { index, call in
                let output = index < answer.toolOutputs.count ? answer.toolOutputs[index].text : nil
                return Call(id: call.id, name: call.toolName, arguments: call.arguments, output: output)
            }
            toolCalls = calls.isEmpty ? nil : calls
            diagnostics = answer.problems.isEmpty ? nil : answer.problems.map(\.message)
            model = report.information.name
            seed = report.seed
            switch report.reason {
            case .endOfText: (finishReason, stopSequence) = ("stop", nil)
            case .toolCalls: (finishReason, stopSequence) = ("tool_calls", nil)
            case .stopSequence(let text): (finishReason, stopSequence) = ("stop", text)
            case .maximumTokens, .contextFull: (finishReason, stopSequence) = ("length", nil)
            case .cancelled: (finishReason, stopSequence) = ("cancelled", nil)
            }
            usage = Figures(
                promptTokens: report.usage.promptTokens, cachedPromptTokens: report.usage.cachedPromptTokens,
                completionTokens: report.usage.generatedTokens, reasoningTokens: report.usage.reasoningTokens,
                promptTokensPerSecond: RunReport.rounded(report.usage.promptTokensPerSecond),
                tokensPerSecond: RunReport.rounded(report.usage.tokensPerSecond),
                timeToFirstToken: RunReport.rounded(RunReport.seconds(report.usage.timeToFirstToken)))
        }
    }

    private static func rounded(_ value: Double) -> Double { (value * 10_000).rounded() / 10_000 }
}
