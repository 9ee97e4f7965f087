package import InferKit

/// How the server is run.
package struct ServerConfiguration: Sendable {
    package var models: [ModelEntry]
    package var model = GGUFLanguageModel.Configuration()
    package var limits = Scheduler.Limits()
    /// Loopback: nobody else on the network gets in unless asked for.
    package var host = "127.0.0.1"
    /// 0: any free one.
    package var port = 8080
    /// Without any, every request is served.
    package var apiKeys: [String] = []
    /// Pages of these origins may use the server; `*`: of any.
    package var corsOrigins: [String] = []
    package var bodyLimit = 64 << 20
    /// An answer ends after this with what there is.
    package var timeout: Duration? = .seconds(3600)
    /// How long running answers may go on when the server is told to end.
    package var shutdownGrace: Duration = .seconds(30)
    /// A client that takes nothing of an answer for so long, while more waits for it than the system holds, is gone.
    package var stallLimit: Duration = .seconds(60)
    /// Bytes for all models that are loaded at a time.
    package var memoryBudget = Int.max
    /// Whether the log holds what was asked.
    package var logsPrompts = false
    /// Whether there is a page to chat at `/`.
    package var servesPage = true

    package init(models: [ModelEntry]) { self.models = models }
}
