import ChatTemplates
import Engine

extension GGUFLanguageModel {
    /// How a model is run. Only the cache types change what it says.
    public struct Configuration: Sendable, Equatable {
        /// Threads that compute; nil: one for each physical core.
        public var threads: Int?
        /// Tokens that one session has room for; nil: what the model was trained for, at most 4096.
        public var contextLength: Int?
        /// Most tokens of a prompt that are computed at once.
        public var batchSize: Int
        /// How the cache stores keys.
        public var keyCache: CacheType
        /// How the cache stores values.
        public var valueCache: CacheType
        /// How conversations are written; nil: as the template in the model file says, and in ``ChatFormat/chatML`` or
        /// ``ChatFormat/llama3``, whichever the vocabulary has the tokens for, where there is none.
        public var chatFormat: ChatFormat?
        /// A Jinja chat template in place of the model file's and of ``chatFormat``.
        public var chatTemplate: String?
        /// Answers that are computed side by side; further ones wait for their turn.
        public var parallelism: Int

        /// A configuration that suits most uses.
        public init(
            threads: Int? = nil, contextLength: Int? = nil, batchSize: Int = 512, keyCache: CacheType = .f16,
            valueCache: CacheType = .f16, chatFormat: ChatFormat? = nil, chatTemplate: String? = nil,
            parallelism: Int = 4
        ) {
            self.threads = threads
            self.contextLength = contextLength
            self.batchSize = batchSize
            self.keyCache = keyCache
            self.valueCache = valueCache
            self.chatFormat = chatFormat
            self.chatTemplate = chatTemplate
            self.parallelism = parallelism
        }

        var engineOptions: EngineOptions {
            var options = EngineOptions(
                contextLength: contextLength, batchSize: batchSize, keyCache: keyCache.engineType,
                valueCache: valueCache.engineType)
            if let threads { options.threads = threads }
            return options
        }
    }

    /// How a number of the key/value cache is stored.
    public enum CacheType: String, Sendable, CaseIterable {
        /// Four bytes.
        case f32
        /// Two bytes, the usual choice: integers that share scales, or half floats where the cache keeps latents.
        case f16
        /// A little more than one byte: long contexts in little memory.
        case q8_0

        var engineType: Engine.CacheType {
            switch self {
            case .f32: .f32
            case .f16: .f16
            case .q8_0: .q8_0
            }
        }
    }

    /// How a conversation is written for the model.
    public enum ChatFormat: String, Sendable, CaseIterable {
        /// `<|im_start|>user …<|im_end|>`: Qwen and many others.
        case chatML = "chatml"
        /// `<|start_header_id|>user<|end_header_id|> …<|eot_id|>`: Llama 3.
        case llama3

        var template: DefaultTemplate {
            switch self {
            case .chatML: .chatML
            case .llama3: .llama3
            }
        }
    }
}
