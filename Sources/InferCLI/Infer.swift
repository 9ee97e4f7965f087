import ArgumentParser

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
}
