import Engine
import TestSupport
import Testing

@Suite("Sequence state")
struct StateTests {
    private static let attention = LayerState.attention(kvHeads: 2, keyDim: 64, valueDim: 64)
    private static let recurrent = LayerState.recurrent(
        convChannels: 96, convTaps: 4, heads: 4, keyDim: 16, valueDim: 32)

    @Test("figures of memory")
    func figures() throws {
        let layers = [Self.attention, .none, Self.recurrent, Self.attention]
        let layout = try StateLayout(layers: layers)
        // Words of two bytes; a key has a scale per 32 of them, a value one.
        #expect(layout.bytesPerToken == 2 * 2 * (2 * (64 + 64) + 2 * 4 + 4))
        #expect(layout.recurrentBytes == 4 * (3 * 96 + 4 * 16 * 32))
        #expect(layout.bytes(capacity: 100) == 112 * layout.bytesPerToken + layout.recurrentBytes)
        #expect(layout.isRecurrent)
        let small = try StateLayout(layers: layers, keyType: .q8_0, valueType: .f32)
        #expect(small.bytesPerToken == 2 * 2 * (64 + 4 + 256))
    }

    @Test("a cache type that does not fit a head is refused")
    func headDimension() {
        #expect(throws: StateError.headDimension(layer: 1, dim: 48, type: .q8_0)) {
            try StateLayout(
                layers: [.none, .attention(kvHeads: 1, keyDim: 48, valueDim: 64)], keyType: .q8_0, valueType: .f16)
        }
    }

    @Test("absurd sizes are refused, large ones cost nothing")
    func sizes() throws {
        let layout = try StateLayout(layers: [LayerState](repeating: Self.attention, count: 40))
        _ = try SequenceState(layout, capacity: 1 << 20)
        #expect(throws: StateError.self) { try SequenceState(layout, capacity: 1 << 40) }
        #expect(throws: StateError.self) { try SequenceState(layout, capacity: .max / 2) }
    }

    @Test("counting, truncating, resetting")
    func counting() throws {
        let plain = try SequenceState(StateLayout(layers: [Self.attention]), capacity: 10)
        plain.advance(by: 7)
        #expect(plain.count == 7 && plain.remaining == 3)
        #expect(plain.truncate(to: 7) && plain.truncate(to: 3) && plain.count == 3)
        plain.reset()
        #expect(plain.count == 0)

        let hybrid = try SequenceState(StateLayout(layers: [Self.attention, Self.recurrent]), capacity: 10)
        hybrid.advance(by: 5)
        #expect(!hybrid.truncate(to: 4) && hybrid.count == 5)
        #expect(hybrid.truncate(to: 0) && hybrid.count == 0)
    }

    @Test("a batch knows its rows, positions and logits")
    func batches() throws {
        let layout = try StateLayout(layers: [Self.attention])
        let (a, b, c) = (
            try SequenceState(layout, capacity: 10), try SequenceState(layout, capacity: 10),
            try SequenceState(layout, capacity: 10)
        )
        b.advance(by: 4)
        let batch = Batch(capacity: 8)
        for _ in 0..<2 {
            batch.removeAll()
            batch.append([5, 6], to: a, logits: .last)
            batch.append([7, 8, 9], to: b, logits: .all)
            batch.append([1], to: c, logits: .none)
            #expect(batch.count == 6)
            #expect((0..<6).map { batch.tokens[$0] } == [5, 6, 7, 8, 9, 1])
            #expect((0..<6).map { batch.positions[$0] } == [0, 1, 4, 5, 6, 0])
            #expect((0..<batch.logitCount).map { batch.logitRows[$0] } == [1, 2, 3, 4])
            #expect(batch.segments.map(\.rows) == [0..<2, 2..<5, 5..<6])
            #expect(batch.segments.map(\.start) == [0, 4, 0] && batch.segments.map(\.end) == [2, 7, 1])
        }
        batch.commit()
        #expect([a, b, c].map(\.count) == [2, 7, 1])
    }

    @Test("a workspace gives memory back in stack order and stops growing")
    func workspace() {
        let workspace = Workspace(bytes: 1 << 12)
        func pass() -> UnsafeMutablePointer<Float> {
            workspace.reset()
            let a = workspace.matrix(rows: 3, cols: 17)
            #expect(a.stride == 32 && Int(bitPattern: a.pointer) % 64 == 0)
            workspace.scoped {
                let b = workspace.matrix(rows: 100, cols: 1000)
                b.row(99)[999] = 1
            }
            let c = workspace.matrix(rows: 2, cols: 16)
            let d = workspace.matrix(rows: 2, cols: 16)
            #expect(d.pointer >= c.pointer + 32 || c.pointer >= d.pointer + 32)
            for matrix in [a, c, d] {
                for row in 0..<matrix.rows { matrix.row(row).update(repeating: 2, count: matrix.cols) }
            }
            return a.pointer
        }
        _ = pass()
        let grown = workspace.growths
        #expect(grown > 0)
        let first = pass()
        #expect(pass() == first && workspace.growths == grown)
        #expect(workspace.highWater >= 100 * 1008 * 4)
    }
}
