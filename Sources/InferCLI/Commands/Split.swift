import ArgumentParser
import GGUF
import ModelTools

/// `infer split`: a model file in several parts.
struct Split: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cut a model file into parts.",
        discussion: """
            The parts are called PREFIX-00001-of-0000N.gguf and so on, as llama.cpp's gguf-split calls them. They appear \
            together when all are complete. Every command here opens a split model by the path of any part; \
            infer merge puts it together again, byte for byte what it was.

              infer split model.gguf parts/model --max-size 2G
            """)

    @Argument(
        help: ArgumentHelp("The GGUF file to read.", valueName: "source"), completion: .file(extensions: ["gguf"]))
    var source: String

    @Argument(help: ArgumentHelp("What the names of the parts begin with.", valueName: "prefix"))
    var prefix: String

    @Option(
        name: [.long, .customLong("split-max-size")],
        help: ArgumentHelp(
            "Most tensor data in a part: bytes, or 500M, 2G, 2GiB. A larger tensor has a part to itself.",
            valueName: "size"))
    var maxSize: String?

    @Option(
        name: [.long, .customLong("split-max-tensors")],
        help: ArgumentHelp("Most tensors in a part.", valueName: "count"))
    var maxTensors: Int?

    @Flag(name: .long, help: "Leave the first part without tensors, so that metadata are small to exchange.")
    var noTensorFirstSplit = false

    @Flag(help: "Show the parts without writing.")
    var dryRun = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws { _ = try rule() }

    func run() throws {
        let file = try ModelFile.open(source)
        let copy = ModelCopy(file)
        // People type the name of a file where its beginning is meant.
        let prefix = prefix.hasSuffix(".gguf") ? String(prefix.dropLast(5)) : prefix
        let parts =
            dryRun
            ? try copy.parts(splitPrefix: prefix, rule: try rule())
            : try WorkProgress().run(ifStopped: "nothing is written") { progress in
                try copy.write(splitPrefix: prefix, rule: try rule(), progress: progress.part("writing"))
            }
        let report = SplitReport(source: source, isWritten: !dryRun, parts: parts.map { SplitReport.Part($0) })
        try StandardOutput.line(json ? try JSONOutput.text(report) : report.text)
    }

    private func rule() throws -> GGUFSplitRule {
        var rule = GGUFSplitRule()
        rule.firstIsMetadataOnly = noTensorFirstSplit
        switch (maxSize, maxTensors) {
        case (let size?, nil):
            guard let bytes = Self.bytes(size), bytes > 0 else {
                throw ValidationError("--max-size \(size): expected a size such as 500M, 2G or 2GiB")
            }
            rule.maximumBytes = bytes
        case (nil, let count?):
            guard count > 0 else { throw ValidationError("--max-tensors must be at least 1") }
            rule.maximumTensors = count
        default: throw ValidationError("one of --max-size and --max-tensors is needed")
        }
        return rule
    }

    /// "500M", "2G" (powers of 1000), "2GiB" (powers of 1024), "1000000".
    static func bytes(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units: [String: Int] = [
            "": 1, "B": 1, "K": 1000, "M": 1_000_000, "G": 1_000_000_000, "KB": 1000, "MB": 1_000_000,
            "GB": 1_000_000_000, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30,
        ]
        guard let number = Int(digits), let unit = units[text.dropFirst(digits.count).uppercased()] else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : bytes
    }
}

/// What was, or would be, written.
private struct SplitReport: Encodable {
    struct Part: Encodable {
        let path: String
        let tensors: Int
        /// Of tensor data.
        let bytes: Int

        init(_ part: GGUFSplitPart) { (path, tensors, bytes) = (part.path, part.tensors, part.bytes) }
    }

    let source: String
    let isWritten: Bool
    let parts: [Part]

    var text: String {
        let rows = parts.map { [$0.path.printable(), "\($0.tensors) tensors", TextTable.byteText($0.bytes)] }
        let count = "\(parts.count) part" + (parts.count == 1 ? "" : "s")
        return (TextTable.lines(rows) + [isWritten ? "\(count) written" : "\(count) would be written"])
            .joined(separator: "\n")
    }
}
