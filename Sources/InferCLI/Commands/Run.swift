import ArgumentParser

/// `infer run`: answers one prompt, or chats when standard input is a terminal.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Answer a prompt, or chat. The default command.")

    @OptionGroup var model: ModelPathOption

    func run() async throws {
        throw ValidationError("text generation is not part of this build")
    }
}
