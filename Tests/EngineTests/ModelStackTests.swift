import GGUF
import TestSupport
import Testing

@testable import Engine

/// The openings of the stack: layers in pieces, and what enters a pass beside token ids.
@Suite struct ModelStackTests {
    /// One prompt as one pass, and what the pass is made of.
    private final class Run {
        let model: Model
        let batch = Batch(capacity: 64)
        let sequence: SequenceState
        let work = Workspace()

        init(_ toy: FamilyToy, format: GGUFTensorType = .q8_0) throws {
            model = try Model.load(
                try toy.file(format: try #require(QuantFormat.find(format))),
                options: EngineOptions(threads: 2, contextLength: 64, keyCache: .f32, valueCache: .f32))
            sequence = try model.makeSequence()
        }

        /// The normed states of all tokens; `body` stands in for the layers.
        func states(
            _ tokens: [Int32], _ span: Span? = nil, layers body: ((Matrix, Pass) -> Void)? = nil
        ) -> [[Float]] {
            sequence.reset()
            batch.removeAll()
            batch.append(tokens, to: sequence, logits: .all, span)
            work.reset()
            let hidden = work.matrix(rows: tokens.count, cols: model.architecture.shape.embeddingLength)
            var pass = Pass(batch, on: model.compute, work)
            if let body {
                let x = model.architecture.enter(&pass)
                body(x, pass)
                model.architecture.leave(x, pass, into: hidden)
            } else {
                model.architecture.forward(pass, into: hidden)
            }
            batch.commit()
            return (0..<hidden.rows).map { [Float](UnsafeBufferPointer(start: hidden.row($0), count: hidden.cols)) }
        }
    }

    /// Hidden rows can be had behind any layer, and go on from there: the bits are those of the whole.
    @Test(arguments: FamilyToy.all)
    func layersInPieces(_ toy: FamilyToy) throws {
        let run = try Run(toy)
        let tokens = toy.tokens(20)
        let whole = run.states(tokens)
        let count = run.model.architecture.stack.layers.count
        for cut in 1..<count {
            let pieces = run.states(tokens) { x, pass in
                run.model.architecture.stack.forward(x, layers: 0..<cut, pass)
                run.model.architecture.stack.forward(x, layers: cut..<count, pass)
            }
            #expect(sameBits(pieces, whole), "cut before layer \(cut)")
        }
    }

    /// Rows in the place of embeddings: those of the table give what the ids give, others something else.
    @Test(arguments: FamilyToy.all.filter { !$0.countsOutsideAsPadding })
    func embeddingsFromOutside(_ toy: FamilyToy) throws {
        let run = try Run(toy)
        let tokens = toy.tokens(9)
        let whole = run.states(tokens)
        let width = run.model.architecture.shape.embeddingLength
        let table = FloatBuffer(count: tokens.count * width)
        let rows = Matrix(table.pointer, rows: tokens.count, cols: width)
        _ = run.states(tokens) { _, pass in run.model.architecture.head.embed(pass, into: rows) }
        var span = Span()
        span.embeddings = rows
        #expect(sameBits(run.states(tokens, span), whole))
        rows.row(4)[3] += 1
        let other = run.states(tokens, span)
        #expect(sameBits([[Float]](other[..<4]), [[Float]](whole[..<4])) && !sameBits([other[4]], [whole[4]]))
        withExtendedLifetime(table) {}
    }

    /// Rows that are added behind a layer are seen by the next one.
    @Test func rowsBehindLayers() throws {
        let toy = try FamilyToy.named("qwen3 with yarn")
        let run = try Run(toy)
        let tokens = toy.tokens(6)
        let width = run.model.architecture.shape.embeddingLength
        var random = SeededRandom(seed: 3)
        let values = FloatBuffer((0..<tokens.count * width).map { _ in random.uniform(-1...1) })
        var span = Span()
        span.behindLayers = [Matrix(values.pointer, rows: tokens.count, cols: width)]
        let found = run.states(tokens, span)
        let expected = run.states(tokens) { x, pass in
            let stack = run.model.architecture.stack
            stack.forward(x, layers: 0..<1, pass)
            pass.cpu.add(span.behindLayers[0], to: x)
            stack.forward(x, layers: 1..<stack.layers.count, pass)
        }
        #expect(sameBits(found, expected))
        withExtendedLifetime(values) {}
    }

    /// Axes that agree are one position; where they differ, each pair of values is turned by its own.
    @Test func positionsWithAxes() throws {
        let sections: [Int32] = [12, 10, 10]
        for (interleaved, axes) in [(true, RopeFrequencies.Axes.interleaved), (false, .consecutive)] {
            let hyper = try Hyperparameters(
                GGUFMetadata([
                    ("general.architecture", .string("x")),
                    ("x.rope.dimension_sections", .array(GGUFArray(sections + [0]))),
                ]))
            let frequencies = try RopeFrequencies(hyper, headDim: 64, axes: axes)
            let axisOfPair = try #require(frequencies.axisOfPair)
            for pair in 0..<32 {
                let section = pair < 12 ? 0 : pair < 22 ? 1 : 2
                // Height and width have had their ten pairs of thirty.
                let inTurn = pair < 30 ? pair % 3 : 0
                #expect(Int(axisOfPair[pair]) == (interleaved ? inTurn : section))
            }

            let layout = try StateLayout(layers: [.none])
            let (compute, work) = (Compute(threads: 1), Workspace())
            func angles(_ span: Span) throws -> [(Float, Float)] {
                let batch = Batch(capacity: 4)
                batch.append([1, 2], to: try SequenceState(layout, capacity: 4), logits: .none, span)
                let angles = compute.angles(frequencies.table(.neox), batch, work)
                return (0..<32).map { (angles.cosines.row(1)[$0], angles.sines.row(1)[$0]) }
            }
            var span = Span()
            let plain = try (0..<8).map { shift in
                span.turns = .places(plus: shift - 1)
                return try angles(span)
            }
            span.turns = .axes([[9, 5], [9, 5], [9, 5]])
            #expect(try angles(span).elementsEqual(plain[5], by: ==))
            span.turns = .axes([[0, 7], [0, 2], [0, 4]])
            let found = try angles(span)
            let positions = [7, 2, 4]
            for pair in 0..<32 {
                let own = plain[positions[Int(axisOfPair[pair])]]
                #expect(found[pair] == own[pair])
            }
        }
    }

    /// Turning everything by the same further angle changes nothing but roundings.
    @Test func shiftedPositions() throws {
        let toy = try FamilyToy.named("qwen3 with yarn")
        let run = try Run(toy, format: .f32)
        var span = Span()
        let plain = run.states(toy.tokens(12))
        span.turns = .places(plus: 7)
        let shifted = run.states(toy.tokens(12), span)
        #expect(!sameBits(plain, shifted))
        let error = zip(plain.joined(), shifted.joined()).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(error < 1e-3, "\(error)")
    }
}

extension FamilyToy {
    /// Layers have inputs of their own, and tokens whose embeddings come from outside get those of padding.
    fileprivate var countsOutsideAsPadding: Bool { name.contains("inputs for each layer") }
}
