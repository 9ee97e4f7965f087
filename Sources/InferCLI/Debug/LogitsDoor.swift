import ArgumentParser
import Engine
import Foundation

/// `infer debug logits`: the raw logits of a token list, for comparison with other engines and with ourselves.
struct LogitsDoor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Write the logits of a token list to a file.",
        discussion: """
            The file holds little-endian float32, [positions][vocabulary]: the last position, or all of them \
            with --all. Keys and values are cached as F32 here (elsewhere as F16), so that the cache does not \
            blur the comparison.
            """)

    @OptionGroup var modelPath: ModelPathOption

    @Option(help: "Token ids with commas between them, or @FILE with ids separated by commas or white space.")
    var tokens: String

    @Option(help: "Where to write.", completion: .file(extensions: ["bin"]))
    var output: String

    @Flag(help: "Write every position, not only the last.")
    var all = false

    @Flag(help: "The prediction layer's logits instead: row t, for all positions but the last, foretells t + 2.")
    var mtp = false

    @Option(name: [.customShort("b"), .long], help: "Most tokens per forward pass.")
    var batchSize = 512

    @Option(name: [.short, .long], help: "Threads; by default one per core.")
    var threads: Int?

    @Option(name: [.customShort("c"), .long], help: "Context length; by default just enough.")
    var ctxSize: Int?

    @Option(
        name: [.customLong("ctk", withSingleDash: true), .long], help: "How keys are cached: f32, f16 or q8_0.")
    var cacheTypeK: CacheType = .f32

    @Option(
        name: [.customLong("ctv", withSingleDash: true), .long], help: "How values are cached: f32, f16 or q8_0.")
    var cacheTypeV: CacheType = .f32

    func run() throws {
        try OutputFile.check(output)
        let ids = try tokenIDs()
        var options = EngineOptions(
            contextLength: ctxSize ?? max(ids.count, 1), batchSize: batchSize, keyCache: cacheTypeK,
            valueCache: cacheTypeV)
        if let threads { options.threads = threads }
        let model = try Model.load(path: modelPath.model, options: options)
        if mtp { return try writeAll { deliver, _ in try model.nextTokenLogits(ids, deliver: deliver) } }
        let generator = try model.makeGenerator()

        guard all else {
            try generator.sync(ids)
            return try OutputFile.write(littleEndian(generator.logits), to: output)
        }
        try writeAll { deliver, failed in try generator.evaluate(ids, isCancelled: failed, deliver: deliver) }
    }

    /// Writes the rows that `produce` hands over, in their order.
    private func writeAll(
        _ produce: (_ deliver: (Int, UnsafeMutableBufferPointer<Float>) -> Void, _ failed: () -> Bool) throws -> Void
    ) throws {
        let file = OutputFile(output)
        var failure: (any Error)?
        let outcome = Result {
            try produce(
                { _, logits in
                    do {
                        if failure == nil { try file.append(littleEndian(logits)) }
                    } catch {
                        failure = error
                    }
                }, { failure != nil })
        }
        // What stopped the work says more than that it was stopped.
        if let failure { throw failure }
        try outcome.get()
        try file.commit()
    }

    private func littleEndian(_ values: UnsafeMutableBufferPointer<Float>) -> Data {
        var data = Data(capacity: values.count * 4)
        for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) } }
        return data
    }

    private func tokenIDs() throws -> [Int32] {
        var text = tokens
        if text.hasPrefix("@") {
            let path = String(text.dropFirst())
            text = try TextFile.contents(of: path)
        }
        return try text.split(whereSeparator: { $0 == "," || $0.isWhitespace }).map { part in
            guard let id = Int32(part) else { throw ValidationError("'\(part)' is not a token id") }
            return id
        }
    }
}

extension CacheType: ExpressibleByArgument {
    /// Names are accepted in either case.
    public init?(argument: String) { self.init(rawValue: argument.lowercased()) }
}
