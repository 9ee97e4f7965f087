/// Both ends of a model: the embedding table, the norm behind the last layer, the projection to the vocabulary.
package struct OutputHead: Sendable {
    let epsilon: Float
    let tokenEmbd: Weight  // (vocabulary, embedding): one row per token
    let outputNorm: FloatVector  // (embedding)
    let output: Weight  // (embedding → vocabulary); tied to tokenEmbd when the file has none

    /// The vocabulary is as large as the embedding table says.
    package init(_ weights: WeightMap, _ shape: DecoderShape) throws(EngineError) {
        epsilon = shape.epsilon
        let vocabulary = try weights.rowCount("token_embd.weight", cols: shape.embeddingLength)
        tokenEmbd = try weights.matrix("token_embd.weight", in: shape.embeddingLength, out: vocabulary)
        outputNorm = try weights.vector("output_norm.weight", shape.embeddingLength)
        output =
            weights.contains("output.weight")
            ? try weights.matrix("output.weight", in: shape.embeddingLength, out: vocabulary) : tokenEmbd
    }

    package var vocabularySize: Int { tokenEmbd.rows }

    /// x (tokens, embedding).
    package func embed(_ pass: Pass, into x: Matrix) {
        pass.cpu.embed(pass.batch.tokens, tokenEmbd, into: x)
    }

    /// The normed rows that are asked for logits. x (tokens, embedding), hidden (logit rows, embedding).
    package func norm(_ x: Matrix, _ pass: Pass, into hidden: Matrix) {
        pass.cpu.gather(x, rows: pass.batch.logitRows, into: hidden)
        pass.cpu.rmsNorm(hidden, outputNorm, eps: epsilon, into: hidden)
    }

    /// hidden (rows, embedding), out (rows, vocabulary).
    package func logits(_ hidden: Matrix, on cpu: Compute, _ work: Workspace, into out: Matrix) {
        cpu.matmul(output, cpu.prepare(hidden, for: output, work), into: out)
    }
}
