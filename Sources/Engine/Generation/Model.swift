package import GGUF

/// A model file bound to its family: weights mapped, shapes checked, ready to make generators.
///
/// The weights stay in the mapped file; loading allocates only norms and tables.
package final class Model: Sendable {
    package let file: GGUFFile
    package let info: ModelInfo
    package let options: EngineOptions
    package let compute: Compute
    package let architecture: any Architecture
    /// What a sequence of this model remembers.
    package let stateLayout: StateLayout
    // Keeps the vectors alive that the family's layers point to.
    private let vectors: [FloatBuffer]

    /// - Throws: ``EngineError`` for a file that cannot be read, is of an unknown family, or does not hold what
    ///   its family needs, before any memory is taken for it.
    package static func load(
        path: String, options: EngineOptions = EngineOptions(), progress: (Double) -> Void = { _ in }
    ) throws(EngineError) -> Model {
        let file: GGUFFile
        do {
            file = try GGUFFile(path: path)
        } catch {
            throw .file(error.description)
        }
        return try load(file, options: options, progress: progress)
    }

    package static func load(
        _ file: GGUFFile, options: EngineOptions = EngineOptions(), progress: (Double) -> Void = { _ in }
    ) throws(EngineError) -> Model {
        progress(0)
        let model = try Model(file, options)
        progress(1)
        return model
    }

    private init(_ file: GGUFFile, _ options: EngineOptions) throws(EngineError) {
        try options.validate()
        do {
            try InstructionSet.activate()
        } catch {
            throw .instructionSet(error)
        }
        let hyper = try Hyperparameters(file.metadata)
        let family = try Registry.family(hyper.architecture)
        guard !file.tensors.isEmpty else { throw .vocabularyOnly(architecture: hyper.architecture) }
        let weights = WeightMap(file)
        architecture = try family.init(hyper, weights)
        try hyper.finish()
        try weights.finish()
        try Self.checkVocabulary(file.metadata, hyper, rows: architecture.head.vocabularySize)
        do {
            stateLayout = try StateLayout(
                layers: architecture.layerStates, keyType: options.keyCache, valueType: options.valueCache,
                batchSize: options.batchSize)
        } catch {
            throw .state(error)
        }
        self.file = file
        self.options = options
        vectors = weights.vectors
        info = ModelInfo(file: file, hyper, architecture, weights.entries)
        compute = Compute(threads: options.threads, observer: options.observer)
    }

    /// The tokenizer, the metadata and the tensors must speak of the same vocabulary.
    static func checkVocabulary(
        _ metadata: GGUFMetadata, _ hyper: Hyperparameters, rows: Int
    ) throws(EngineError) {
        if let tokens = metadata["tokenizer.ggml.tokens"]?.array, tokens.count != rows {
            throw .vocabularySize(tensorRows: rows, tokens: tokens.count)
        }
        if let size = try hyper.optionalInt("vocab_size", in: 1...(1 << 31)), size != rows {
            throw .vocabularySize(tensorRows: rows, tokens: size)
        }
    }

    /// A new empty sequence with memory of its own.
    /// - Parameter contextLength: tokens it has room for; see ``EngineOptions/contextLength``.
    package func makeGenerator(contextLength: Int? = nil) throws(EngineError) -> Generator {
        guard !architecture.isEncoder else { throw .encoderOnly(architecture: info.architecture) }
        return try Generator(self, capacity: self.contextLength(contextLength))
    }

    /// A new empty state, for callers that run batches of several sequences themselves.
    /// - Parameter cache: how keys and values are stored; nil: as the options say.
    package func makeSequence(
        contextLength: Int? = nil, cache: CacheType? = nil
    ) throws(EngineError) -> SequenceState {
        let capacity = try self.contextLength(contextLength)
        do {
            var layout = stateLayout
            if let cache {
                layout = try StateLayout(
                    layers: architecture.layerStates, keyType: cache, valueType: cache, batchSize: options.batchSize)
            }
            return try SequenceState(layout, capacity: capacity)
        } catch {
            throw .state(error)
        }
    }

    /// Tokens that a sequence has room for, when `wanted` or what the options say is asked for.
    package func contextLength(_ wanted: Int? = nil) throws(EngineError) -> Int {
        try options.contextLength(trained: architecture.shape.contextLength, wanted: wanted)
    }

    /// Checks that there are tokens and that the vocabulary has them.
    func validate(_ tokens: some Collection<Int32>) throws(EngineError) {
        guard !tokens.isEmpty else { throw .option(name: "tokens", found: "none", expected: "at least one") }
        let size = architecture.head.vocabularySize
        for token in tokens {
            guard token >= 0, Int(token) < size else {
                throw .tokenOutOfRange(token: token, vocabularySize: size)
            }
        }
    }

    /// Runs one batch and makes its tokens part of their sequences.
    /// - Parameter deliver: receives the normed hidden states (logit rows, embedding) of the rows asked for.
    package func hiddenStates(_ batch: Batch, _ work: Workspace, deliver: (Matrix) -> Void) {
        work.reset()
        let hidden = work.matrix(rows: batch.logitCount, cols: architecture.shape.embeddingLength)
        work.scoped { architecture.forward(Pass(batch, on: compute, work), into: hidden) }
        batch.commit()
        deliver(hidden)
    }

    /// Runs one batch, of any number of sequences, and makes its tokens part of them.
    ///
    /// The logits of the rows that are asked for come in pieces of a few rows, so that asking for all of a long
    /// prompt takes little memory.
    /// - Parameter deliver: receives the index of the first logit row of the piece, and (rows, vocabulary).
    package func forward(_ batch: Batch, _ work: Workspace, deliver: (Int, Matrix) -> Void) {
        hiddenStates(batch, work) { hidden in
            var first = 0
            while first < batch.logitCount {
                let piece = first..<min(first + Self.logitRowsPerPiece, batch.logitCount)
                work.scoped {
                    let logits = work.matrix(rows: piece.count, cols: architecture.head.vocabularySize)
                    architecture.head.logits(hidden.rows(piece), on: compute, work, into: logits)
                    deliver(first, logits)
                }
                first = piece.upperBound
            }
        }
    }

    static let logitRowsPerPiece = 16
}
