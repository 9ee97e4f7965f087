/// Two mixers side by side: both read the layer's input, and their sum is its output.
package struct MixerPair<First: Mixer, Second: Mixer>: Mixer {
    let first: First
    let second: Second

    package init(_ first: First, _ second: Second) {
        self.first = first
        self.second = second
        firstStates = first.states.count
    }

    package var kind: String { "\(first.kind) beside \(second.kind)" }
    package var state: LayerState { first.state }
    package var states: [LayerState] { first.states + second.states }
    private let firstStates: Int

    package func forward(_ x: Matrix, _ angles: RopeAngles?, layer: Int, _ pass: Pass, into out: Matrix) {
        pass.work.scoped {
            let y = pass.matrix(out.cols)
            first.forward(x, angles, layer: layer, pass, into: out)
            second.forward(x, angles, layer: layer + firstStates, pass, into: y)
            pass.cpu.add(y, to: out)
        }
    }
}
