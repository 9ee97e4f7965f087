public import ArgumentParser
public import InferKit

/// Which model to run, and how.
struct ModelOptions: ParsableArguments {
    @Option(
        name: [.short, .long], help: ArgumentHelp("The GGUF model file.", valueName: "file"),
        completion: .file(extensions: ["gguf"]))
    var model: String

    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp(
            "Tokens that the conversation has room for (default: what the model was trained for, at most 4096).",
            valueName: "tokens"))
    var ctxSize: Int?

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Threads that compute (default: one per physical core).", valueName: "count"))
    var threads: Int?

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

    @Option(help: "How conversations are written for the model (default: as the template in its file says).")
    var chatFormat: GGUFLanguageModel.ChatFormat?

    @Option(
        help: ArgumentHelp(
            "A Jinja chat template in place of the one in the model file.", valueName: "file"),
        completion: .file(extensions: ["jinja"]))
    var chatTemplateFile: String?

    func validate() throws {
        if let ctxSize, ctxSize < 1 { throw ValidationError("--ctx-size must be at least 1") }
        if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 to 1024") }
        guard chatFormat == nil || chatTemplateFile == nil else {
            throw ValidationError("give one of --chat-format and --chat-template-file")
        }
        guard (1...65536).contains(batchSize) else { throw ValidationError("--batch-size must be 1 to 65536") }
    }

    /// - Throws: when the template's file cannot be read.
    func configuration() throws -> GGUFLanguageModel.Configuration {
        GGUFLanguageModel.Configuration(
            threads: threads, contextLength: ctxSize, batchSize: batchSize, keyCache: cacheTypeK,
            valueCache: cacheTypeV, chatFormat: chatFormat,
            chatTemplate: try chatTemplateFile.map { try TextFile.contents(of: $0) })
    }
}

extension GGUFLanguageModel.CacheType: ExpressibleByArgument {
    /// Names are accepted in either case.
    public init?(argument: String) { self.init(rawValue: argument.lowercased()) }
}

extension GGUFLanguageModel.ChatFormat: ExpressibleByArgument {}
