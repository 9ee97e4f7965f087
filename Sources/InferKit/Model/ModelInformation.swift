/// What a loaded model is.
public struct ModelInformation: Sendable, Equatable {
    /// The name that the file gives, if any.
    public let name: String?
    /// The family, as in the file's `general.architecture`: `qwen35moe`, `llama` …
    public let architecture: String
    /// All weights of the file.
    public let parameters: Int
    /// The weights that one token is multiplied with; fewer than ``parameters`` in a mixture of experts.
    public let activeParameters: Int
    /// Bytes of all weights.
    public let weightBytes: Int
    /// Number of different tokens.
    public let vocabularySize: Int
    /// Tokens that the model was trained to look at.
    public let trainedContextLength: Int
    /// Tokens that one session has room for.
    public let contextLength: Int
    /// Threads that compute.
    public let threads: Int
    /// The Jinja chat template of the file, if any.
    public let chatTemplate: String?
    /// The name of the format in which conversations are written when it is not a template: `chatml` or `llama3`.
    public let chatFormat: String?

    package init(
        name: String?, architecture: String, parameters: Int, activeParameters: Int, weightBytes: Int,
        vocabularySize: Int, trainedContextLength: Int, contextLength: Int, threads: Int, chatTemplate: String?,
        chatFormat: String?
    ) {
        self.name = name
        self.architecture = architecture
        self.parameters = parameters
        self.activeParameters = activeParameters
        self.weightBytes = weightBytes
        self.vocabularySize = vocabularySize
        self.trainedContextLength = trainedContextLength
        self.contextLength = contextLength
        self.threads = threads
        self.chatTemplate = chatTemplate
        self.chatFormat = chatFormat
    }
}
