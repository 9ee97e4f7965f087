public import ArgumentParser
public import InferKit

/// Which model to run, and how.
struct ModelOptions: ParsableArguments {
    @Option(
        name: [.short, .long], help: ArgumentHelp("The GGUF model file.", valueName: "file"),
        completion: .file(extensions: ["gguf"]))
    var model: String

    @OptionGroup var compute: ComputeOptions

    @Option(help: "How conversations are written for the model (default: as the template in its file says).")
    var chatFormat: GGUFLanguageModel.ChatFormat?

    @Option(
        help: ArgumentHelp(
            "A Jinja chat template in place of the one in the model file.", valueName: "file"),
        completion: .file(extensions: ["jinja"]))
    var chatTemplateFile: String?

    func validate() throws {
        guard chatFormat == nil || chatTemplateFile == nil else {
            throw ValidationError("give one of --chat-format and --chat-template-file")
        }
    }

    /// - Throws: when the template's file cannot be read.
    func configuration() throws -> GGUFLanguageModel.Configuration {
        var configuration = compute.configuration
        configuration.chatFormat = chatFormat
        configuration.chatTemplate = try chatTemplateFile.map { try TextFile.contents(of: $0) }
        return configuration
    }
}

extension GGUFLanguageModel.CacheType: ExpressibleByArgument {
    /// Names are accepted in either case.
    public init?(argument: String) { self.init(rawValue: argument.lowercased()) }
}

extension GGUFLanguageModel.ChatFormat: ExpressibleByArgument {}
