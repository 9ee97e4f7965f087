import ArgumentParser
import ChatTemplates
import Engine
import Foundation
import GGUF
import ModelTools
import Tokenization

/// `infer eval experts`: how the routers of a mixture of experts behave on a text.
struct EvalExperts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "experts",
        abstract: "How a model uses its experts on a text.",
        discussion: """
            For each layer: the load of every expert, its entropy, the experts that are picked together, how often a pick \
            comes again after 1 to 16 tokens (and how often it would by the loads alone), and the share of picks that a \
            cache of k experts of the layer would have had, when the least recently used one makes room. The text runs \
            in windows of --ctx-size tokens, each a sequence of its own.

              infer eval experts qwen-moe.gguf letters.txt
              infer eval experts qwen-moe.gguf letters.txt --plot experts.svg -o experts.json
            """)

    @Argument(help: ArgumentHelp("The GGUF model file.", valueName: "model"), completion: .file(extensions: ["gguf"]))
    var model: String

    @Argument(help: ArgumentHelp("The text file; -: standard input.", valueName: "text"), completion: .file())
    var text: String

    @Option(
        help: ArgumentHelp("Draw loads and hit rates into this SVG file.", valueName: "file"),
        completion: .file(extensions: ["svg"]))
    var plot: String?

    @Option(help: ArgumentHelp("How many pairs of experts to name per layer.", valueName: "count"))
    var pairs = 16

    @OptionGroup var reading: EvalTextOptions
    @OptionGroup var output: EvalReportOptions
    @OptionGroup var compute: EvalComputeOptions

    func validate() throws {
        guard 0...100_000 ~= pairs else { throw ValidationError("--pairs must be 0 to 100000") }
    }

    func run() throws {
        let run = try EvalRun(EvalDestination(output))
        if let plot { try OutputFile.check(plot) }
        run.note("loading \(model)")
        let observer = ExpertObserver()
        let loaded = try compute.load(model, observer: observer)
        guard let experts = loaded.architecture.experts else {
            throw CommandError("\(model) has no experts; its architecture is \(loaded.info.architecture)")
        }
        let tokenizer = try Tokenizer(loaded.file.metadata)
        let length = try reading.ctxSize ?? min(512, loaded.contextLength())
        let scored = try EvalCut(reading, ctxSize: length, stride: length).text(text, loaded, tokenizer)
        var isComplete = true
        do {
            try observer.run(scored, loaded) { run.progress($0, $1, "tokens") }
        } catch EvaluationError.cancelled {
            isComplete = false
        }
        let result = ExpertsReport(layers: observer.statistics, used: experts.used)
        if let plot, isComplete { try OutputFile.write(result.drawing, to: plot) }
        var report = result.report(pairs: pairs)
        report.add("model", .string(model))
        report.add("text", .string(text))
        report.add("ctx_size", .int(length))
        try run.finish(report, isComplete: isComplete)
        if !isComplete { throw ExitCode(130) }
    }
}

/// What the statistics of all layers amount to.
struct ExpertsReport {
    let layers: [(layer: Int, statistics: ExpertStatistics)]
    /// Experts per token.
    let used: Int

    private var experts: Int { layers.map { $0.statistics.experts }.max() ?? 0 }

    /// The mean over the layers.
    func hitRate(cache size: Int) -> Double {
        layers.isEmpty ? 0 : layers.reduce(0) { $0 + $1.statistics.hitRate(cache: size) } / Double(layers.count)
    }

    /// Sizes of caches that the table shows: as many as a token needs, twice that, and parts of all.
    var cacheSizes: [Int] {
        Set([used, 2 * used, experts / 4, experts / 2, 3 * experts / 4]).filter { $0 >= used && $0 < experts }.sorted()
    }

