/// How a model is run. None of these changes a result, save the cache types.
package struct EngineOptions: Sendable {
    /// Threads that compute, the caller included. By default one per core.
    package var threads: Int
    /// Tokens per sequence. By default the length the model was trained for, but no more than
    /// ``defaultContextLength``: a longer one must be asked for because its cache takes memory.
    package var contextLength: Int?
    /// Allows a ``contextLength`` beyond the length the model was trained for. Its answers get worse there.
    package var allowsUntrainedContext = false
    /// Most tokens per forward pass.
    package var batchSize = 512
    package var keyCache: CacheType = .f16
    package var valueCache: CacheType = .f16
    /// Sees what products and routers get, for calibration and statistics.
    package var observer: (any ComputeObserver)?

    package static let defaultContextLength = 4096

    package init(
        threads: Int = ProcessorCount.physicalCores, contextLength: Int? = nil, batchSize: Int = 512,
        keyCache: CacheType = .f16, valueCache: CacheType = .f16
    ) {
        self.threads = threads
        self.contextLength = contextLength
        self.batchSize = batchSize
        self.keyCache = keyCache
        self.valueCache = valueCache
    }

    func validate() throws(EngineError) {
        guard (1...1024).contains(threads) else {
            throw .option(name: "threads", found: "\(threads)", expected: "1 to 1024")
        }
        guard (1...65536).contains(batchSize) else {
            throw .option(name: "batchSize", found: "\(batchSize)", expected: "1 to 65536")
        }
    }

    /// The context length for a model trained with `trained` tokens.
    func contextLength(trained: Int, wanted: Int?) throws(EngineError) -> Int {
        guard let wanted = wanted ?? contextLength else { return min(trained, Self.defaultContextLength) }
        guard wanted > 0 else {
            throw .option(name: "contextLength", found: "\(wanted)", expected: "at least 1")
        }
        if wanted > trained, !allowsUntrainedContext {
            throw .contextBeyondTraining(wanted: wanted, trained: trained)
        }
        return wanted
    }
}
