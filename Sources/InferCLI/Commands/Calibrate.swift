import ArgumentParser
import Engine
import Foundation
import GGUF
import ModelTools
import Tokenization

/// `infer calibrate`: which columns of a model's matrices matter, found by reading a text.
struct Calibrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read a text with a model and write an importance matrix.",
        discussion: """
            The importance matrix tells `infer quantize --imatrix` where errors cost most: for each matrix, and for \
            each expert by itself, the mean square of what meets each column. llama.cpp reads and writes the same \
            form. The text should be like what the model is for; some ten thousand tokens are good.

              infer calibrate model-f16.gguf text.txt -o imatrix.gguf
              infer quantize --imatrix imatrix.gguf model-f16.gguf model-q4.gguf Q4_K_M
            """)

    @Argument(help: ArgumentHelp("The GGUF file of the model, best in F16 or F32.", valueName: "model"))
    var model: String

    @OptionGroup var reading: ReadingOptions

    @Argument(help: ArgumentHelp("The text file to read.", valueName: "text"))
    var text: String

    @Option(name: [.short, .long], help: ArgumentHelp("The GGUF file to write.", valueName: "file"))
    var output: String

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        var output: String
        var tokens: Int
        var pieces: Int
        var matrices: Int
        var experts: Int
        var expertsUnseen: Int
        var seconds: Double
    }

    func run() throws {
        let start = ContinuousClock().now
        try OutputFile.check(output)
        let file = try ModelFile.open(model)
        let pieces = try reading.pieces(of: text, for: file)
        let collector = ImportanceCollector(file)
        let run = try CalibrationRun(file, text: pieces, threads: reading.threads ?? EngineOptions().threads)
        try WorkProgress().run(ifStopped: "nothing is written") { progress in
            try run.run(collector, progress: progress.part("reading"))
        }
        try collector.write(to: output, dataset: URL(filePath: text).lastPathComponent, pieces)

        let report = Report(
            output: output, tokens: pieces.tokenCount, pieces: pieces.pieces.count, matrices: collector.matrixCount,
            experts: collector.experts.all, expertsUnseen: collector.experts.unseen,
            seconds: (ContinuousClock().now - start) / .seconds(1))
        if json {
            try StandardOutput.line(try JSONOutput.text(report))
        } else {
            try StandardOutput.line("\(report.tokens) tokens in \(report.pieces) pieces, \(report.matrices) matrices")
            if report.expertsUnseen > 0 {
                try StandardOutput.line(
                    "\(report.expertsUnseen) of \(report.experts) experts' matrices met no token: take a longer text")
            }
            try StandardOutput.line(String(format: "%@ written in %.1f s", output, report.seconds))
        }
    }
}

/// How a text is read for calibration.
struct ReadingOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Tokens of a piece; the model reads each by itself.", valueName: "tokens"))
    var pieceLength = 512

    @Option(help: ArgumentHelp("Most pieces to read (default: the whole text).", valueName: "count"))
    var pieces: Int?

    @Flag(help: "Control tokens that are written out in the text, as in chats, become what they name.")
    var parseSpecial = false

    @Option(
        name: [.customShort("t"), .long], help: ArgumentHelp("Threads (default: physical cores).", valueName: "n"))
    var threads: Int?

    func validate() throws {
        let least = CalibrationText.minimumTokens
        guard least...65536 ~= pieceLength else { throw ValidationError("--piece-length must be \(least) to 65536") }
        if let pieces, pieces < 1 { throw ValidationError("--pieces must be at least 1") }
        if let threads, !(1...1024 ~= threads) { throw ValidationError("--threads must be 1 to 1024") }
    }

    func pieces(of path: String, for file: GGUFFile) throws -> CalibrationText {
        let text = try TextFile.contents(of: path)
        do {
            return try CalibrationText(
                text, try Tokenizer(file.metadata), pieceLength: pieceLength, limit: pieces,
                parseSpecial: parseSpecial)
        } catch let error as CalibrationError {
            throw CommandError("\(path): \(error)")
        }
    }
}
