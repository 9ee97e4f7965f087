/// What every block of a forward pass works with: the tokens, the operations, the scratch memory.
package struct Pass {
    package let batch: Batch
    package let cpu: Compute
    package let work: Workspace
    /// What each row's attention may see, in families with an indexer; its layers fill it.
    package var chosen: ChosenPositions?
    /// (tokens, layers · size): in families whose layers have inputs of their own, those of all layers.
    package var layerInputs: Matrix?

    package init(_ batch: Batch, on cpu: Compute, _ work: Workspace) {
        self.batch = batch
        self.cpu = cpu
        self.work = work
    }

    /// Scratch rows, one per token of the batch.
    package func matrix(_ cols: Int) -> Matrix {
        work.matrix(rows: batch.count, cols: cols)
    }

    /// Rows prepared for a product with one weight.
    package func prepare(_ x: Matrix, for weight: Weight) -> Activations {
        cpu.prepare(x, for: weight, work)
    }

    /// Rows prepared for products with all weights of these kinds.
    package func prepare(_ x: Matrix, for kinds: ActivationKinds) -> Activations {
        cpu.prepare(x, for: kinds, work)
    }

    /// Puts the embeddings that the batch brings in the place of those of its ids. x (tokens, embedding).
    package func takeEmbeddings(into x: Matrix) {
        for input in batch.inputs where input.behind == nil { cpu.copy(input.values, into: x.rows(input.rows)) }
    }

    /// Adds what the batch brings for the stream behind a layer. x (tokens, embedding).
    package func addInputs(behind layer: Int, to x: Matrix) {
        for input in batch.inputs where input.behind == layer { cpu.add(input.values, to: x.rows(input.rows)) }
    }
}
