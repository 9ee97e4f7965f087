import TestSupport
import Testing

@testable import InferKit

/// Paces a machine that is made up: a step takes 1 and a share for every row beside the first.
@Suite struct ChunkPacerTests {
    private static func seconds(_ rows: Int, perRow: Double) -> Double { 1 + perRow * Double(rows - 1) }

    /// No step with prompt rows takes more than twice as long as one without, from the very first on, and prompts still
    /// get most of what the time allows.
    @Test(arguments: [0.3, 0.1, 0.03, 0.001], [1, 3, 7])
    func theGapStaysWithinItsBound(_ perRow: Double, _ answers: Int) {
        var pacer = ChunkPacer(most: 512)
        let alone = Self.seconds(answers, perRow: perRow)
        var taken = 0
        for _ in 0..<200 {
            let rows = pacer.rows(besides: answers)
            let seconds = Self.seconds(answers + rows, perRow: perRow)
            #expect(seconds <= 2 * alone || rows == ChunkPacer.fewest, "\(rows) rows")
            taken += rows
            pacer.record(seconds: seconds, answers: answers, promptRows: rows)
        }
        let best = min(max(Int(0.8 * alone / perRow), ChunkPacer.fewest), 512)
        #expect(taken >= 150 * best * 8 / 10, "\(taken), at best \(best) a step")
    }

    /// Beyond eight rows a step takes much longer: that is tried once, not again and again.
    @Test func aStepUpIsNotTriedAgainAndAgain() {
        var pacer = ChunkPacer(most: 512)
        var long = 0
        for _ in 0..<400 {
            let rows = pacer.rows(besides: 1)
            let seconds = Self.seconds(1 + rows, perRow: 0.08) + (rows >= 8 ? 1 : 0)
            if seconds > 2 { long += 1 }
            pacer.record(seconds: seconds, answers: 1, promptRows: rows)
        }
        #expect(long <= 1)
        #expect(pacer.rows(besides: 1) == 7)
    }

    /// One slow step, for which somebody else is to blame, changes nothing for long.
    @Test func aHiccupIsForgiven() {
        var pacer = ChunkPacer(most: 512)
        var taken = 0
        for step in 0..<1000 {
            let rows = pacer.rows(besides: 1)
            let hiccup = step % 40 == 39 ? 0.4 : 0.0
            taken += rows
            pacer.record(seconds: Self.seconds(1 + rows, perRow: 0.1) + hiccup, answers: 1, promptRows: rows)
        }
        #expect(taken > 1000 * 5)
    }

    /// Where every step takes up to an eighth more or less than it should, 95 of 100 gaps still keep within the bound.
    @Test(arguments: 0..<20) func almostAllGapsStayWithinTheBoundWhereTimesVary(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var pacer = ChunkPacer(most: 512)
        var gaps: [Double] = []
        // The answer has run for a while.
        for _ in 0..<20 {
            pacer.record(seconds: Double.random(in: 0.875...1.125, using: &random), answers: 1, promptRows: 0)
        }
        while gaps.count < 400 {
            let rows = pacer.rows(besides: 1)
            let seconds = Self.seconds(1 + rows, perRow: 0.12) * Double.random(in: 0.875...1.125, using: &random)
            if rows > 0 { gaps.append(seconds) }
            pacer.record(seconds: seconds, answers: 1, promptRows: rows)
        }
        gaps.sort()
        #expect(gaps[380] <= 2)
        #expect(gaps[200] >= 1.4, "prompts get on")
    }

    /// What a step without prompt rows takes is seen before rows are added, for every number of answers, and again now
    /// and then.
    @Test func looksAtTheAnswersAlone() {
        var pacer = ChunkPacer(most: 64)
        #expect(pacer.rows(besides: 2) == 0)
        pacer.record(seconds: 1, answers: 2, promptRows: 0)
        #expect(pacer.rows(besides: 2) == ChunkPacer.fewest)
        #expect(pacer.rows(besides: 3) == 0)
        for _ in 0..<ChunkPacer.trust { pacer.record(seconds: 1, answers: 2, promptRows: pacer.rows(besides: 2)) }
        #expect(pacer.rows(besides: 2) == 0)
        pacer.record(seconds: 1, answers: 2, promptRows: 0)
        #expect(pacer.rows(besides: 2) > ChunkPacer.fewest)
    }
}
