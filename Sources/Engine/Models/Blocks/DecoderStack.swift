/// The layers of a model, what they share, and its two ends: all of a family but what is the family's alone.
package struct DecoderStack: Sendable {
    package let shape: DecoderShape
    package let head: OutputHead
    package let layers: [DecoderLayer]
    /// The rotations that layers name by index.
    package let rotations: [Rotation]
    package let experts: ExpertCounts?
    /// Bound and checked, not run by the main pass.
    package let nextToken: [NextTokenLayer]
    /// What a sequence remembers. A layer's first state has the layer's index, unless a layer before it has several.
    package let states: [LayerState]
    /// The index of each layer's first state.
    private let slots: [Int]

    package init(
        _ shape: DecoderShape, _ head: OutputHead, rotations: [Rotation] = [], experts: ExpertCounts? = nil,
        layers: [DecoderLayer], nextToken: [NextTokenLayer] = []
    ) {
        precondition(layers.allSatisfy { $0.rotation.map(rotations.indices.contains) ?? true } || rotations.isEmpty)
        self.shape = shape
        self.head = head
        self.rotations = rotations
        self.experts = experts
        self.layers = layers
        self.nextToken = nextToken
        var (states, slots): ([LayerState], [Int]) = ([], [])
        for layer in layers {
            slots.append(states.count)
            states += layer.states
        }
        (self.states, self.slots) = (states, slots)
    }

    /// Binds layer by layer.
    /// - Parameter predicts: false: the prediction layers are left unread.
    package init(
        _ shape: DecoderShape, _ weights: WeightMap, _ head: OutputHead, rotations: [Rotation] = [],
        experts: ExpertCounts? = nil, predicts: Bool = true,
        layer bind: (Int, LayerWeights) throws(EngineError) -> DecoderLayer
    ) throws(EngineError) {
        let further = shape.layers..<shape.layers + shape.nextTokenLayers
        if !predicts { weights.skip(layers: further) }
        self.init(
            shape, head, rotations: rotations, experts: experts,
            layers: try (0..<shape.layers).map { index throws(EngineError) in
                try bind(index, LayerWeights(weights, layer: index))
            },
            nextToken: try (predicts ? further : 0..<0).map { index throws(EngineError) in
                let tensors = LayerWeights(weights, layer: index)
                return try NextTokenLayer(tensors, shape, block: bind(index, tensors))
            })
    }

    /// Streams side by side in the residual stream.
    private var streams: Int { layers.first?.connections?.attn.streams ?? 1 }

    /// Room for the residual stream of all rows.
    package func stream(_ pass: Pass) -> Matrix { pass.matrix(streams * shape.embeddingLength) }

    /// Runs some of the layers. x (tokens, width of the stream) is the stream in front of the first of them, and is what
    /// it is behind the last when this returns. The pieces of a pass give the bits of the whole.
    package func forward(_ x: Matrix, layers range: Range<Int>, _ pass: Pass) {
        pass.work.scoped {
            let angles = pass.work.bytes(max(rotations.count, 1) * MemoryLayout<RopeAngles>.stride)
                .bindMemory(to: RopeAngles.self, capacity: max(rotations.count, 1))
            for (index, rotation) in rotations.enumerated() {
                (angles + index).initialize(to: rotation.angles(pass))
            }
            for index in range {
                let rotation = rotations.isEmpty ? nil : layers[index].rotation
                layers[index].forward(x, rotation.map { angles[$0] }, slot: slots[index], pass)
                pass.addInputs(behind: index, to: x)
            }
        }
    }
}

/// How queries and keys are turned by their positions.
package struct Rotation: Sendable {
    package let table: RopeTable
    /// Sequences of more tokens than `limit` turn every position by another table.
    package let long: (limit: Int, table: RopeTable)?

    package init(_ table: RopeTable, long: (limit: Int, table: RopeTable)? = nil) {
        self.table = table
        self.long = long
    }

    func angles(_ pass: Pass) -> RopeAngles {
        guard let long else { return pass.cpu.angles(table, pass.batch, pass.work) }
        return pass.cpu.angles(pass.batch, pass.work) { $0.sequence.isLong ? long.table : table }
    }
}
