import ArgumentParser
import Foundation
import GGUF

/// `infer inspect`: what is in a model file, without running it.
struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is in a model file: metadata, tensors, sizes, memory needed.",
        discussion: """
            Works on every GGUF file, also on vocabularies without weights and on architectures that cannot be \
            run yet. Of a split file any part may be named.
            """)

    @Argument(
        help: ArgumentHelp("The GGUF file.", valueName: "file"), completion: .file(extensions: ["gguf"]))
    var file: String

    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp("Context length in tokens for which memory is computed.", valueName: "tokens"))
    var ctxSize = 4096

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    @Flag(name: .long, help: "Print long arrays and texts in full.")
    var full = false

    func validate() throws {
        // The same bound as for a file's own context length; sizes computed from it cannot overflow.
        guard 1...(1 << 26) ~= ctxSize else { throw ValidationError("--ctx-size must be 1 to \(1 << 26)") }
    }

    func run() async throws {
        let summary = FileSummary(try GGUFFile(path: file), contextLength: ctxSize, full: full)
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            encoder.nonConformingFloatEncodingStrategy = .convertToString(
                positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
            print(String(decoding: try encoder.encode(summary), as: UTF8.self))
        } else {
            print(summary.text(full: full))
        }
    }
}
