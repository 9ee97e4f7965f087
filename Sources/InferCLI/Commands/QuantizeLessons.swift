import ArgumentParser
import GGUF
import ModelTools

/// What a text teaches about a model, with progress on the terminal.
struct TextLessons {
    let importance: ImportanceMatrix
    private let file: GGUFFile
    private let text: CalibrationText
    private let threads: Int
    private let progress: WorkProgress

    init(_ file: GGUFFile, _ text: CalibrationText, threads: Int, _ progress: WorkProgress) throws {
        (self.file, self.text, self.threads, self.progress) = (file, text, threads, progress)
        let collector = ImportanceCollector(file)
        try CalibrationRun(file, text: text, threads: threads).run(collector, progress: progress.part("reading"))
        importance = try ImportanceMatrix(collector)
    }

    func compensator() throws -> ErrorCompensator {
        try ErrorCompensator(file, text: text, threads: threads, progress: progress.part("reading"))
    }

    /// - Parameter scratchPath: for a file as large as the source while this runs.
    func sensitivities(scratchPath: String) throws -> [BitBudget.Candidate] {
        let sensitivity = try Sensitivity(file, text: text, importance: importance, threads: threads)
        return try sensitivity.measure(scratchPath: scratchPath, progress: progress.part("measuring"))
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
