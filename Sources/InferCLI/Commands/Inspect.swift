import ArgumentParser
import Engine
import GGUF
import ModelTools

/// `infer inspect`: what is in a model file, without running it.
struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is in a model file: metadata, tensors, sizes, memory needed; compare and check files.",
        discussion: """
            Works on every GGUF file, also on vocabularies without weights and on architectures that cannot be \
            run yet. Of a split file any part may be named.

              infer inspect model.gguf
              infer inspect model.gguf --stats --tensor 'blk\\.0\\.'
              infer inspect model.gguf --diff other.gguf
              infer inspect model.gguf --strict

            --stats reads all weights. --diff ends with exit code 1 if the files differ, --strict if the file is not a \
            sound model of its family.
            """)

    @Argument(
        help: ArgumentHelp("The GGUF file.", valueName: "file"), completion: .file(extensions: ["gguf"]))
    var file: String

    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp("Context length in tokens for which memory is computed.", valueName: "tokens"))
    var ctxSize = 4096

    @Flag(help: "Per tensor: range, mean, standard deviation, zeros, outliers, NaN, infinities.")
    var stats = false

    @Option(
        help: ArgumentHelp(
            "Compare with another file: metadata, tensors, shapes, types, and the distance of the values.",
            valueName: "other"),
        completion: .file(extensions: ["gguf"]))
    var diff: String?

    @Flag(
        help: """
            Check that every tensor of the family is there with the right shape and no other, that metadata, tokenizer \
            and chat template are understood, and that no weight is NaN or infinite.
            """)
    var strict = false

    @Option(
        help: ArgumentHelp(
            "With --stats or --diff: only tensors whose name matches a regular expression.", valueName: "regex"))
    var tensor: String?

    @Option(
        name: [.customShort("t"), .long],
        help: ArgumentHelp("Threads that read weights (default: one per physical core).", valueName: "count"))
    var threads: Int?

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    @Flag(name: .long, help: "Print long arrays and texts in full.")
    var full = false

    func validate() throws {
        // The same bound as for a file's own context length; sizes computed from it cannot overflow.
        guard 1...(1 << 26) ~= ctxSize else { throw ValidationError("--ctx-size must be 1 to \(1 << 26)") }
        if let threads, !(1...1024 ~= threads) { throw ValidationError("--threads must be 1 to 1024") }
        guard [stats, diff != nil, strict].count(where: { $0 }) <= 1 else {
            throw ValidationError("--stats, --diff and --strict are asked for one at a time")
        }
        if let tensor {
            guard stats || diff != nil else { throw ValidationError("--tensor goes with --stats or --diff") }
            do { _ = try TensorPattern(tensor) } catch { throw ValidationError("--tensor: \(error)") }
        }
    }

    func run() async throws {
        let file = try ModelFile.open(file)
        let threads = threads ?? EngineOptions().threads
        let pattern = try tensor.map { try TensorPattern($0) }
        let matches = { (tensor: GGUFTensor) in pattern?.matches(tensor.name) ?? true }
        var line = ProgressLine()
        let progress = { (done: Int, total: Int) in
            line.show("reading \(Int(Double(done) / Double(max(1, total)) * 100)) %")
        }
        if stats {
            let chosen = file.tensors.filter(matches)
            let report = StatisticsReport(file, tensors: chosen, threads: threads, progress: progress)
            line.clear()
            try StandardOutput.line(json ? try JSONOutput.text(report) : report.text)
        } else if let diff {
            let report = DifferenceReport(
                file, try ModelFile.open(diff), threads: threads, matches: matches, progress: progress)
            line.clear()
            try StandardOutput.line(json ? try JSONOutput.text(report) : report.text)
            if !report.isEmpty { throw ExitCode(1) }
        } else if strict {
            let report = ValidationReport(file, threads: threads, progress: progress)
            line.clear()
            try StandardOutput.line(json ? try JSONOutput.text(report) : report.text)
            if !report.problems.isEmpty { throw ExitCode(1) }
        } else {
            let summary = FileSummary(file, contextLength: ctxSize, full: full)
            try StandardOutput.line(json ? try JSONOutput.text(summary) : summary.text(full: full))
        }
    }
}
