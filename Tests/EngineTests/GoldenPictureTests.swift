import Foundation
import GGUF
import TestSupport
import Testing

@testable import Engine

/// Text models over pictures: the tower's results stand in the folder and enter the pass in the place of embeddings.
@Suite(.enabled(if: SharedData.goldens != nil, "INFER_GOLDENS names the golden models"))
struct GoldenPictureTests {
    /// The token that stands for a piece of a picture in every golden model.
    private static let pictureToken: Int32 = 500
    /// Families in which the pieces of a picture see each other whatever their order.
    private static let looksAhead: Set<String> = ["gemma3", "gemma4"]

    @Test(arguments: GoldenFolder.all.filter { !$0.meta.pictures.isEmpty })
    func logits(_ folder: GoldenFolder) throws {
        let model = try Model.load(folder.floatFile(), options: .golden)
        var difference = LogitsDifference()
        for prompt in folder.meta.prompts where !prompt.isText {
            let logits = try run(prompt, folder, model)
            for (reference, position) in zip(try folder.rows(prompt.logitsFile), prompt.positions) {
                difference.add(logits[position], reference: reference, margin: 1e-2)
            }
        }
        #expect(difference.count > 0)
        #expect(difference.maximum <= 2e-3)
        #expect(difference.argmaxErrors == 0)
        print("golden \(folder.testDescription), with pictures: max abs diff \(difference.maximum)")
    }

    /// One pass for each run of text and of a picture.
    private func run(_ prompt: GoldenFolder.Prompt, _ folder: GoldenFolder, _ model: Model) throws -> [[Float]] {
        let sequence = try model.makeSequence(contextLength: prompt.tokens.count)
        let batch = Batch(capacity: prompt.tokens.count)
        let work = Workspace()
        let pictures = prompt.images ?? [0]
        var (used, picture) = (0, 0)  // rows of the current picture, and which one it is
        var logits: [[Float]] = []
        var first = 0
        while first < prompt.tokens.count {
            let isPicture = prompt.tokens[first] == Self.pictureToken
            var end = first + 1
            while end < prompt.tokens.count, (prompt.tokens[end] == Self.pictureToken) == isPicture { end += 1 }
            var start = first
            while start < end {
                var span = Span()
                var rows: [FloatBuffer] = []
                var stop = end
                if isPicture {
                    // Two pictures may stand next to each other.
                    let facts = folder.meta.pictures[pictures[picture]]
                    stop = min(end, start + facts.embeddingsShape[0] - used)
                    func piece(_ file: String) throws -> Matrix {
                        let columns = facts.embeddingsShape[1]
                        let all = try GoldenFolder.rows(folder.url.appending(path: file), columns: columns)
                        let buffer = FloatBuffer(all[used..<used + stop - start].flatMap { $0 })
                        rows.append(buffer)
                        return Matrix(buffer.pointer, rows: stop - start, cols: columns)
                    }
                    span.embeddings = try piece(facts.embeddingsFile)
                    span.behindLayers = try (facts.deepstackFiles ?? []).map(piece)
                    span.seesAhead = Self.looksAhead.contains(folder.meta.ggufArchitecture ?? "")
                    used += stop - start
                    if used == facts.embeddingsShape[0] { (used, picture) = (0, picture + 1) }
                }
                if let axes = prompt.positionIdsThw {
                    span.turns = .axes(axes.map { $0[start..<stop].map { Int32($0) } })
                }
                batch.removeAll()
                batch.append(prompt.tokens[start..<stop], to: sequence, logits: .all, span)
                withExtendedLifetime(rows) {
                    model.forward(batch, work) { _, values in
                        for row in 0..<values.rows {
                            logits.append([Float](UnsafeBufferPointer(start: values.row(row), count: values.cols)))
                        }
                    }
                }
                start = stop
            }
            first = end
        }
        return logits
    }
}
