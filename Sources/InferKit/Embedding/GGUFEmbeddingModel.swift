import Engine
import GGUF
import Tokenization

/// Vectors of texts, from an encoder such as BERT or from any language model.
///
///     let model = try GGUFEmbeddingModel(path: "gte-small.gguf")
///     let vectors = try await model.embed(["a fox", "a lorry"])
///
/// One text is computed at a time, on a thread of the model's own.
public final class GGUFEmbeddingModel: Sendable {
    /// How the hidden states of a text's tokens become one vector.
    public enum Pooling: String, Sendable, CaseIterable {
        /// The mean of all tokens.
        case mean
        /// The first token, which encoders train to stand for the text.
        case cls
        /// The last token, the only one of a decoder that has seen the whole text.
        case last

        var engineType: Embedder.Pooling {
            switch self {
            case .mean: .mean
            case .cls: .cls
            case .last: .last
            }
        }

        init(_ pooling: Embedder.Pooling) {
            switch pooling {
            case .mean: self = .mean
            case .cls: self = .cls
            case .last: self = .last
            }
        }
    }

    /// One text's vector.
    public struct Embedding: Sendable, Equatable {
        /// ``GGUFEmbeddingModel/dimension`` numbers.
        public let vector: [Float]
        /// Tokens of the text, with those that the model wants around it.
        public let tokenCount: Int
    }

    /// Numbers in a vector.
    public let dimension: Int
    /// How tokens become one vector: as asked for, or as the file says.
    public let pooling: Pooling
    /// Whether vectors have a length of 1, so that their product is the cosine of the angle between them.
    public let normalizes: Bool
    /// Tokens of the longest text.
    public let contextLength: Int
    private let tokenizer: Tokenizer
    private let worker: EmbeddingWorker

    /// Opens a model file. Of a split file any part may be named.
    ///
    /// - Parameters:
    ///   - configuration: its context length is that of the longest text; nil: what the model was trained for, at
    ///     most 4096. Keys and values last for one text only, so four bytes each cost little. The format of
    ///     conversations plays no part.
    ///   - pooling: nil: as the file says, or else the mean for an encoder and the last token for a decoder.
    ///   - normalizes: gives vectors a length of 1.
    /// - Throws: ``ModelLoadError``.
    public init(
        path: String,
        configuration: GGUFLanguageModel.Configuration = .init(keyCache: .f32, valueCache: .f32),
        pooling: Pooling? = nil, normalizes: Bool = true
    ) throws {
        let file: GGUFFile
        do throws(GGUFError) {
            file = try GGUFFile(path: path)
        } catch {
            throw ModelLoadError(path: path, error)
        }
        do throws(TokenizerError) {
            tokenizer = try Tokenizer(file.metadata)
        } catch {
            throw ModelLoadError.unsupported(path: path, reason: error.description)
        }
        do throws(EngineError) {
            let model = try Model.load(file, options: configuration.engineOptions)
            let flag = StopFlag()
            let embedder = try Embedder(model, pooling: pooling?.engineType, isCancelled: { flag.isSet })
            (dimension, contextLength) = (embedder.dimension, embedder.capacity)
            self.pooling = Pooling(embedder.pooling)
            worker = EmbeddingWorker(embedder, flag)
        } catch {
            throw ModelLoadError(path: path, error)
        }
        self.normalizes = normalizes
    }

    /// The vector of a text.
    /// - Throws: ``LanguageModelSession/GenerationError``, for example for a text of too many tokens, or
    ///   `CancellationError`.
    public func embed(_ text: String) async throws -> Embedding {
        let tokens = tokenizer.encode(text, addSpecial: true, parseSpecial: false)
        return Embedding(vector: try await worker.embed(tokens, normalize: normalizes), tokenCount: tokens.count)
    }

    /// The vectors of several texts, in order.
    /// - Throws: as ``embed(_:)-(String)``.
    public func embed(_ texts: [String]) async throws -> [Embedding] {
        var embeddings: [Embedding] = []
        for text in texts { embeddings.append(try await embed(text)) }
        return embeddings
    }
}

/// Owns the engine's side, on a thread that computes.
private actor EmbeddingWorker {
    private let thread = EngineThread(name: "embedding")
    private let embedder: Embedder
    private let flag: StopFlag

    init(_ embedder: sending Embedder, _ flag: StopFlag) {
        self.embedder = embedder
        self.flag = flag
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    func embed(_ tokens: [Int32], normalize: Bool) throws -> [Float] {
        try Task.checkCancellation()
        do throws(EngineError) {
            return try embedder.embed(tokens, normalize: normalize)
        } catch {
            throw LanguageModelSession.GenerationError(error)
        }
    }
}
