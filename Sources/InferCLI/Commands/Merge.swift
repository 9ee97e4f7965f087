import ArgumentParser
import GGUF
import ModelTools

/// `infer merge`: the parts of a model in one file.
struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put the parts of a split model into one file.",
        discussion: """
            Any part may be named; the others are found beside it. The file appears when it is complete, and the parts \
            stay.

              infer merge parts/model-00001-of-00003.gguf model.gguf
            """)

    @Argument(help: ArgumentHelp("A part of the model.", valueName: "part"), completion: .file(extensions: ["gguf"]))
    var part: String

    @Argument(help: ArgumentHelp("The GGUF file to write.", valueName: "target"))
    var target: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let file = try ModelFile.open(part)
        guard GGUFSplit.keys.contains(where: { file.metadata.contains($0) }) else { throw EditError.notSplit(part) }
        let copy = ModelCopy(file)
        try WorkProgress().run(ifStopped: "nothing is written") { progress in
            try copy.write(to: target, progress: progress.part("writing"))
        }
        let report = MergeReport(parts: file.partPaths, target: target, tensors: file.tensors.count)
        let count = "\(report.parts.count) part" + (report.parts.count == 1 ? "" : "s")
        try StandardOutput.line(
            json
                ? try JSONOutput.text(report)
                : "\(target.printable()) written from \(count): \(report.tensors) tensors, "
                    + TextTable.byteText(copy.tensorBytes))
    }
}

/// What was written.
private struct MergeReport: Encodable {
    let parts: [String]
    let target: String
    let tensors: Int
}
