import ArgumentParser
import ChatTemplates
import Engine
import Foundation
import GGUF
import ModelTools
import Tokenization

/// `infer eval speed-quality`: quantizations of one model beside each other.
struct EvalSpeedQuality: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "speed-quality",
        abstract: "Size, divergence and speed of several quantizations of one model.",
        discussion: """
            Goes through the GGUF files of a folder. The reference is the one with the most bits per weight unless \
            --reference names another file. Speeds are medians of --repetitions runs, as infer bench measures them.

              infer eval speed-quality quantized/ --text letters.txt --plot quantized.svg
            """)

    @Argument(help: ArgumentHelp("The folder.", valueName: "folder"), completion: .directory)
    var folder: String

    @Option(help: ArgumentHelp("The text for the divergence.", valueName: "file"), completion: .file())
    var text: String

    @Option(
        help: ArgumentHelp("What to compare with.", valueName: "file"), completion: .file(extensions: ["gguf"]))
    var reference: String?

    @Option(
        help: ArgumentHelp("Draw the figures into this SVG file.", valueName: "file"),
        completion: .file(extensions: ["svg"]))
    var plot: String?

    @Option(name: [.customShort("p"), .long], help: ArgumentHelp("Tokens of the measured prompt.", valueName: "n"))
    var nPrompt = 512

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Tokens that are generated.", valueName: "n"))
    var nGen = 64

    @Option(name: [.short, .long], help: ArgumentHelp("Repetitions of each measurement.", valueName: "count"))
    var repetitions = 3

    @OptionGroup var windows: EvalWindowOptions
    @OptionGroup var output: EvalOutputOptions
    @OptionGroup var compute: EvalComputeOptions

    func validate() throws {
        guard 1...(1 << 20) ~= nPrompt else { throw ValidationError("--n-prompt must be 1 to \(1 << 20)") }
        guard 1...(1 << 20) ~= nGen else { throw ValidationError("--n-gen must be 1 to \(1 << 20)") }
        guard 1...1000 ~= repetitions else { throw ValidationError("--repetitions must be 1 to 1000") }
    }

    func run() throws {
        let run = try EvalRun(output.destination)
        if let plot { try OutputFile.check(plot) }
        let files = try files()
        guard let reference = try reference ?? densest(files) else {
            throw CommandError("\(folder) holds no GGUF file")
        }
        let original = try compute.load(reference)
        let name = original.info.name ?? original.info.architecture
        let text = try windows.cut.text(text, original, try Tokenizer(original.file.metadata))
        let identity =
            "speed-quality of \(EvalIdentity.model(reference)), "
            + "files \(files.map { EvalIdentity.model($0) }.joined(separator: ", ")), \(text.identity), "
            + "speed \(nPrompt) \(nGen) \(repetitions)"
        try run.perform(QuantizationFigures.self, identity: identity) { state in
            for (number, path) in files.enumerated().dropFirst(state.records.count) {
                let label = "\(number + 1) of \(files.count), \(URL(filePath: path).lastPathComponent)"
                let model = try compute.load(path)
                guard model.info.architecture == original.info.architecture,
                    model.info.parameters == original.info.parameters
                else {
                    throw CommandError(
                        "\(path) is another model: \(model.info.architecture) with \(model.info.parameters) weights, "
                            + "\(reference) is \(original.info.architecture) with \(original.info.parameters)")
                }
                var figures = QuantizationFigures(path, model)
                try measureQuality(&figures, model, original, text) { run.progress($0, $1, "tokens, \(label)") }
                try measureSpeed(&figures, model) { run.note("speed of \(label)") }
                try state.append(figures)
                if run.isStopped, number + 1 < files.count { throw EvaluationError.cancelled }
            }
        } report: { figures in
            if let plot { try OutputFile.write(QuantizationFigures.plot(figures, of: name).svg(), to: plot) }
            return report(figures, reference, text)
        }
    }

    /// The models of the folder by name; of a split file the first part.
    private func files() throws -> [String] {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder) } catch {
            throw CommandError("cannot read the folder \(folder)")
        }
        let models = names.filter { name in
            guard name.hasSuffix(".gguf") else { return false }
            guard let part = name.firstMatch(of: /-([0-9]{5})-of-[0-9]{5}\.gguf$/) else { return true }
            return part.output.1 == "00001"
        }
        return models.sorted().map { URL(filePath: folder).appending(path: $0).path }
    }

    private func densest(_ files: [String]) throws -> String? {
        try files.map { path -> (path: String, bits: Double) in
            let file = try ModelFile.open(path)
            let (bytes, weights) = file.tensors.reduce((0, 0)) { ($0.0 + $1.byteCount, $0.1 + $1.elementCount) }
            return (path, Double(bytes) / Double(max(1, weights)))
        }.max { $0.bits < $1.bits }?.path
    }

    private func measureQuality(
        _ figures: inout QuantizationFigures, _ model: Model, _ original: Model, _ text: ScoredText,
        progress: (Int, Int) -> Bool
    ) throws {
        let divergence = try Divergence(
            try SequenceScorer(model, capacity: text.length),
            against: .model(try SequenceScorer(original, capacity: text.length)), text)
        let parts = try RunState<Divergence.Part>(path: nil, identity: "")
        try divergence.run(parts, progress: progress)
        guard let result = Divergence.result(parts.records) else { return }
        figures.divergence = result.mean.value
        figures.divergenceError = result.mean.standardError ?? 0
        figures.divergence99 = result.percentile99
        figures.divergence999 = result.percentile999
        figures.topAgreement = result.topAgreement.value
        figures.perplexity = min(result.perplexity.value, .greatestFiniteMagnitude)
    }

    private func measureSpeed(_ figures: inout QuantizationFigures, _ model: Model, note: () -> Void) throws {
        let tests = [BenchTest(prompt: nPrompt), BenchTest(generate: nGen)]
        let runner = BenchRunner(model, batchSize: compute.batchSize, tests: tests)
        for (number, test) in tests.enumerated() {
            note()
            try runner.prepare(test)
            runner.warmUp(test)
            let speeds = (0..<repetitions).map { _ in Double(test.tokens) / runner.measure(test) }
            if number == 0 { figures.promptSpeeds = speeds } else { figures.speeds = speeds }
        }
    }

    private func report(_ figures: [QuantizationFigures], _ reference: String, _ text: ScoredText) -> EvalReport? {
        guard !figures.isEmpty else { return nil }
        var report = EvalReport()
        report.add("evaluation", .string("speed-quality"))
        report.add("reference", .string(reference))
        report.add("text", .string(self.text))
        report.add("reference", text: URL(filePath: reference).lastPathComponent)
        report.add(text, tokens: text.scoredCount, windows: text.windows.count)
        report.add("files", .array(figures.map { $0.json }))
        report.appendix = QuantizationFigures.table(figures, prompt: nPrompt, generate: nGen)
        return report
    }
}

