import ArgumentParser
import Engine
import Foundation
import GGUF
import ModelTools

/// `infer quantize`: a model file with smaller weights.
struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a model file with its weights in other number formats.",
        discussion: """
            The source holds F32, F16, BF16 or Q8_0 weights; the target is a number format or one of the mixtures \
            people know. A run that is broken off goes on where it was when it is called again.

            With --text the model reads a text first, to learn where errors cost most. With --gptq the rounding \
            errors of each column are then made up for by the columns behind it, so that products with what the model \
            saw change least; it takes longer, and memory for the square of a layer's width. With --budget instead of \
            a type the format of each matrix is chosen such that the predictions change least at that size.

              infer quantize model-f16.gguf model-q4.gguf Q4_K_M
              infer quantize model-f16.gguf model-q4.gguf Q4_K_M --text text.txt --gptq
              infer quantize model-f16.gguf model-small.gguf --budget 3.9bpw --text text.txt
              infer quantize model-f16.gguf model-q4.gguf Q4_K_M --tensor-type 'ffn_down=Q6_K' --dry-run
            """)

    @Argument(help: ArgumentHelp("The GGUF file to read.", valueName: "source"))
    var source: String

    @Argument(help: ArgumentHelp("The GGUF file to write.", valueName: "target"))
    var target: String

    @Argument(help: ArgumentHelp("\(QuantMixture.all.map { $0.name }.joined(separator: ", ")).", valueName: "type"))
    var type: String?

    @Option(help: ArgumentHelp("Bits per weight over the whole file, instead of a type.", valueName: "bits"))
    var budget: BitsPerWeight?

    @Option(
        help: ArgumentHelp(
            "Another format for matrices whose name matches a regular expression; may be repeated, the first match "
                + "counts.", valueName: "regex=type"))
    var tensorType: [String] = []

    @Option(help: ArgumentHelp("Format of the output matrix.", valueName: "type"))
    var outputType: String?

    @Option(help: ArgumentHelp("Format of the embedding table.", valueName: "type"))
    var tokenEmbeddingType: String?

    @Option(help: ArgumentHelp("An importance matrix: which columns matter.", valueName: "file"))
    var imatrix: String?

    @Option(help: ArgumentHelp("A text like what the model is for, which it reads first.", valueName: "file"))
    var text: String?

    @Flag(help: "Compensate for rounding errors (GPTQ); needs --text.")
    var gptq = false

    @OptionGroup var reading: ReadingOptions

    @Flag(help: "Show the tensors and the size without writing.")
    var dryRun = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (type == nil) != (budget == nil) else { throw ValidationError("give either a type or --budget") }
        if let type, QuantMixture(name: type) == nil {
            throw ValidationError(
                "unknown type \(type); there are: \(QuantMixture.all.map { $0.name }.joined(separator: ", "))")
        }
        if gptq || budget != nil, text == nil {
            throw ValidationError("\(gptq ? "--gptq" : "--budget") needs --text: a text for the model to read")
        }
        if text != nil, imatrix != nil { throw ValidationError("--text and --imatrix exclude each other") }
        _ = try exceptions()
    }

    func run() throws {
        let start = ContinuousClock().now
        let file = try ModelFile.open(source)
        let (plan, gaps) = try WorkProgress().run(ifStopped: "the same command goes on where it was") { progress in
            try work(on: file, progress)
        }
        let report = QuantizeReport(
            file: file, plan: plan, gaps: gaps, target: dryRun ? nil : target,
            seconds: ContinuousClock().now - start)
        try StandardOutput.line(json ? try JSONOutput.text(report) : report.text)
    }

    /// - Returns: what was, or would be, written, and what the importance matrix did not know.
    private func work(
        on file: GGUFFile, _ progress: WorkProgress
    ) throws -> (plan: QuantizePlan, gaps: ImportanceMatrix.Gaps) {
        let threads = reading.threads ?? EngineOptions().threads
        let exceptions = try exceptions()
        // What can be refused without reading the text is refused before it.
        let stated = try type.flatMap(QuantMixture.init(name:)).map {
            try QuantizePlan(file, mixture: $0, exceptions: exceptions)
        }
        var lessons: TextLessons?
        if let text, !dryRun || budget != nil {
            lessons = try TextLessons(file, reading.pieces(of: text, for: file), threads: threads, progress)
        }
        let plan = try stated ?? budgetPlan(file, lessons, exceptions)
        guard !dryRun else { return (plan, .init()) }
        let importance =
            try lessons?.importance
            ?? imatrix.map { path in
                try ModelFile.naming(path) { try ImportanceMatrix(path: path) }
            }
        let quantizer = try Quantizer(
            file, plan: plan, importance: importance, compensator: gptq ? lessons?.compensator() : nil, threads: threads
        )
        try quantizer.write(to: target, progress: progress.part("quantizing"))
        return (plan, importance?.gaps ?? .init())
    }

    private func budgetPlan(
        _ file: GGUFFile, _ lessons: TextLessons?, _ exceptions: QuantizePlan.Exceptions
    ) throws -> QuantizePlan {
        guard let lessons, let budget else { throw CommandError("--budget needs --text") }
        let candidates = try lessons.sensitivities(scratchPath: target + ".probe")
        return try QuantizePlan(file, bitsPerWeight: budget.value, candidates, exceptions: exceptions)
    }

    private func exceptions() throws -> QuantizePlan.Exceptions {
        var exceptions = QuantizePlan.Exceptions()
        exceptions.output = try outputType.map(Self.format)
        exceptions.embedding = try tokenEmbeddingType.map(Self.format)
        for rule in tensorType {
            guard let split = rule.lastIndex(of: "=") else {
                throw ValidationError("--tensor-type \(rule): expected REGEX=TYPE")
            }
            do {
                exceptions.patterns.append(
                    (
                        try TensorPattern(String(rule[..<split])),
                        try Self.format(String(rule[rule.index(after: split)...]))
                    ))
            } catch let error as QuantizeError { throw ValidationError("--tensor-type: \(error)") }
        }
        return exceptions
    }

    private static func format(_ name: String) throws -> GGUFTensorType {
        guard let type = GGUFTensorType(name: name), QuantFormat.find(type) != nil else {
            let known = QuantFormat.all.map { $0.name }.joined(separator: ", ")
            throw ValidationError("unknown format \(name); there are: \(known)")
        }
        return type
    }
}

