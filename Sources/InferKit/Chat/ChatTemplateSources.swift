package import ChatTemplates
import Synchronization

/// The templates that conversations with a model are written with, as Jinja text.
package struct ChatTemplateSources: Sendable, Equatable {
    /// For conversations in general.
    package var main: String
    /// For conversations with tools, where the file has one of its own (`tool_use`).
    package var tools: String?
    /// What `bos_token` and `eos_token` stand for.
    package var bosText: String?
    package var eosText: String?
    /// Texts that end an answer although they may be no tokens of the vocabulary: for templates that are not the file's.
    package var endTexts: [String] = []

    package init(main: String) { self.main = main }

    /// - Parameter format: instead of a template of the file.
    package init(_ format: DefaultTemplate) {
        main = format.source
        endTexts = [format.endOfTurn]
    }
}

/// Reads templates when they are first needed: a model can continue plain text without one.
final class ChatWriters: Sendable {
    private let sources: ChatTemplateSources
    private let controlTexts: ControlTexts
    private let writers = Mutex<[String: Result<PromptWriter, TemplateError>]>([:])

    init(_ backend: any ModelBackend) {
        sources = backend.chatTemplates
        controlTexts = backend.controlTexts
    }

    /// - Throws: ``LanguageModelSession/GenerationError/unsupportedChatTemplate(_:)``.
    func writer(hasTools: Bool) throws -> PromptWriter {
        let source = hasTools ? sources.tools ?? sources.main : sources.main
        let result = writers.withLock { writers in
            if let known = writers[source] { return known }
            let made = Result { () throws(TemplateError) in
                try PromptWriter(
                    source: source, bosText: sources.bosText, eosText: sources.eosText, controlTexts: controlTexts)
            }
            writers[source] = made
            return made
        }
        switch result {
        case .success(let writer): return writer
        case .failure(let error):
            throw LanguageModelSession.GenerationError.unsupportedChatTemplate(
                .init(debugDescription: "the model's chat template cannot be read: \(error)"))
        }
    }
}