/// One file of the comparison.
struct QuantizationFigures: Codable, Equatable {
    var file: String
    var format: String
    var bytes: Int
    var bitsPerWeight: Double
    /// KL from the reference: mean with its standard error, and quantiles.
    var divergence = 0.0
    var divergenceError = 0.0
    var divergence99 = 0.0
    var divergence999 = 0.0
    var topAgreement = 0.0
    var perplexity = 0.0
    /// Tokens per second, one per repetition.
    var promptSpeeds: [Double] = []
    var speeds: [Double] = []

    init(file: String, format: String, bytes: Int, bitsPerWeight: Double) {
        self.file = file
        self.format = format
        self.bytes = bytes
        self.bitsPerWeight = bitsPerWeight
    }

    init(_ path: String, _ model: Model) {
        self.init(
            file: URL(filePath: path).lastPathComponent, format: Bench.format(model), bytes: model.info.weightBytes,
            bitsPerWeight: Double(8 * model.info.weightBytes) / Double(max(1, model.info.parameters)))
    }

    var json: JSONValue {
        func speed(_ values: [Double]) -> JSONValue {
            let spread = Spread(values)
            return ["median": .double(spread.median), "min": .double(spread.smallest), "max": .double(spread.largest)]
        }
        return [
            "file": .string(file), "format": .string(format), "bytes": .int(bytes),
            "bits_per_weight": .double(bitsPerWeight),
            "kl_mean": ["value": .double(divergence), "standard_error": .double(divergenceError)],
            "kl_99": .double(divergence99), "kl_99_9": .double(divergence999),
            "top_1_agreement": .double(topAgreement), "perplexity": .double(perplexity),
            "prompt_tokens_per_second": speed(promptSpeeds), "tokens_per_second": speed(speeds),
        ]
    }

    static func table(_ figures: [QuantizationFigures], prompt: Int, generate: Int) -> String {
        var table = EvalTable([
            "file", "format", "MB", "bits/weight", "KL mean", "±", "KL 99 %", "KL 99.9 %", "same top", "perplexity",
            "pp\(prompt) t/s", "tg\(generate) t/s",
        ])
        for row in figures {
            table.add([
                row.file, row.format, String(format: "%.1f", Double(row.bytes) / 1e6),
                String(format: "%.2f", row.bitsPerWeight), String(format: "%.6f", row.divergence),
                String(format: "%.6f", row.divergenceError), String(format: "%.5f", row.divergence99),
                String(format: "%.5f", row.divergence999), String(format: "%.2f %%", 100 * row.topAgreement),
                String(format: "%.4f", row.perplexity), String(format: "%.1f", Spread(row.promptSpeeds).median),
                String(format: "%.1f", Spread(row.speeds).median),
            ])
        }
        return table.text
    }

    /// Divergence and speed against size.
    static func plot(_ figures: [QuantizationFigures], of model: String) -> LinePlot {
        let figures = figures.sorted { ($0.bitsPerWeight, $0.file) < ($1.bitsPerWeight, $1.file) }
        func panel(
            _ title: String, isLogarithmic: Bool = false, _ point: (QuantizationFigures) -> (Double, Double, Double)?
        ) -> LinePlot.Panel {
            let points = figures.compactMap { row in
                point(row).map {
                    LinePlot.Point(
                        x: row.bitsPerWeight, median: $0.0, smallest: $0.1, largest: $0.2, label: row.format)
                }
            }
            return LinePlot.Panel(
                title: title, lines: [LinePlot.Line(label: model, points: points)], axis: "bits per weight",
                startsAtPoints: true, isLogarithmic: isLogarithmic)
        }
        func spread(_ values: [Double]) -> (Double, Double, Double) {
            let spread = Spread(values)
            return (spread.median, spread.smallest, spread.largest)
        }
        return LinePlot(panels: [
            // The reference does not diverge from itself and has no place on a logarithmic axis.
            panel("KL divergence, mean in nats", isLogarithmic: true) { row in
                guard row.divergence > 1e-9 else { return nil }
                let low = max(row.divergence - row.divergenceError, row.divergence / 10)
                return (row.divergence, low, row.divergence + row.divergenceError)
            },
            panel("Generated tokens per second") { spread($0.speeds) },
            panel("Prompt tokens per second") { spread($0.promptSpeeds) },
        ])
    }
}
