extension LanguageModelSession {
    /// A whole answer.
    public struct Response<Content: Sendable>: Sendable {
        /// The answer.
        public let content: Content
        /// Why it ended.
        public let finishReason: FinishReason
        /// What it took.
        public let usage: Usage
    }
}