/// What was, or would be, written.
private struct QuantizeReport: Encodable {
    struct Tensor: Encodable {
        var name: String
        var shape: [Int]
        var from: String
        var to: String
        var bytes: Int
    }

    var source: String
    var target: String?
    var sourceBytes: Int
    var targetBytes: Int
    var bitsPerWeight: Double
    var seconds: Double
    /// Of the importance matrix: matrices of experts, and those that met no token.
    var experts: Int
    var expertsUnseen: Int
    var columnsUnseen: Int
    var tensors: [Tensor]
    private let gaps: ImportanceMatrix.Gaps

    private enum CodingKeys: CodingKey {
        case source, target, sourceBytes, targetBytes, bitsPerWeight, seconds, experts, expertsUnseen, columnsUnseen
        case tensors
    }

    init(file: GGUFFile, plan: QuantizePlan, gaps: ImportanceMatrix.Gaps, target: String?, seconds: Duration) {
        self.gaps = gaps
        (experts, expertsUnseen, columnsUnseen) = (gaps.experts, gaps.unseen, gaps.columns)
        source = file.path
        self.target = target
        sourceBytes = file.tensors.reduce(0) { $0 + $1.byteCount }
        targetBytes = plan.byteCount
        bitsPerWeight = plan.bitsPerWeight
        self.seconds = seconds / .seconds(1)
        tensors = plan.items.map { item in
            Tensor(
                name: item.tensor.name, shape: item.tensor.dimensions, from: item.tensor.type.name, to: item.type.name,
                bytes: item.byteCount)
        }
    }

    var text: String {
        var lines: [String] = []
        if target == nil {
            for tensor in tensors {
                let shape = tensor.shape.map(String.init).joined(separator: " × ")
                lines.append(
                    [tensor.name.padded(40), "\(tensor.from) → \(tensor.to)".padded(16), shape.padded(22)].joined()
                        + "\(tensor.bytes)")
            }
        }
        var counts: [String: (tensors: Int, bytes: Int)] = [:]
        for tensor in tensors {
            counts[tensor.to, default: (0, 0)].tensors += 1
            counts[tensor.to, default: (0, 0)].bytes += tensor.bytes
        }
        for (type, count) in counts.sorted(by: { $0.value.bytes > $1.value.bytes }) {
            lines.append("\(type.padded(8))\(count.tensors) tensors, \(Self.size(count.bytes))")
        }
        let size = "\(Self.size(sourceBytes)) → \(Self.size(targetBytes))"
        lines.append(String(format: "%@, %.2f bits per weight", size, bitsPerWeight))
        if let gaps = gaps.text { lines.append(gaps) }
        if let target { lines.append(String(format: "%@ written in %.1f s", target, seconds)) }
        return lines.joined(separator: "\n")
    }

    private static func size(_ bytes: Int) -> String {
        bytes >= 1_000_000_000
            ? String(format: "%.2f GB", Double(bytes) / 1e9) : String(format: "%.2f MB", Double(bytes) / 1e6)
    }
}

extension String {
    /// Filled up with spaces.
    fileprivate func padded(_ width: Int) -> String {
        count < width ? self + String(repeating: " ", count: width - count) : self + " "
    }
}
