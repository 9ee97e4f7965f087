/// Models stored as several files `NAME-00001-of-00003.gguf`, `NAME-00002-of-00003.gguf` …
///
/// Each part is a whole GGUF file with the keys `split.no` (from 0), `split.count` and `split.tensors.count`; the first
/// also carries the model's metadata. Source: llama.cpp, `tools/gguf-split` and its `README.md`.
package enum GGUFSplit {
    static let numberKey = "split.no"
    static let countKey = "split.count"
    static let tensorCountKey = "split.tensors.count"

    /// What a part says about the split; a file in one piece has none of them.
    package static let keys = [numberKey, countKey, tensorCountKey]

    /// The paths of all `count` parts, from the path of any of them, whose form has been checked.
    static func paths(ofAll count: Int, from path: String) -> [String] {
        guard count > 1 else { return [path] }
        let prefix = String(path.dropLast(Self.path(prefix: "", number: 0, count: count).count))
        return (0..<count).map { Self.path(prefix: prefix, number: $0, count: count) }
    }

    /// The name of part `number` (from 0).
    package static func path(prefix: String, number: Int, count: Int) -> String {
        "\(prefix)-\(fiveDigits(number + 1))-of-\(fiveDigits(count)).gguf"
    }

    private static func fiveDigits(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }

    /// Follows a split file from any of its parts; a file that is not split comes back alone.
    ///
    /// Each part must say that it is the one its name says, so that no file is read as two parts. Work is bounded by
    /// the files that exist, because the first missing one ends it.
    /// - Throws: `.splitName`, `.split`, and what a missing or broken part gives.
    static func allParts(startingWith part: GGUFParser.Part, path: String) throws(GGUFError) -> [GGUFParser.Part] {
        let count = try part.metadata.int(countKey, default: 1)
        guard 0...GGUFLimits.splitParts ~= count else {
            throw .split(path: path, key: countKey, found: count, expected: GGUFLimits.splitParts)
        }
        // Tools that merge parts leave a count of zero behind.
        guard count > 1 else { return [part] }
        let number = try part.metadata.int(numberKey)
        guard (0..<count).contains(number) else {
            throw .split(path: path, key: numberKey, found: number, expected: count - 1)
        }
        let suffix = GGUFSplit.path(prefix: "", number: number, count: count)
        guard path.hasSuffix(suffix) else { throw .splitName(path: path, expected: "*" + suffix) }
        let prefix = String(path.dropLast(suffix.count))

        var parts: [GGUFParser.Part] = []
        var tensorCount = 0
        for index in 0..<count {
            let path = GGUFSplit.path(prefix: prefix, number: index, count: count)
            let next = index == number ? part : try GGUFParser.parse(ByteStorage(mapping: path))
            try expect(next, path, numberKey, index)
            try expect(next, path, countKey, count)
            tensorCount += next.tensors.count
            parts.append(next)
        }
        for (index, part) in parts.enumerated() where part.metadata.contains(tensorCountKey) {
            try expect(part, GGUFSplit.path(prefix: prefix, number: index, count: count), tensorCountKey, tensorCount)
        }
        return parts
    }

    private static func expect(
        _ part: GGUFParser.Part, _ path: String, _ key: String, _ expected: Int
    ) throws(GGUFError) {
        let found = try part.metadata.int(key)
        guard found == expected else { throw .split(path: path, key: key, found: found, expected: expected) }
    }
}
