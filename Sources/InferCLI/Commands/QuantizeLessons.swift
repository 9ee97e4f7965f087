import ArgumentParser
import GGUF
import ModelTools

/// What a text teaches about a model, with progress on the terminal.
struct TextLessons {
    let importance: ImportanceMatrix
    private let file: GGUFFile
    private let text: CalibrationText
    private let threads: Int

    init(_ file: GGUFFile, _ text: CalibrationText, threads: Int) throws {
        (self.file, self.text, self.threads) = (file, text, threads)
        let collector = ImportanceCollector(file)
        let progress = ReadingProgress()
        defer { progress.clear() }
        try CalibrationRun(file, text: text, threads: threads).run(collector, progress: progress.show)
        importance = try ImportanceMatrix(collector)
    }

    func compensator() throws -> ErrorCompensator {
        let progress = ReadingProgress()
        return try ErrorCompensator(file, text: text, threads: threads, progress: progress.show)
    }

    /// - Parameter scratchPath: for a file as large as the source while this runs.
    func sensitivities(scratchPath: String) throws -> [BitBudget.Candidate] {
        let sensitivity = try Sensitivity(file, text: text, importance: importance, threads: threads)
        let progress = ReadingProgress(of: "matrices", doing: "measuring")
        defer { progress.clear() }
        return try sensitivity.measure(scratchPath: scratchPath, progress: progress.show)
    }
}

/// "3.9bpw" or "3.9".
struct BitsPerWeight: ExpressibleByArgument {
    let value: Double

    init?(argument: String) {
        let number = argument.lowercased().hasSuffix("bpw") ? String(argument.dropLast(3)) : argument
        guard let value = Double(number), value > 0, value <= 32 else { return nil }
        self.value = value
    }
}
