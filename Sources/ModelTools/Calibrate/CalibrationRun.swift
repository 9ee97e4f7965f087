package import Engine
package import GGUF

/// A model that reads a text while somebody watches what its weights are multiplied with.
package struct CalibrationRun {
    private let file: GGUFFile
    package let text: CalibrationText
    private let threads: Int

    /// - Throws: `EngineError` where the model cannot run or is an encoder.
    package init(_ file: GGUFFile, text: CalibrationText, threads: Int) throws(EngineError) {
        (self.file, self.text, self.threads) = (file, text, threads)
        _ = try generator(nil)
    }

    /// Reads all pieces, or the first `limit` tokens of the first one.
    /// - Parameter progress: called with the tokens read so far and all tokens; false stops.
    /// - Throws: `EngineError`, `CalibrationError.cancelled`.
    package func run(
        _ observer: any ComputeObserver, limit: Int? = nil, progress: (Int, Int) -> Bool = { _, _ in true }
    ) throws {
        let generator = try generator(observer)
        if let limit { return try generator.evaluate([Int32](text.pieces[0].prefix(limit))) { _, _ in } }
        var done = 0
        for piece in text.pieces {
            try generator.evaluate(piece) { _, _ in }
            done += piece.count
            guard progress(done, text.tokenCount) else { throw CalibrationError.cancelled }
        }
    }

    private func generator(_ observer: (any ComputeObserver)?) throws(EngineError) -> Generator {
        let length = text.pieces.map(\.count).max() ?? 1
        var options = EngineOptions(
            threads: threads, contextLength: length, batchSize: length, keyCache: .f32, valueCache: .f32)
        options.allowsUntrainedContext = true
        options.observer = observer
        return try Model.load(file, options: options).makeGenerator()
    }
}

/// The matrices of a file that activations are collected for, by name.
struct ObservedMatrices: Sendable {
    struct Shape: Sendable, Equatable {
        let columns: Int
        /// Matrices in a stack of experts or heads; 1 for a plain one.
        let members: Int
    }

    let shapes: [String: Shape]

    init(_ file: GGUFFile) {
        shapes = Dictionary(
            file.tensors.filter(QuantizePlan.isQuantizable).map {
                ($0.name, Shape(columns: $0.dimensions[0], members: $0.dimensions.dropFirst(2).reduce(1, *)))
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Those of the weights that are matrices of the file, and not made from one.
    func known(_ weights: [Weight]) -> [Weight] {
        weights.filter { shapes[$0.name] == Shape(columns: $0.cols, members: $0.experts) }
    }
}
