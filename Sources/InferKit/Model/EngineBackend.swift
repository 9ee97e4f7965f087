import ChatTemplates
import Engine
import GGUF
import Tokenization

/// The engine and the tokenizer behind ``ModelBackend``.
final class EngineBackend: ModelBackend {
    let information: ModelInformation
    let contextLength: Int
    let chatFormat: (any ChatFormat)?
    private let model: Model
    private let tokenizer: Tokenizer

    init(
        path: String, configuration: GGUFLanguageModel.Configuration, progress: (Double) -> Void
    ) throws(ModelLoadError) {
        let file: GGUFFile
        do {
            file = try GGUFFile(path: path)
        } catch {
            throw ModelLoadError(path: path, error)
        }
        do {
            tokenizer = try Tokenizer(file.metadata)
        } catch {
            throw .unsupported(path: path, reason: error.description)
        }
        do {
            model = try Model.load(file, options: configuration.engineOptions, progress: progress)
            contextLength = try model.contextLength()
        } catch {
            throw ModelLoadError(path: path, error)
        }
        let template = file.metadata["tokenizer.chat_template"]?.stringValue
        chatFormat = configuration.chatFormat?.format ?? template.flatMap(ChatFormats.recognized)
        information = ModelInformation(
            name: model.info.name, architecture: model.info.architecture, parameters: model.info.parameters,
            activeParameters: model.info.activeParameters, weightBytes: model.info.weightBytes,
            vocabularySize: model.info.vocabularySize, trainedContextLength: model.info.trainedContextLength,
            contextLength: contextLength, threads: model.options.threads, chatTemplate: template,
            chatFormat: chatFormat?.name)
    }

    var vocabularySize: Int { model.info.vocabularySize }
    var endOfGeneration: Set<Int32> { tokenizer.endOfGeneration }

    func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool) -> [Int32] {
        tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
    }

    func decode(_ tokens: [Int32], renderSpecial: Bool) -> String {
        tokenizer.decode(tokens, renderSpecial: renderSpecial)
    }

    func makeTextDecoder() -> any TextDecoder { StreamingDecoder(tokenizer) }

    func tokens(containing texts: [String]) -> Set<Int32> {
        let needles = texts.map { Array($0.utf8) }.filter { !$0.isEmpty }
        var found = Set<Int32>()
        for id in 0..<Int32(tokenizer.vocabularySize) {
            let bytes = tokenizer.bytes(of: id, renderSpecial: false)
            if needles.contains(where: { bytes.firstRange(of: $0) != nil }) { found.insert(id) }
        }
        return found
    }

    func makeGenerator() throws -> any TokenGenerator {
        EngineGenerator(try model.makeGenerator())
    }
}

extension StreamingDecoder: TextDecoder {}

/// Gives a `Generator` of the engine the shape that sessions know.
private final class EngineGenerator: TokenGenerator {
    private let generator: Generator

    init(_ generator: Generator) { self.generator = generator }

    var tokens: [Int32] { generator.tokens }
    var capacity: Int { generator.capacity }
    var logits: UnsafeMutableBufferPointer<Float> { generator.logits }

    func sync(_ tokens: [Int32], isCancelled: () -> Bool, progress: (Int, Int) -> Void) throws {
        do {
            try generator.sync(tokens, isCancelled: isCancelled, progress: progress)
        } catch .cancelled {
            throw GenerationInterrupted()
        } catch {
            throw LanguageModelSession.GenerationError(error)
        }
    }

    func decode(_ token: Int32) throws {
        do {
            try generator.decode(token)
        } catch {
            throw LanguageModelSession.GenerationError(error)
        }
    }
}