    func report(pairs: Int) -> EvalReport {
        var report = EvalReport()
        report.add("evaluation", .string("experts"))
        report.add("tokens", .int(layers.map { $0.statistics.tokens }.max() ?? 0))
        report.add("experts", .int(experts))
        report.add("experts_used", .int(used))
        report.add(
            "layers", .array(layers.map { .object(object($0.layer, $0.statistics, pairs: pairs)) }))
        report.add("lru_hit_rate", .array((0...experts).dropFirst().map { .double(hitRate(cache: $0)) }))
        report.add("tokens", text: "\(layers.map { $0.statistics.tokens }.max() ?? 0)")
        report.add("experts", text: "\(used) of \(experts) per token in \(layers.count) layers")
        report.appendix = table
        return report
    }

    private func object(_ layer: Int, _ statistics: ExpertStatistics, pairs: Int) -> JSONObject {
        let distances = 1...ExpertStatistics.farthestRepeat
        return JSONObject([
            ("layer", .int(layer)), ("tokens", .int(statistics.tokens)),
            ("load", .array(statistics.shares.map { .double($0) })), ("entropy_bits", .double(statistics.entropy)),
            ("repeats", .array(distances.map { statistics.repeats(after: $0).map { .double($0) } ?? .null })),
            ("repeats_by_chance", .double(statistics.repeatsByChance)),
            (
                "lru_hit_rate",
                .array((0...statistics.experts).dropFirst().map { .double(statistics.hitRate(cache: $0)) })
            ),
            (
                "pairs",
                .array(
                    statistics.pairs(most: pairs).map { pair in
                        [
                            "experts": [.int(pair.first), .int(pair.second)], "tokens": .int(pair.tokens),
                            "lift": .double(pair.lift),
                        ]
                    })
            ),
        ])
    }

    private var table: String {
        var table = EvalTable(
            [
                "layer", "entropy", "busiest", "idlest", "unused", "after 1", "after 2", "after 4", "after 8",
                "after 16", "chance", "together",
            ]
                + cacheSizes.map { "LRU \($0)" })
        func percent(_ share: Double?) -> String { share.map { String(format: "%.1f %%", 100 * $0) } ?? "–" }
        for (layer, statistics) in layers {
            let shares = statistics.shares
            let most = shares.indices.max { (shares[$0], $1) < (shares[$1], $0) } ?? 0
            let pair = statistics.pairs(most: 1).first
            table.add(
                [
                    "\(layer)", String(format: "%.2f of %.2f", statistics.entropy, log2(Double(statistics.experts))),
                    "\(most): \(percent(shares.max()))", percent(shares.min()), "\(shares.count { $0 == 0 })",
                ] + [1, 2, 4, 8, 16].map { percent(statistics.repeats(after: $0)) }
                    + [
                        percent(statistics.repeatsByChance),
                        pair.map { "\($0.first)+\($0.second): " + String(format: "%.2f×", $0.lift) } ?? "–",
                    ]
                    + cacheSizes.map { percent(statistics.hitRate(cache: $0)) })
        }
        return table.text
    }

    var drawing: String {
        let names = layers.map { "\($0.layer)" }
        let loads = layers.map { layer in layer.statistics.shares }
        let even = experts > 0 ? Double(used) / Double(experts) : 0
        let rates = layers.map { layer in
            (0...layer.statistics.experts).dropFirst().map { layer.statistics.hitRate(cache: $0) }
        }
        return HeatMap(panels: [
            HeatMap.Panel(
                title: "Load of each expert", rows: names, values: loads, full: 2 * even, rowAxis: "layer",
                columnAxis: "expert",
                legend: String(
                    format: "picked by %.1f %% of the tokens or more, twice an even load", 200 * even)),
            HeatMap.Panel(
                title: "Hit rate of a cache of k experts per layer, least recently used out first", rows: names,
                values: rates, full: 1, rowAxis: "layer", columnAxis: "k", legend: "every pick was there",
                firstColumn: 1),
        ]).svg()
    }
}
