import ArgumentParser
import ChatTemplates
import Engine
import ModelTools

/// `infer eval choice`: questions with several answers, scored by likelihood.
struct EvalChoice: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "choice",
        abstract: "Multiple choice by likelihood.",
        discussion: """
            Each line of the file is an object with prompt, choices and answer, the number of the right choice from 0 or \
            its text. acc takes the most likely choice, acc_norm the most likely per character, both as EleutherAI's \
            lm-evaluation-harness does.

              {"prompt": "A fox has", "choices": ["four legs", "six legs"], "answer": 0}

              infer eval choice -m qwen.gguf questions.jsonl
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Argument(
        help: ArgumentHelp("The items, JSON Lines.", valueName: "items"), completion: .file(extensions: ["jsonl"]))
    var items: String

    @Option(help: ArgumentHelp("What stands between prompt and choice.", valueName: "text"))
    var delimiter = " "

    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp(
            "Tokens that prompt and choice have room for; of longer ones the beginning is left away (default: what the "
                + "model was trained for, at most 4096).", valueName: "tokens"))
    var ctxSize: Int?

    @OptionGroup var output: EvalOutputOptions
    @OptionGroup var compute: EvalComputeOptions

    func run() throws {
        let run = try EvalRun(output.destination)
        let file = try EvalItems(path: items)
        let items = try file.choices()
        run.note("loading \(modelPath.model)")
        let model = try compute.load(modelPath.model)
        let choice = MultipleChoice(try SequenceScorer(model, capacity: ctxSize), delimiter: delimiter)
        let identity =
            "choice of \(EvalIdentity.model(modelPath.model)), items \(file.fingerprint), "
            + "delimiter \(delimiter.debugDescription), context \(try model.contextLength(ctxSize))"
        try run.perform(MultipleChoice.Part.self, identity: identity) { state in
            try choice.run(items, state) { run.progress($0, $1, "items") }
        } report: { parts in
            MultipleChoice.result(parts).map { result in
                var report = EvalReport()
                report.add("evaluation", .string("choice"))
                report.add("model", .string(modelPath.model))
                report.add("items_file", .string(file.path))
                report.add("items", .int(parts.count))
                report.add("items", text: "\(parts.count) of \(items.count)")
                report.add("acc", "acc", result.acc)
                report.add("acc_norm", "acc_norm", result.accNorm)
                return report
            }
        }
    }
}
