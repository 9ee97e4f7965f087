import ArgumentParser

/// `infer eval`: how good a model is, in numbers. One file per subcommand.
struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure how good a model is.",
        discussion: """
            Results are printed as a table, with --json as one JSON object; --output writes the object to a file. \
            ± is one standard error. Ctrl-C prints what there is and keeps it when --output or --state is given: the \
            same command then goes on. docs/evaluation.md has the definitions.

              infer eval perplexity -m qwen.gguf letters.txt
              infer eval kl -m qwen-q4.gguf --reference qwen-f16.gguf letters.txt
              infer eval choice -m qwen.gguf questions.jsonl
              infer eval speed-quality quantized/ --text letters.txt --plot quantized.svg
              infer eval experts qwen-moe.gguf letters.txt --plot experts.svg
            """,
        subcommands: [
            EvalPerplexity.self, EvalKL.self, EvalChoice.self, EvalGenerate.self, EvalSpeedQuality.self,
            EvalExperts.self,
        ])
}
