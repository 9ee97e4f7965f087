import ArgumentParser
import ChatTemplates
import Engine
import Foundation
import GGUF
import ModelTools
import Tokenization

/// `infer eval kl`: how far a model's predictions are from those of a reference.
struct EvalKL: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kl",
        abstract: "How far a model's predictions are from those of a reference.",
        discussion: """
            For every scored token of the text the divergence KL(reference ‖ model) over the whole vocabulary, and \
            whether both find the same token the most likely. The reference is another model of the same vocabulary, \
            which runs beside this one, or a file of logits that infer eval perplexity --save-logits has written, \
            which also holds the text.

              infer eval kl -m qwen-q4.gguf --reference qwen-f16.gguf letters.txt
              infer eval kl -m qwen-q4.gguf --reference letters.logits
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Option(
        help: ArgumentHelp("The model or the logits to compare with.", valueName: "file"),
        completion: .file(extensions: ["gguf", "logits"]))
    var reference: String

    @Argument(help: ArgumentHelp("The text file; -: standard input.", valueName: "text"), completion: .file())
    var text: String?

    @OptionGroup var windows: EvalWindowOptions
    @OptionGroup var output: EvalOutputOptions
    @OptionGroup var compute: EvalComputeOptions

    func run() throws {
        let run = try EvalRun(output.destination)
        run.note("loading \(modelPath.model)")
        let model = try compute.load(modelPath.model)
        let tokenizer = try Tokenizer(model.file.metadata)
        let (comparison, reference) = try self.reference(model, tokenizer)
        let divergence = try Divergence(
            try SequenceScorer(model, capacity: comparison.length), against: reference, comparison)
        let identity =
            "kl of \(EvalIdentity.model(modelPath.model)) against \(EvalIdentity.model(self.reference)), "
            + comparison.identity
        try run.perform(Divergence.Part.self, identity: identity) { state in
            try divergence.run(state) { run.progress($0, $1, "tokens") }
        } report: { parts in
            Divergence.result(parts).map { report($0, comparison, parts.count) }
        }
    }

    private func reference(_ model: Model, _ tokenizer: Tokenizer) throws -> (ScoredText, Divergence.Reference) {
        guard LogitsFile.isLogits(path: reference) else {
            guard let text else { throw ValidationError("a text is missing; only a file of logits brings its own") }
            let scored = try windows.cut.text(text, model, tokenizer)
            let other = try compute.load(reference)
            return (scored, .model(try SequenceScorer(other, capacity: scored.length)))
        }
        let file = try LogitsFile(path: reference)
        guard windows.isDefault else {
            throw ValidationError("--ctx-size, --stride and --tokens are those of the file of logits")
        }
        if let text {
            var same = windows.cut
            (same.ctxSize, same.stride, same.tokens) = (file.text.length, file.text.stride, file.text.tokens.count)
            guard try same.text(text, model, tokenizer).tokens == file.text.tokens else {
                throw CommandError("\(reference) holds the logits of another text than \(text)")
            }
        }
        return (file.text, .file(file))
    }

    private func report(_ result: Divergence.Result, _ text: ScoredText, _ windows: Int) -> EvalReport {
        var report = EvalReport()
        report.add("evaluation", .string("kl"))
        report.add("model", .string(modelPath.model))
        report.add("reference", .string(reference))
        if let text = self.text { report.add("text", .string(text)) }
        report.add(text, tokens: result.tokens, windows: windows)
        report.add("kl_mean", "KL mean", result.mean, format: "%.6f")
        let quantiles = [
            ("kl_median", "KL median", result.median), ("kl_90", "KL 90 %", result.percentile90),
            ("kl_99", "KL 99 %", result.percentile99), ("kl_99_9", "KL 99.9 %", result.percentile999),
            ("kl_maximum", "KL maximum", result.maximum),
        ]
        for (key, label, value) in quantiles {
            report.add(key, .double(value))
            report.add(label, text: String(format: "%.6f", value))
        }
        report.add("top_1_agreement", "same top token", result.topAgreement, format: "%.3f", scale: 100)
        report.add("reference_perplexity", "reference's perplexity", result.referencePerplexity)
        report.add("perplexity", "perplexity", result.perplexity)
        report.add("nats_per_token_difference", "nats per token, difference", result.lossDifference, format: "%.6f")
        return report
    }
}
