import ArgumentParser

/// `infer debug`: machine-readable doors for tests and for people who compare engines.
struct Debug: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Machine-readable doors for tests and for comparing engines.",
        subcommands: [
            LogitsDoor.self, TokenizeDoor.self, DetokenizeDoor.self, TemplateDoor.self, ToolCallsDoor.self,
            GrammarDoor.self,
        ])
}
