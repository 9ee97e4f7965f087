import ArgumentParser
import Engine
import Foundation
import GGUF
import ModelTools

/// `infer convert`: a model as it is published becomes one file.
struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a GGUF file from a Hugging Face folder.",
        discussion: """
            The folder holds config.json, safetensors and a tokenizer, or a LoRA adapter (adapter_config.json), which \
            becomes an adapter file; its model's config.json is needed then. Weights in FP8 become BF16, those in MXFP4 \
            stay what they are.

              infer convert Qwen3-4B -o qwen3-4b.gguf
              infer convert Qwen3-4B -o qwen3-4b-q8.gguf --type q8_0
              infer convert my-adapter -o my-adapter.gguf --base Qwen3-4B

            These architectures (config.json) convert:
            \(ConvertPlan.architectures.joined(separator: ", ")).
            """)

    @Argument(help: ArgumentHelp("The folder to read.", valueName: "folder"), completion: .directory)
    var folder: String

    @Option(
        name: [.short, .long], help: ArgumentHelp("The GGUF file to write.", valueName: "file"),
        completion: .file(extensions: ["gguf"]))
    var output: String?

    @Option(
        help: ArgumentHelp(
            "\(QuantMixture.direct.map { $0.name.lowercased() }.joined(separator: ", ")); by default what the folder holds.",
            valueName: "type"))
    var type: String?

    @Option(
        help: ArgumentHelp("The folder of the model that an adapter belongs to.", valueName: "folder"),
        completion: .directory)
    var base: String?

    @Option(
        name: [.customShort("t"), .long], help: ArgumentHelp("Threads (default: physical cores).", valueName: "n"))
    var threads: Int?

    @Flag(help: "Show the metadata, the tensors and the size without writing.")
    var dryRun = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if let type {
            guard let mixture = QuantMixture(name: type) else {
                throw ValidationError(
                    "unknown type \(type); there are: "
                        + QuantMixture.direct.map { $0.name.lowercased() }.joined(separator: ", "))
            }
            guard QuantMixture.direct.contains(mixture) else {
                throw ValidationError("\(mixture.name) takes a second step: convert to f16, then infer quantize")
            }
        }
        if output == nil, !dryRun { throw ValidationError("name the file to write: --output FILE") }
        if let threads, !(1...1024 ~= threads) { throw ValidationError("--threads must be 1 to 1024") }
    }

    func run() throws {
        let clock = ContinuousClock()
        let start = clock.now
        let plan = try ConvertPlan(folder: folder, base: base, mixture: type.flatMap { QuantMixture(name: $0) })
        if let base, !plan.isAdapter {
            throw CommandError("\(folder) is no adapter; --base \(base) has no place there")
        }
        if !dryRun, let output {
            let converter = try Converter(plan, threads: threads ?? EngineOptions().threads)
            try WorkProgress().run(ifStopped: "nothing is written") { progress in
                try converter.write(to: output, progress: progress.part("converting"))
            }
        }
        let report = ConvertReport(
            plan, source: folder, target: dryRun ? nil : output, seconds: (clock.now - start) / .seconds(1))
        print(json ? try JSONOutput.text(report) : report.text)
    }
}

/// What was, or would be, written.
private struct ConvertReport: Encodable {
    struct Tensor: Encodable {
        var name: String
        var shape: [Int]
        var type: String
        var bytes: Int
    }

    var source: String
    var target: String?
    var architecture: String
    var type: String
    var bytes: Int
    var seconds: Double
    var tensors: [Tensor]
    /// Tensors of the folder that are not in the file.
    var leftOut: [String]
    var metadata: [String: String]

    init(_ plan: ConvertPlan, source: String, target: String?, seconds: Double) {
        self.source = source
        self.target = target
        architecture = plan.architecture
        type = plan.mixture.name
        bytes = plan.byteCount
        self.seconds = seconds
        tensors = plan.items.map {
            Tensor(name: $0.name, shape: $0.dimensions, type: $0.type.name, bytes: $0.byteCount)
        }
        leftOut = plan.leftOut
        metadata = Dictionary(plan.metadata.map { ($0.0, Self.short($0.1)) }, uniquingKeysWith: { $1 })
    }

    private static func short(_ value: GGUFValue) -> String {
        switch value {
        case .string(let text): return String(text.prefix(80))
        case .array(let list):
            guard list.count <= 16, let numbers = list.ints() else { return "\(list.count) values" }
            return numbers.map(String.init).joined(separator: " ")
        default:
            return value.int.map(String.init) ?? value.double.map { "\($0)" } ?? value.boolValue.map { "\($0)" } ?? ""
        }
    }

    var text: String {
        var lines: [String] = []
        if target == nil {
            lines += metadata.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.prefix { $0 != "\n" })" }
            lines += tensors.map { tensor in
                let shape = tensor.shape.map(String.init).joined(separator: " × ")
                return "\(tensor.name)  \(tensor.type)  \(shape)"
            }
        }
        if !leftOut.isEmpty { lines.append("left out: \(leftOut.count) tensors, such as \(leftOut[0])") }
        let size = String(format: "%.2f MB", Double(bytes) / 1e6)
        lines.append("\(architecture), \(tensors.count) tensors, \(type), \(size)")
        if let target { lines.append(String(format: "%@ written in %.1f s", target, seconds)) }
        return lines.joined(separator: "\n")
    }
}
