/// The half of a layer that looks at other tokens: attention, or a recurrence.
package protocol Mixer: Sendable {
    /// What it remembers between tokens.
    var state: LayerState { get }
    /// What it is, in the field's words.
    var kind: String { get }

    /// x, out (tokens, embedding).
    /// - Parameters:
    ///   - angles: the rotation of queries and keys, for mixers that rotate.
    ///   - layer: the index of its state.
    func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix)
}

extension Mixer {
    package var kind: String { state.kind }
}

/// The pre-norm residual layer that most families are made of:
///
///     x += mixer(attnNorm(x));  x += feedForward(ffnNorm(x))
package struct DecoderLayer: Sendable {
    let attnNorm: Norm  // (embedding)
    let mixer: any Mixer
    let ffnNorm: Norm  // (embedding), in some families named post_attention_norm
    let feedForward: FeedForward

    package init(attnNorm: Norm, mixer: any Mixer, ffnNorm: Norm, feedForward: FeedForward) {
        self.attnNorm = attnNorm
        self.mixer = mixer
        self.ffnNorm = ffnNorm
        self.feedForward = feedForward
    }

    /// A layer with RMS norms.
    /// - Parameter ffnNorm: the name of the norm before the feed-forward half.
    package init(
        _ tensors: LayerWeights, _ shape: DecoderShape, mixer: any Mixer, ffnNorm: String = "ffn_norm",
        feedForward: FeedForward
    ) throws(EngineError) {
        self.init(
            attnNorm: try Norm(tensors, "attn_norm", shape.embeddingLength, epsilon: shape.epsilon), mixer: mixer,
            ffnNorm: try Norm(tensors, ffnNorm, shape.embeddingLength, epsilon: shape.epsilon),
            feedForward: feedForward)
    }

    /// x (tokens, embedding), the residual stream, updated in place.
    package func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass) {
        pass.work.scoped {
            let h = pass.matrix(x.cols)  // a branch's normed input
            let y = pass.matrix(x.cols)  // a branch's output
            pass.norm(x, attnNorm, into: h)
            mixer.forward(h, angles, layer: layer, pass, into: y)
            pass.add(y, to: x, thenNorm: ffnNorm, into: h)
            feedForward.forward(h, pass, into: y)
            pass.cpu.add(y, to: x)
        }
    }
}

extension Architecture {
    /// The forward pass of a plain stack: embedding, layers with one rotation for all, final norm.
    func forward(_ layers: [DecoderLayer], _ rope: RopeTable?, _ pass: Pass, into hidden: Matrix) {
        let x = pass.matrix(shape.embeddingLength)  // the residual stream
        let angles = rope.map { pass.cpu.angles($0, pass.batch, pass.work) }
        head.embed(pass, into: x)
        for (index, layer) in layers.enumerated() { layer.forward(x, angles, layer: index, pass) }
        head.norm(x, pass, into: hidden)
    }
}
