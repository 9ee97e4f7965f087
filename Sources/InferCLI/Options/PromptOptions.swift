import ArgumentParser
import Foundation

/// Where the prompt comes from and how it is meant.
struct PromptOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The prompt.", valueName: "text"))
    var text: [String] = []

    @Option(name: [.short, .long], help: ArgumentHelp("The prompt, as an option.", valueName: "text"))
    var prompt: String?

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Read the prompt, or the text that it is about, from a file; -: from standard input.", valueName: "file"),
        completion: .file())
    var file: String?

    @Option(help: ArgumentHelp("What the model is told before the conversation.", valueName: "text"))
    var system: String?

    @Flag(
        name: [.long, .customLong("no-chat")],
        help: "Continue the prompt as plain text instead of answering it as a chat message.")
    var raw = false

    @Flag(help: "With --raw: print the prompt before its continuation.")
    var echo = false

    func validate() throws {
        guard text.isEmpty || prompt == nil else {
            throw ValidationError("give the prompt once: as an argument or with --prompt")
        }
        guard !raw || system == nil else { throw ValidationError("--system needs a chat; it does not go with --raw") }
        guard raw || !echo else { throw ValidationError("--echo goes with --raw only") }
    }

    /// The prompt, nil when the user wants to type it. What is asked comes before the text that it is asked about.
    func read() throws -> String? {
        let question = text.isEmpty ? prompt : text.joined(separator: " ")
        let material = try material()
        guard let question else { return material }
        guard let material, !material.allSatisfy(\.isWhitespace) else { return question }
        return question + "\n\n" + material
    }

    /// The file or, without one, what comes at standard input.
    private func material() throws -> String? {
        if let file, file != "-" { return try TextFile.contents(of: file) }
        if file == nil, Terminal.isInputInteractive { return nil }
        return try TextFile.decoded(try StandardInput.all(), from: "standard input")
    }
}
