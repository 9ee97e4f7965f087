import ArgumentParser
import Engine
import Foundation

/// How models compute during an evaluation.
struct EvalComputeOptions: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Threads that compute (default: one per physical core).", valueName: "count"))
    var threads: Int?

    @Option(
        name: [.customShort("b"), .long], help: ArgumentHelp("Most tokens computed at once.", valueName: "tokens"))
    var batchSize = 512

    @Option(
        name: [.customLong("ctk", withSingleDash: true), .customLong("cache-type-k")],
        help: "How the cache stores keys: f16, f32 or q8_0.")
    var cacheTypeK: CacheType = .f16

    @Option(
        name: [.customLong("ctv", withSingleDash: true), .customLong("cache-type-v")],
        help: "How the cache stores values, likewise.")
    var cacheTypeV: CacheType = .f16

    func validate() throws {
        if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 to 1024") }
        guard (1...65536).contains(batchSize) else { throw ValidationError("--batch-size must be 1 to 65536") }
    }

    /// - Parameter observer: sees what products and routers get.
    func load(_ path: String, observer: (any ComputeObserver)? = nil) throws -> Model {
        var options = EngineOptions(batchSize: batchSize, keyCache: cacheTypeK, valueCache: cacheTypeV)
        options.observer = observer
        if let threads { options.threads = threads }
        return try ModelFile.naming(path) { try Model.load(path: path, options: options) }
    }
}

/// What is read of a text.
struct EvalTextOptions: ParsableArguments {
    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp("Tokens of a window (default: 512, or what the model has room for).", valueName: "tokens"))
    var ctxSize: Int?

    @Option(help: ArgumentHelp("Only so many tokens of the text.", valueName: "count"))
    var tokens: Int?

    @Flag(help: "Read special tokens such as <|im_start|> in the text as tokens.")
    var parseSpecial = false

    func validate() throws {
        if let ctxSize, ctxSize < 2 { throw ValidationError("--ctx-size must be at least 2") }
        if let tokens, tokens < 2 { throw ValidationError("--tokens must be at least 2") }
    }
}

/// How a text is cut.
struct EvalWindowOptions: ParsableArguments {
    @OptionGroup var text: EvalTextOptions

    @Option(
        help: ArgumentHelp("Tokens from one window to the next (default: half a window).", valueName: "tokens"))
    var stride: Int?

    func validate() throws {
        if let stride, stride < 1 { throw ValidationError("--stride must be at least 1") }
    }

    var isDefault: Bool { text.ctxSize == nil && stride == nil && text.tokens == nil }

    var cut: EvalCut { EvalCut(text, ctxSize: text.ctxSize, stride: stride) }
}

/// Where results go.
struct EvalReportOptions: ParsableArguments {
    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(
        name: [.short, .long], help: ArgumentHelp("Write the JSON object to this file too.", valueName: "file"),
        completion: .file(extensions: ["json"]))
    var output: String?
}

/// Where results go and what is kept of an evaluation that is broken off.
struct EvalOutputOptions: ParsableArguments {
    @OptionGroup var report: EvalReportOptions

    @Option(
        help: ArgumentHelp(
            "Keep the results part by part here (JSON Lines) and go on from there (default: beside --output, until it "
                + "is written).", valueName: "file"),
        completion: .file(extensions: ["jsonl"]))
    var state: String?

    var destination: EvalDestination { EvalDestination(report, state: state) }
}
