import GGUF
import TestSupport
import Testing

@testable import Engine

/// Layers with a sliding window forget what lies behind it, and nobody can tell.
@Suite struct ModelWindowTests {
    private static let layer = LayerState.attention(kvHeads: 2, keyDim: 32, valueDim: 32, window: 40)
    private static let full = LayerState.attention(kvHeads: 2, keyDim: 32, valueDim: 32)

    @Test func memoryFigures() throws {
        let layout = try StateLayout(layers: [Self.layer, Self.full], batchSize: 100)
        let perPosition = 2 * 2 * (32 * 2 + 4)
        #expect(layout.bytesPerToken == perPosition)
        // 140 positions in whole blocks of 256.
        #expect(layout.windowBytes == 256 * perPosition && layout.hasWindows)
        #expect(layout.bytes(capacity: 100) == 2 * 112 * perPosition)
        #expect(layout.bytes(capacity: 10_000) == (10_000 + 256) * perPosition)
        #expect(try !StateLayout(layers: [Self.full]).hasWindows)
        // A window of the whole context is none.
        let wide = LayerState.attention(kvHeads: 2, keyDim: 32, valueDim: 32, window: 1 << 31)
        #expect(try StateLayout(layers: [wide]).bytes(capacity: 5000) == 5008 * perPosition)
    }

    /// A sequence can be cut back as long as the next token's window is still there.
    @Test func truncation() throws {
        let sequence = try SequenceState(StateLayout(layers: [Self.layer], batchSize: 100), capacity: 10_000)
        for _ in 0..<10 { sequence.advance(by: 100) }
        // Positions 744... are there; the token at 783 sees 744...783.
        #expect(!sequence.truncate(to: 782) && sequence.count == 1000)
        #expect(sequence.truncate(to: 783) && sequence.count == 783)
        sequence.advance(by: 10)
        // What was overwritten by the tokens that were taken back stays lost.
        #expect(!sequence.truncate(to: 780) && sequence.truncate(to: 785))
        #expect(sequence.truncate(to: 0))
        sequence.advance(by: 100)
        #expect(sequence.truncate(to: 1))
    }

    /// Batches so large that nothing is forgotten against small ones, over several times the window.
    @Test(arguments: FamilyToy.windowed)
    func longerThanWindowAndBatch(_ toy: FamilyToy) throws {
        let file = try toy.file(format: try #require(QuantFormat.find(.q8_0)))
        let tokens = toy.tokens(900)
        func logits(batchSize: Int) throws -> ([Float], Int) {
            let options = EngineOptions(threads: 2, contextLength: 900, batchSize: batchSize)
            let model = try Model.load(file, options: options)
            let generator = try model.makeGenerator()
            try generator.sync(tokens)
            return ([Float](generator.logits), model.stateLayout.bytes(capacity: 900))
        }
        let (whole, all) = try logits(batchSize: 900)
        let (pieces, kept) = try logits(batchSize: 20)
        #expect(whole.map(\.bitPattern) == pieces.map(\.bitPattern))
        #expect(kept < all)
    }

    /// After a rewind beyond the window the sequence is computed anew.
    @Test func rewound() throws {
        let toy = try FamilyToy.named("gpt-oss")
        let file = try toy.file(format: try #require(QuantFormat.find(.q4_0)))
        let model = try Model.load(file, options: EngineOptions(threads: 2, contextLength: 1000, batchSize: 32))
        let tokens = toy.tokens(900)
        let generator = try model.makeGenerator()
        try generator.sync(tokens)
        for keep in [899, 850, 300, 299, 10] {
            let wanted = [Int32](tokens.prefix(keep)) + [1, 2, 3]
            try generator.sync(wanted)
            let fresh = try model.makeGenerator()
            try fresh.sync(wanted)
            #expect([Float](generator.logits).map(\.bitPattern) == [Float](fresh.logits).map(\.bitPattern))
        }
    }

    /// A long answer can be replaced without computing its prompt again.
    @Test func answerTakenBack() throws {
        let toy = try FamilyToy.named("gpt-oss")
        let file = try toy.file(format: try #require(QuantFormat.find(.q4_0)))
        let model = try Model.load(file, options: EngineOptions(threads: 2, contextLength: 1000, batchSize: 32))
        let generator = try model.makeGenerator()
        let prompt = toy.tokens(100)
        try generator.sync(prompt)
        for token in toy.tokens(400, seed: 2) { try generator.decode(token) }
        var computed = 0
        try generator.sync(prompt + [1, 2, 3], progress: { done, _ in computed = done })
        #expect(computed == 3)
        let fresh = try model.makeGenerator()
        try fresh.sync(prompt + [1, 2, 3])
        #expect([Float](generator.logits).map(\.bitPattern) == [Float](fresh.logits).map(\.bitPattern))
    }

    /// LongRoPE: a position's logits are those of the sequence that ends there, however it got there.
    @Test(arguments: FamilyToy.longContext)
    func longRope(_ toy: FamilyToy) throws {
        let name = toy.architecture
        let file = try toy.file(format: try #require(QuantFormat.find(.q8_0)))
        let model = try Model.load(file, options: EngineOptions(threads: 2, contextLength: 200, batchSize: 30))
        let limit = FamilyToy.longRopeSwitch
        let tokens = toy.tokens(limit + 6)
        let all = try model.allLogits(tokens)
        let generator = try model.makeGenerator()
        try generator.sync([Int32](tokens.prefix(limit - 3)))
        for position in limit - 3..<tokens.count {
            try generator.decode(tokens[position])
            #expect([Float](generator.logits).map(\.bitPattern) == all[position].map(\.bitPattern), "\(position)")
        }
        try generator.sync([Int32](tokens.prefix(limit)))
        #expect([Float](generator.logits).map(\.bitPattern) == all[limit - 1].map(\.bitPattern))

        // Both sides of the switch are what a model with one rotation only computes.
        for (long, position) in [(false, limit - 1), (true, limit)] {
            var single = toy.toyFile(format: try #require(QuantFormat.find(.q8_0)))
            single["\(name).rope.scaling.original_context_length"] = .uint32(long ? 2 : 1024)
            let other = try Model.load(try single.file(), options: EngineOptions(threads: 1, contextLength: 200))
            let expected = try other.allLogits([Int32](tokens.prefix(position + 1)))[position]
            #expect(all[position].map(\.bitPattern) == expected.map(\.bitPattern))
        }
    }
}
