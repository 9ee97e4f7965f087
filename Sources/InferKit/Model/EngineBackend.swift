import ChatTemplates
import Engine
import GGUF
import Tokenization

/// The engine and the tokenizer behind ``ModelBackend``.
final class EngineBackend: ModelBackend {
    let information: ModelInformation
    let contextLength: Int
    let chatTemplates: ChatTemplateSources
    let model: Model
    let tokenizer: Tokenizer
    private let grammars: GrammarCompiler

    init(
        path: String, configuration: GGUFLanguageModel.Configuration, allowsEncoder: Bool = false,
        progress: (Double) -> Void
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
        grammars = GrammarCompiler(tokenizer: tokenizer)
        do throws(EngineError) {
            var loaded = try Model.load(file, options: configuration.engineOptions, progress: progress)
            if loaded.architecture.isEncoder {
                guard allowsEncoder else { throw EngineError.encoderOnly(architecture: loaded.info.architecture) }
                // Keys and values last for one text only, so four bytes each cost little; see GGUFEmbeddingModel.
                var options = configuration.engineOptions
                (options.keyCache, options.valueCache) = (.f32, .f32)
                loaded = try Model.load(file, options: options, progress: progress)
            }
            model = loaded
            contextLength = try model.servedContextLength()
        } catch {
            throw ModelLoadError(path: path, error)
        }
        let (sources, format) = Self.chatTemplates(file.metadata, tokenizer, configuration)
        chatTemplates = sources
        information = ModelInformation(
            name: model.info.name, architecture: model.info.architecture, parameters: model.info.parameters,
            activeParameters: model.info.activeParameters, weightBytes: model.info.weightBytes,
            vocabularySize: model.info.vocabularySize, trainedContextLength: model.info.trainedContextLength,
            contextLength: contextLength, threads: model.options.threads,
            chatTemplate: file.metadata["tokenizer.chat_template"]?.stringValue, chatFormat: format?.rawValue)
    }

    /// The template of the configuration, that of the file, or the default; the format in the last case.
    private static func chatTemplates(
        _ metadata: GGUFMetadata, _ tokenizer: Tokenizer, _ configuration: GGUFLanguageModel.Configuration
    ) -> (ChatTemplateSources, DefaultTemplate?) {
        var sources: ChatTemplateSources
        var format: DefaultTemplate?
        if let text = configuration.chatTemplate {
            sources = ChatTemplateSources(main: text)
        } else if configuration.chatFormat == nil, let text = metadata["tokenizer.chat_template"]?.stringValue {
            sources = ChatTemplateSources(main: text)
            // Further templates have their name behind the key.
            sources.tools = metadata["tokenizer.chat_template.tool_use"]?.stringValue
        } else {
            let hasLlamaHeaders = tokenizer.id(of: "<|start_header_id|>") != nil
            let chosen = configuration.chatFormat?.template ?? (hasLlamaHeaders ? .llama3 : .chatML)
            sources = ChatTemplateSources(chosen)
            format = chosen
        }
        sources.bosText = tokenizer.bos.map { tokenizer.text(of: $0) }
        sources.eosText = tokenizer.eos.map { tokenizer.text(of: $0) }
        return (sources, format)
    }

    var vocabularySize: Int { model.info.vocabularySize }
    var endOfGeneration: Set<Int32> { tokenizer.endOfGeneration }
    var beginOfText: Int32? { tokenizer.addBOS ? tokenizer.bos : nil }

    var controlTexts: ControlTexts {
        var texts = ControlTexts()
        for id in 0..<Int32(tokenizer.vocabularySize) {
            switch tokenizer.type(of: id) {
            case .control, .unknown: texts.control.append(tokenizer.text(of: id))
            case .userDefined: texts.userDefined.append(tokenizer.text(of: id))
            case .normal, .unused, .byte, .undefined, nil: break
            }
        }
        return texts
    }

    func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool, seams: [Int]) -> [Int32] {
        tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial, seams: seams)
    }

    func decode(_ tokens: [Int32], renderSpecial: Bool) -> String {
        tokenizer.decode(tokens, renderSpecial: renderSpecial)
    }

    func isControl(_ token: Int32) -> Bool { tokenizer.isControl(token) }

    func makeTextDecoder(showing control: ShownControlTokens) -> any TextDecoder {
        switch control {
        case .none: StreamingDecoder(tokenizer)
        case .all: StreamingDecoder(tokenizer, renderSpecial: true)
        case .some: MarkDecoder(tokenizer, control)
        }
    }

    func makeConstraint(_ pattern: OutputPattern) throws -> any TokenConstraint {
        try grammars.constraint(for: pattern)
    }

    func tokens(containing texts: [String]) -> Set<Int32> {
        let needles = texts.map { Array($0.utf8) }.filter { !$0.isEmpty }
        var found = Set<Int32>()
        for id in 0..<Int32(tokenizer.vocabularySize) {
            let bytes = tokenizer.bytes(of: id, renderSpecial: false)
            if needles.contains(where: { bytes.firstRange(of: $0) != nil }) { found.insert(id) }
        }
        return found
    }

    var isEncoder: Bool { model.architecture.isEncoder }

    func makeRunner(parallel: Int) throws -> any StepRunner {
        try EngineRunner(model, contextLength: contextLength, parallel: parallel)
    }
}

extension StreamingDecoder: TextDecoder {}

/// Writes some control tokens out and leaves the others away.
private struct MarkDecoder: TextDecoder {
    private let tokenizer: Tokenizer
    private let shown: ShownControlTokens
    private var decoder: StreamingDecoder

    init(_ tokenizer: Tokenizer, _ shown: ShownControlTokens) {
        self.tokenizer = tokenizer
        self.shown = shown
        decoder = StreamingDecoder(tokenizer, renderSpecial: true)
    }

    mutating func append(_ token: Int32) -> String {
        !tokenizer.isControl(token) || shown.contains(token) ? decoder.append(token) : ""
    }

    mutating func finish() -> String { decoder.finish() }
}
