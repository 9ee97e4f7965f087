import ArgumentParser
import InferKit

/// How much room a model has and how many threads: what all commands that run one have in common.
struct SizeOptions: ParsableArguments {
    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp(
            "Tokens that a conversation or text has room for (default: what the model was trained for, at most 4096).",
            valueName: "tokens"))
    var ctxSize: Int?

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Threads that compute (default: one per physical core).", valueName: "count"))
    var threads: Int?

    func validate() throws {
        if let ctxSize, ctxSize < 1 { throw ValidationError("--ctx-size must be at least 1") }
        if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 to 1024") }
    }
}

/// How a model computes: what `run` and `serve` have in common.
struct ComputeOptions: ParsableArguments {
    @OptionGroup var size: SizeOptions

    @Option(
        name: [.customShort("b"), .long],
        help: ArgumentHelp("Most prompt tokens computed at once.", valueName: "tokens"))
    var batchSize = 512

    @Option(
        name: [.customLong("ctk", withSingleDash: true), .customLong("cache-type-k")],
        help: "How the cache stores keys.")
    var cacheTypeK = GGUFLanguageModel.CacheType.f16

    @Option(
        name: [.customLong("ctv", withSingleDash: true), .customLong("cache-type-v")],
        help: "How the cache stores values.")
    var cacheTypeV = GGUFLanguageModel.CacheType.f16

    func validate() throws {
        guard (1...65536).contains(batchSize) else { throw ValidationError("--batch-size must be 1 to 65536") }
    }

    var ctxSize: Int? { size.ctxSize }

    var configuration: GGUFLanguageModel.Configuration {
        GGUFLanguageModel.Configuration(
            threads: size.threads, contextLength: size.ctxSize, batchSize: batchSize, keyCache: cacheTypeK,
            valueCache: cacheTypeV)
    }
}
