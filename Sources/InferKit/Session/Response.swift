extension LanguageModelSession {
    /// A whole answer.
    public struct Response<Content: Sendable>: Sendable {
        /// The answer.
        public let content: Content
        /// What the model thought before it, where thoughts are marked.
        public let reasoning: String
        /// Why it ended.
        public let finishReason: FinishReason
        /// What it took.
        public let usage: Usage

        func map<Other>(_ content: Other) -> Response<Other> {
            Response<Other>(content: content, reasoning: reasoning, finishReason: finishReason, usage: usage)
        }
    }
}
