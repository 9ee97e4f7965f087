/// Both ends of a model: the embedding table, the norm behind the last layer, the projection to the vocabulary.
package struct OutputHead: Sendable {
    /// What one family's ends do differently from another's.
    package struct Options: Sendable {
        /// Multiplies embeddings.
        package var embeddingScale: Float = 1
        /// The final norm.
        package var norm = Norm.Form.rms
        /// `output.bias` [vocabulary].
        package var bias = Presence.absent
        /// Multiplies logits.
        package var logitScale: Float = 1
        /// logits = softCap · tanh(logits / softCap).
        package var softCap: Float?
        /// The name of the final norm.
        package var normName = "output_norm"
    }

    let options: Options
    let tokenEmbd: Weight  // (vocabulary, embedding): one row per token
    let outputNorm: Norm?  // (embedding); nil where the last layer has normed already
    let output: Weight  // (embedding → vocabulary); tied to tokenEmbd when the file has none
    let outputBias: FloatVector?  // (vocabulary)

    /// The vocabulary is as large as the embedding table says.
    package init(_ weights: WeightMap, _ shape: DecoderShape, _ options: Options = Options()) throws(EngineError) {
        self.options = options
        let width = shape.embeddingLength
        let vocabulary = try weights.rowCount("token_embd.weight", cols: width)
        tokenEmbd = try weights.matrix("token_embd.weight", in: width, out: vocabulary)
        let tensors = LayerWeights(outside: weights)
        outputNorm = try Norm(tensors, options.normName, width, epsilon: shape.epsilon, options.norm)
        output =
            weights.contains("output.weight")
            ? try weights.matrix("output.weight", in: width, out: vocabulary) : tokenEmbd
        outputBias = try tensors.bias("output", vocabulary, options.bias)
    }

    /// The embedding table alone, for a model that predicts nothing.
    package init(encoder weights: WeightMap, _ shape: DecoderShape) throws(EngineError) {
        options = Options()
        let width = shape.embeddingLength
        let vocabulary = try weights.rowCount("token_embd.weight", cols: width)
        tokenEmbd = try weights.matrix("token_embd.weight", in: width, out: vocabulary)
        outputNorm = nil
        output = tokenEmbd
        outputBias = nil
    }

    package var vocabularySize: Int { tokenEmbd.rows }

    /// x (tokens, embedding).
    package func embed(_ pass: Pass, into x: Matrix) {
        pass.cpu.embed(pass.batch.tokens, tokenEmbd, into: x)
        if options.embeddingScale != 1 { pass.cpu.scale(x, by: options.embeddingScale) }
        pass.takeEmbeddings(into: x)
    }

    /// The normed rows that are asked for logits. x (tokens, embedding), hidden (logit rows, embedding).
    package func norm(_ x: Matrix, _ pass: Pass, into hidden: Matrix) {
        pass.cpu.gather(x, rows: pass.batch.logitRows, into: hidden)
        if let outputNorm { pass.norm(hidden, outputNorm, into: hidden) }
    }

    /// hidden (rows, embedding), out (rows, vocabulary).
    package func logits(_ hidden: Matrix, on cpu: Compute, _ work: Workspace, into out: Matrix) {
        cpu.matmul(output, cpu.prepare(hidden, for: output, work), bias: outputBias, into: out)
        if options.logitScale != 1 { cpu.scale(out, by: options.logitScale) }
        if let limit = options.softCap { cpu.softCap(out, at: limit) }
    }
}
