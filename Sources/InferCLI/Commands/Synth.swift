import ArgumentParser
import Foundation
import GGUF
import ModelTools

/// `infer synth`: a random-weight model of true shape, for measuring speed without a download.
struct Synth: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a random-weight model of true shape, for measuring speed.",
        discussion: """
            The file has the shapes, names, metadata and mixture of number formats of a published model, and \
            random weights: it computes what the model would compute and says nothing sensible. \
            Other engines load it too.

              infer synth --list
              infer synth --preset qwen3.5-9b --quant Q4_K_M -o qwen.gguf
            """)

    @Option(help: "Which model: a name from --list, or the path of a preset file.")
    var preset: String?

    @Option(help: "Number format or mixture, such as Q4_K_M, Q8_0, F16.")
    var quant = "Q4_K_M"

    @Option(name: [.short, .long], help: "The file to write.", completion: .file(extensions: ["gguf"]))
    var output: String?

    @Option(help: "Only the first so many layers, for quick measurements.")
    var layers: Int?

    @Option(help: "Same seed, same file.")
    var seed: UInt64 = 1

    @Option(help: "The folder of preset files. Default: models/presets here or above the program.")
    var presets: String?

    @Flag(help: "List presets and quantizations.")
    var list = false

    @Flag(help: "Show the tensors and the size without writing.")
    var dryRun = false

    func validate() throws {
        guard !list else { return }
        guard preset != nil else { throw ValidationError("name a model with --preset; see infer synth --list") }
        guard dryRun || output != nil else { throw ValidationError("name the file to write with --output") }
        guard QuantMixture(name: quant) != nil else {
            throw ValidationError("unknown --quant \(quant); there are: \(Self.quantNames)")
        }
    }

    private static var quantNames: String { QuantMixture.all.map { $0.name }.joined(separator: ", ") }

    func run() throws {
        let folder = presetFolder()
        if list { return try printList(folder) }
        guard let preset, let mixture = QuantMixture(name: quant) else { return }
        var description = try Preset.load(preset, folder: folder)
        if let layers {
            guard let shortened = description.shortened(to: layers) else {
                throw ValidationError("--layers must be 1 to \(description.blocks) for \(preset), found \(layers)")
            }
            description = shortened
        }
        let synthesizer = Synthesizer(preset: description, mixture: mixture)
        let plan = synthesizer.plan()
        let gigabytes = Double(plan.reduce(0) { $0 + $1.byteCount }) / 1e9
        if dryRun {
            for tensor in plan {
                let shape = tensor.dimensions.map(String.init).joined(separator: "×")
                try StandardOutput.line("\(tensor.name)\t\(tensor.type)\t\(shape)\t\(tensor.byteCount)")
            }
            try StandardOutput.line(String(format: "%.2f GB in %d tensors", gigabytes, plan.count))
        } else if let output {
            try write(synthesizer, to: output)
            try StandardOutput.line(String(format: "%@: %.2f GB in %d tensors", output, gigabytes, plan.count))
        }
    }

    private func write(_ synthesizer: Synthesizer, to output: String) throws {
        try WorkProgress().run(ifStopped: "nothing is written") { progress in
            try synthesizer.write(to: output, seed: seed, progress: progress.part("writing"))
        }
    }

    private func printList(_ folder: URL) throws {
        for name in Preset.names(in: folder) {
            let description = try Preset.load(name, folder: folder).description
            try StandardOutput.line("\(name.padding(toLength: 18, withPad: " ", startingAt: 0)) \(description)")
        }
        try StandardOutput.line("quantizations: \(Self.quantNames)")
        guard FileManager.default.fileExists(atPath: folder.path) else {
            throw CommandError(
                presets == nil
                    ? "there are no presets: no folder models/presets here or above the program; --presets names one"
                    : "there are no presets: there is no folder \(folder.path)")
        }
    }

    /// The program usually lies in `.build/…` of the repository, so the folder is looked for upwards from both places.
    private func presetFolder() -> URL {
        if let presets { return URL(fileURLWithPath: presets) }
        let here = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
        for start in [here, program] {
            var folder = start
            for _ in 0..<6 {
                let candidate = folder.appendingPathComponent("models/presets")
                if FileManager.default.fileExists(atPath: candidate.path) { return candidate }
                folder.deleteLastPathComponent()
            }
        }
        return here.appendingPathComponent("models/presets")
    }
}
