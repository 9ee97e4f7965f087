import ArgumentParser
import ChatTemplates
import Engine
import Foundation
import GGUF
import ModelTools
import Tokenization

/// `infer eval perplexity`: how well a model foretells a text.
struct EvalPerplexity: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "How well a model foretells a text.",
        discussion: """
            The text is run in windows of --ctx-size tokens that begin --stride tokens apart. Every token is scored once, \
            in the first window that has something before it; with a stride as long as the window the first token of \
            each window is not scored.

              infer eval perplexity -m qwen.gguf letters.txt
              infer eval perplexity -m qwen-f16.gguf letters.txt --save-logits letters.logits
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Argument(help: ArgumentHelp("The text file; -: standard input.", valueName: "text"), completion: .file())
    var text: String

    @Option(
        help: ArgumentHelp("Write the logits of every scored token, for infer eval kl.", valueName: "file"))
    var saveLogits: String?

    @OptionGroup var windows: EvalWindowOptions
    @OptionGroup var output: EvalOutputOptions
    @OptionGroup var compute: EvalComputeOptions

    func run() throws {
        let run = try EvalRun(output.destination)
        if let saveLogits { try OutputFile.check(saveLogits) }
        run.note("loading \(modelPath.model)")
        let model = try compute.load(modelPath.model)
        let tokenizer = try Tokenizer(model.file.metadata)
        let text = try windows.cut.text(text, model, tokenizer)
        let scorer = try SequenceScorer(model, capacity: text.length)
        let perplexity = Perplexity(scorer, text)
        let writer = try saveLogits.map {
            try LogitsWriter(
                path: $0, text, vocabularySize: scorer.vocabularySize, fingerprint: scorer.vocabularyFingerprint)
        }
        try run.perform(
            Perplexity.Part.self,
            identity: "perplexity of \(EvalIdentity.model(modelPath.model)), \(text.identity)"
        ) { state in
            try perplexity.run(state, savingTo: writer) { run.progress($0, $1, "tokens") }
        } report: { parts in
            try Perplexity.result(parts, bytes: perplexity.scoredBytes(windows: parts.count)).map {
                try report($0, text, parts.count)
            }
        }
    }

    private func report(_ result: Perplexity.Result, _ text: ScoredText, _ windows: Int) throws -> EvalReport {
        var report = EvalReport()
        report.add("evaluation", .string("perplexity"))
        report.add("model", .string(modelPath.model))
        report.add("text", .string(self.text))
        report.add(text, tokens: result.tokens, windows: windows)
        report.add("perplexity", "perplexity", result.perplexity)
        report.add("nats_per_token", "nats per token", result.loss)
        if let bits = result.bitsPerByte { report.add("bits_per_byte", "bits per byte", bits) }
        report.add("bytes", .int(result.bytes))
        return report
    }
}

extension EvalReport {
    /// How much of a text was scored, and in which way.
    mutating func add(_ text: ScoredText, tokens: Int, windows: Int) {
        add("tokens", .int(tokens))
        add("text_tokens", .int(text.tokens.count))
        add("windows", .int(windows))
        add("ctx_size", .int(text.length))
        add("stride", .int(text.stride))
        add(
            "scored",
            text:
                "\(tokens) of \(text.tokens.count) tokens in \(windows) windows of \(text.length), stride \(text.stride)"
        )
    }
}
