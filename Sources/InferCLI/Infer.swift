import ArgumentParser
import Foundation

/// The command `infer`: one file per subcommand in `Commands/` and `Debug/`, `run` when none is named.
@main
struct Infer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "infer",
        abstract: "Run language models from GGUF files on the CPU.",
        discussion: """
            Without a subcommand `infer` means `infer run`: it answers a prompt, and it starts a chat \
            when it is called from a terminal without one.

              infer --model qwen-9b.gguf "Name three rivers in Italy."
              infer --model qwen-9b.gguf
              cat letter.txt | infer --model qwen-9b.gguf --system "Summarise."
            """,
        subcommands: [
            Run.self,
            Embed.self,
            Serve.self,
            Tokenize.self,
            Bench.self,
            Eval.self,
            Doctor.self,
            Inspect.self,
            Edit.self,
            Split.self,
            Merge.self,
            Convert.self,
            Calibrate.self,
            Quantize.self,
            Synth.self,
            Debug.self,
        ],
        defaultSubcommand: Run.self)

    /// As the parser does it, but what is printed at the end goes the way of all output.
    static func main() async {
        Terminal.takeSignals()
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            try ForeignUsage.check(arguments)
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            finish(error, arguments)
        }
    }

    private static func finish(_ error: any Error, _ arguments: [String]) -> Never {
        let code = exitCode(for: error)
        var text = fullMessage(for: error)
        if text.hasPrefix("Error: Missing expected argument '--model"),
            let hint = ForeignUsage.hint(withoutModel: arguments)
        {
            let end = text.firstIndex(of: "\n") ?? text.endIndex
            text.insert(contentsOf: "; \(hint)", at: end)
        }
        guard !text.isEmpty else { exit(withError: code) }
        if code.isSuccess {
            do { try StandardOutput.line(text) } catch { finish(error, arguments) }
        } else {
            Terminal.writeMessage(text + "\n")
        }
        exit(withError: code)
    }
}
