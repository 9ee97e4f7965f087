import ArgumentParser

/// The one option that every command about a model file has.
struct ModelPathOption: ParsableArguments {
    @Option(
        name: [.short, .long], help: ArgumentHelp("The GGUF model file.", valueName: "file"),
        completion: .file(extensions: ["gguf"]))
    var model: String
}
