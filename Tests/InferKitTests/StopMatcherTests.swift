import InferKit
import TestSupport
import Testing

@Suite struct StopMatcherTests {
    private func run(_ stops: [String], _ pieces: [String]) -> (shown: [String], stop: String?) {
        var matcher = StopMatcher(stops)
        var shown: [String] = []
        for piece in pieces {
            let (text, stop) = matcher.append(piece)
            shown.append(text)
            if let stop { return (shown, stop) }
        }
        return (shown + [matcher.finish()], nil)
    }

    @Test func textThatCouldBecomeAStopSequenceIsHeldBack() {
        let result = run(["STOP"], ["a S", "T", "O", "x ST", "OP", "y"])
        #expect(result.shown == ["a ", "", "", "STOx ", ""])
        #expect(result.stop == "STOP")
    }

    @Test func heldTextComesAtTheEnd() {
        let result = run(["STOP"], ["STO"])
        #expect(result.shown == ["", "STO"])
        #expect(result.stop == nil)
    }

    @Test func theLongestOfTwoThatEndTogetherCounts() {
        let result = run(["b", "ab", "xyz"], ["1ab2"])
        #expect(result.shown == ["1"])
        #expect(result.stop == "ab")
    }

    @Test func theFirstToEndCounts() {
        let result = run(["abcd", "bc"], ["abcd"])
        #expect(result.shown == ["a"])
        #expect(result.stop == "bc")
    }

    @Test func aStopSequenceMayOverlapItself() {
        #expect(run(["aab"], ["a", "a", "a", "b"]).shown.joined() == "a")
        #expect(run(["abab"], ["ab", "a", "x"]).shown.joined() == "abax")
    }

    @Test func emptyOnesAreIgnored() {
        #expect(run([""], ["abc"]).shown.joined() == "abc")
        #expect(run([], ["abc"]).shown == ["abc", ""])
    }

    @Test func nothingComesAfterTheStop() {
        var matcher = StopMatcher(["x"])
        #expect(matcher.append("1x2").text == "1")
        #expect(matcher.append("3") == ("", nil))
        #expect(matcher.finish() == "")
    }

    @Test func charactersOfSeveralBytes() {
        #expect(run(["é!"], ["ré", "é", "!"]).shown.joined() == "ré")
        // The same letter in two spellings is not the same text.
        #expect(run(["é"], ["e\u{301}"]).shown.joined().unicodeScalars.count == 2)
    }

    /// Against the plain definition, for random texts and stop sequences in every cut into pieces.
    @Test func everyCutGivesTheSameText() {
        var random = SeededRandom(seed: 5)
        func word(_ lengths: ClosedRange<Int>) -> String {
            String(
                (0..<Int.random(in: lengths, using: &random)).map { _ in "abé".randomElement(using: &random) ?? "a" })
        }
        for _ in 0..<300 {
            let stops = (0..<Int.random(in: 1...3, using: &random)).map { _ in word(1...4) }
            let text = word(0...9)
            let expected = reference(stops, text)
            for cuts in 0..<(1 << max(text.count - 1, 0)) {
                var pieces = [""]
                for (index, character) in text.enumerated() {
                    if index > 0, cuts >> (index - 1) & 1 == 1 { pieces.append("") }
                    pieces[pieces.count - 1].append(character)
                }
                let result = run(stops, pieces)
                #expect(result.shown.joined() == expected.text)
                #expect(result.stop == expected.stop)
                // Nothing that was shown at any time may have to be taken back.
                #expect(expected.text.hasPrefix(result.shown.joined()))
            }
        }
    }

    private func reference(_ stops: [String], _ text: String) -> (text: String, stop: String?) {
        let characters = Array(text)
        for end in 0...characters.count {
            let head = String(characters[..<end])
            if let stop = stops.filter({ head.hasSuffix($0) }).max(by: { $0.utf8.count < $1.utf8.count }) {
                return (String(head.dropLast(stop.count)), stop)
            }
        }
        return (text, nil)
    }
}
