import Synchronization
import Testing

@testable import InferServer

/// That the comparison of keys tells nothing of a right one by the work that it does.
@Suite struct KeyTests {
    /// Bytes that count how often they are looked at.
    private struct CountedBytes: RandomAccessCollection {
        final class Looks: Sendable {
            let count = Mutex(0)
        }

        let bytes: [UInt8]
        let looks = Looks()

        init(_ text: String) { bytes = Array(text.utf8) }

        var startIndex: Int { 0 }
        var endIndex: Int { bytes.count }
        subscript(index: Int) -> UInt8 {
            looks.count.withLock { $0 += 1 }
            return bytes[index]
        }
    }

    /// Wherever a wrong key of the right length begins to differ, and for the right one, every byte of both is looked at
    /// once; for a longer or shorter one the work is that of its length, whatever it holds.
    @Test func theWorkDoesNotTellWhereAKeyIsWrong() {
        let key = "sk-0123456789abcdef"
        for place in 0...key.utf8.count {
            var given = Array(key.utf8)
            if place < given.count { given[place] ^= 1 }
            let (own, other) = (CountedBytes(key), CountedBytes(String(decoding: given, as: UTF8.self)))
            #expect(isSameKey(own, other) == (place == key.utf8.count))
            #expect(own.looks.count.withLock { $0 } == key.utf8.count, "a difference at \(place)")
            #expect(other.looks.count.withLock { $0 } == key.utf8.count, "a difference at \(place)")
        }
        for (right, wrong) in [(String(key.dropLast(5)), "##############"), (key + "more", "#######################")] {
            let looks = [right, wrong].map { text in
                let (own, other) = (CountedBytes(key), CountedBytes(text))
                #expect(!isSameKey(own, other))
                return [own, other].map { $0.looks.count.withLock { $0 } }
            }
            #expect(right.utf8.count == wrong.utf8.count && looks[0] == looks[1])
        }
    }

    @Test(arguments: ["", "a", "sk-0", "sk-01 ", "SK-01", "sk-01\u{0}", "sk-012"]) func wrongKeys(_ given: String) {
        #expect(!isSameKey(Array("sk-01".utf8), Array(given.utf8)))
        #expect(!isSameKey([], Array(given.utf8)))
    }
}
