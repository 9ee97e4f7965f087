/// The half of a layer that looks at other tokens: attention, or a recurrence.
package protocol Mixer: Sendable {
    /// What it remembers between tokens.
    var state: LayerState { get }
    /// All that it remembers, where that is more than one state.
    var states: [LayerState] { get }
    /// What it is, in the field's words.
    var kind: String { get }

    /// x, out (tokens, embedding).
    /// - Parameters:
    ///   - angles: the rotation of queries and keys, for mixers that rotate.
    ///   - layer: the index of its (first) state.
    func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix)
}

extension Mixer {
    package var kind: String { state.kind }
    package var states: [LayerState] { [state] }
}

/// A residual layer: a mixer and a feed-forward network, each with norms where the family has them.
///
///     x += scale · postAttentionNorm(mixer(attnNorm(x)));  x = attnOutputNorm(x)
///     x += scale · postFfwNorm(feedForward(ffnNorm(x)));   x = layerOutputNorm(x)
///
/// Whatever is nil is left out, a half of the layer too.
package struct DecoderLayer: Sendable {
    package var attnNorm: Norm?  // all norms (embedding)
    package var mixer: (any Mixer)?
    package var postAttentionNorm: Norm?
    /// Of the sum of stream and mixer.
    package var attnOutputNorm: Norm?
    package var ffnNorm: Norm?
    package var feedForward: (any FeedForward)?
    package var postFfwNorm: Norm?
    /// Of the sum of stream and network.
    package var layerOutputNorm: Norm?

    /// Multiplies what both halves add to the stream.
    package var residualScale: Float = 1
    /// Multiplies the stream behind the layer.
    package var outputScale: Float = 1
    /// Both halves read the stream as it enters the layer; without an ``ffnNorm`` they share one norm.
    package var isParallel = false
    /// The stack's rotation for this layer; nil: none.
    package var rotation: Int? = 0
    /// What a family adds behind the network.
    package var further: (any FurtherBranch)?
    /// Instead of one residual stream several, joined around each half.
    package var connections: (attn: HyperConnection, ffn: HyperConnection)?

    /// A layer with nothing in it, for the family to fill.
    package init() {}

    /// The pre-norm layer with RMS norms that most families are made of.
    /// - Parameter ffnNorm: the name of the norm before the feed-forward half.
    package init(
        _ tensors: LayerWeights, _ shape: DecoderShape, mixer: any Mixer, ffnNorm: String = "ffn_norm",
        feedForward: any FeedForward, rotation: Int? = 0
    ) throws(EngineError) {
        attnNorm = try Norm(tensors, "attn_norm", shape.embeddingLength, epsilon: shape.epsilon)
        self.mixer = mixer
        self.ffnNorm = try Norm(tensors, ffnNorm, shape.embeddingLength, epsilon: shape.epsilon)
        self.feedForward = feedForward
        self.rotation = rotation
    }

    package var states: [LayerState] { mixer?.states ?? [.none] }
    package var kind: String { mixer?.kind ?? feedForward?.kind ?? LayerState.none.kind }

    /// x (tokens, embedding), the residual stream, or (tokens, streams · embedding); updated in place.
    /// - Parameter slot: the index of the layer's (first) state.
    package func forward(_ x: Matrix, _ angles: RopeAngles?, slot: Int, _ pass: Pass) {
        pass.work.scoped {
            let width = connections.map { x.cols / $0.attn.streams } ?? x.cols
            let h = pass.matrix(width)  // a branch's normed input
            let y = pass.matrix(width)  // a branch's output
            if let connections {
                forward(x, between: connections, h, y, angles, slot, pass)
            } else if isParallel {
                sideBySide(x, h, y, angles, slot, pass)
            } else {
                inTurn(x, h, y, angles, slot, pass)
            }
            further?.forward(x, pass)
            if outputScale != 1 { pass.cpu.scale(x, by: outputScale) }
        }
    }

    private func inTurn(
        _ x: Matrix, _ h: Matrix, _ y: Matrix, _ angles: RopeAngles?, _ slot: Int, _ pass: Pass
    ) {
        var input: Matrix?  // the network's, once it is there
        if let mixer {
            mixer.forward(normed(x, attnNorm, h, pass), angles, layer: slot, pass, into: y)
            finish(y, postAttentionNorm, pass)
            if let attnOutputNorm {
                pass.add(y, to: x, thenNorm: attnOutputNorm, into: x)
            } else if let ffnNorm {
                // An addition and the norm behind it are one sweep.
                pass.add(y, to: x, thenNorm: ffnNorm, into: h)
                input = h
            } else {
                pass.cpu.add(y, to: x)
            }
        }
        guard let feedForward else { return }
        feedForward.forward(input ?? normed(x, ffnNorm, h, pass), residual: x, pass, into: y)
        finish(y, postFfwNorm, pass)
        if let layerOutputNorm {
            pass.add(y, to: x, thenNorm: layerOutputNorm, into: x)
        } else {
            pass.cpu.add(y, to: x)
        }
    }

    private func sideBySide(
        _ x: Matrix, _ h: Matrix, _ y: Matrix, _ angles: RopeAngles?, _ slot: Int, _ pass: Pass
    ) {
        let z = pass.matrix(h.cols)
        let shared = normed(x, attnNorm, h, pass)
        mixer?.forward(shared, angles, layer: slot, pass, into: y)
        let input = ffnNorm == nil ? shared : normed(x, ffnNorm, h, pass)
        feedForward?.forward(input, residual: x, pass, into: z)
        for (branch, norm) in [(y, postAttentionNorm), (z, postFfwNorm)] {
            finish(branch, norm, pass)
            pass.cpu.add(branch, to: x)
        }
    }

    private func forward(
        _ x: Matrix, between connections: (attn: HyperConnection, ffn: HyperConnection), _ h: Matrix, _ y: Matrix,
        _ angles: RopeAngles?, _ slot: Int, _ pass: Pass
    ) {
        connections.attn.around(x, h, y, pass) {
            mixer?.forward(normed(h, attnNorm, h, pass), angles, layer: slot, pass, into: y)
        }
        connections.ffn.around(x, h, y, pass) {
            feedForward?.forward(normed(h, ffnNorm, h, pass), residual: x, pass, into: y)
        }
    }

    /// norm(x) in h, or x itself.
    private func normed(_ x: Matrix, _ norm: Norm?, _ h: Matrix, _ pass: Pass) -> Matrix {
        guard let norm else { return x }
        pass.norm(x, norm, into: h)
        return h
    }

    private func finish(_ y: Matrix, _ norm: Norm?, _ pass: Pass) {
        if let norm { pass.norm(y, norm, into: y) }
        if residualScale != 1 { pass.cpu.scale(y, by: residualScale) }
    }
}

/// A third branch of a layer, which adds to the residual stream what it makes of it.
package protocol FurtherBranch: Sendable {
    /// x (tokens, embedding), updated in place.
    func forward(_ x: Matrix, _ pass: Pass)
}
