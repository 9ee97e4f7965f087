package import GGUF

/// Typed, bounded reads of the `{architecture}.*` metadata of one file.
///
/// Every number is checked before anything is allocated or multiplied: zero, a negative number stored as
/// unsigned, and absurd sizes all fail the range test. The bounds are far above any published model and low
/// enough that products of two or three of them cannot overflow.
///
/// Reads are remembered, so that ``finish()`` can refuse a file whose metadata asks for something that its
/// family does not do.
package final class Hyperparameters {
    package let architecture: String
    package let metadata: GGUFMetadata
    /// What the family has asked for so far, present or not.
    private(set) var readKeys: Set<String> = []

    package init(_ metadata: GGUFMetadata) throws(EngineError) {
        guard let name = metadata["general.architecture"]?.stringValue else {
            throw .hyperparameter(
                key: "general.architecture", found: describe(metadata["general.architecture"]), expected: "a string")
        }
        self.architecture = name
        self.metadata = metadata
    }

    // MARK: Integers

    /// One integer within `range`; `fallback` when the key is absent. An array counts if all its values agree.
    package func int(
        _ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil
    ) throws(EngineError) -> Int {
        guard let found = value(key) else {
            if let fallback { return fallback }
            throw missing(key, expected(range))
        }
        let values = found.array?.ints() ?? found.int.map { [$0] } ?? []
        guard let first = values.first, values.allSatisfy({ $0 == first }), range.contains(first) else {
            throw wrong(key, found, expected(range))
        }
        return first
    }

    package func optionalInt(_ key: String, in range: ClosedRange<Int>) throws(EngineError) -> Int? {
        value(key) == nil ? nil : try int(key, in: range)
    }

    /// One integer per layer, from a scalar or from an array of `count` values.
    package func ints(
        _ key: String, count: Int, in range: ClosedRange<Int>, default fallback: Int? = nil
    ) throws(EngineError) -> [Int] {
        guard let list = value(key)?.array else {
            return [Int](repeating: try int(key, in: range, default: fallback), count: count)
        }
        guard let values = list.ints(), values.count == count, values.allSatisfy(range.contains) else {
            throw wrong(key, .array(list), "\(count) integers from \(range.lowerBound) to \(range.upperBound)")
        }
        return values
    }

    /// A list of integers of any length, or nil when the key is absent.
    package func optionalInts(_ key: String, in range: ClosedRange<Int>) throws(EngineError) -> [Int]? {
        guard let found = value(key) else { return nil }
        guard let values = found.array?.ints(), values.allSatisfy(range.contains) else {
            throw wrong(key, found, "a list of integers from \(range.lowerBound) to \(range.upperBound)")
        }
        return values
    }

    // MARK: Other kinds

    /// One finite number within `range`.
    package func float(
        _ key: String, in range: ClosedRange<Double>, default fallback: Double? = nil
    ) throws(EngineError) -> Double {
        let wanted = "a number from \(range.lowerBound) to \(range.upperBound)"
        guard let found = value(key) else {
            if let fallback { return fallback }
            throw missing(key, wanted)
        }
        guard let number = found.double ?? found.int.map(Double.init), range.contains(number) else {
            throw wrong(key, found, wanted)
        }
        return number
    }

    /// One number per layer, from a scalar or from an array of `count` values.
    package func floats(
        _ key: String, count: Int, in range: ClosedRange<Double>, default fallback: Double? = nil
    ) throws(EngineError) -> [Double] {
        guard let list = value(key)?.array else {
            return [Double](repeating: try float(key, in: range, default: fallback), count: count)
        }
        guard let values = list.floats()?.map(Double.init), values.count == count, values.allSatisfy(range.contains)
        else {
            throw wrong(key, .array(list), "\(count) numbers from \(range.lowerBound) to \(range.upperBound)")
        }
        return values
    }

    package func optionalFloat(_ key: String, in range: ClosedRange<Double>) throws(EngineError) -> Double? {
        value(key) == nil ? nil : try float(key, in: range)
    }

    package func bool(_ key: String, default fallback: Bool) throws(EngineError) -> Bool {
        guard let found = value(key) else { return fallback }
        guard let flag = found.boolValue else { throw wrong(key, found, "true or false") }
        return flag
    }

    /// One flag per layer, or nil when the key is absent.
    package func optionalBools(_ key: String, count: Int) throws(EngineError) -> [Bool]? {
        guard let found = value(key) else { return nil }
        let wanted = "\(count) flags"
        guard let list = found.array, list.count == count else { throw wrong(key, found, wanted) }
        var flags: [Bool] = []
        for index in 0..<count {
            let element = list[index]
            guard let flag = element.boolValue ?? element.int.map({ $0 != 0 }) else { throw wrong(key, found, wanted) }
            flags.append(flag)
        }
        return flags
    }

    /// One flag per layer.
    package func bools(_ key: String, count: Int) throws(EngineError) -> [Bool] {
        guard let flags = try optionalBools(key, count: count) else { throw missing(key, "\(count) flags") }
        return flags
    }

    package func optionalString(_ key: String) throws(EngineError) -> String? {
        guard let found = value(key) else { return nil }
        guard let text = found.stringValue else { throw wrong(key, found, "a string") }
        return text
    }

    /// `attention.sliding_window`: keys visible from a query, itself included. Absent and 0 mean all: nil.
    package func window() throws(EngineError) -> Int? {
        let window = try int("attention.sliding_window", in: 0...(1 << 31), default: 0)
        return window > 0 ? window : nil
    }

    // MARK: Consistency

    /// An error about `key` for a value that is in bounds but does not fit the rest of the file.
    package func conflict(_ key: String, found: some CustomStringConvertible, expected: String) -> EngineError {
        .hyperparameter(key: "\(architecture).\(key)", found: found.description, expected: expected)
    }

    // MARK: Helpers

    private func value(_ key: String) -> GGUFValue? {
        readKeys.insert(key)
        return metadata["\(architecture).\(key)"]
    }

    private func expected(_ range: ClosedRange<Int>) -> String {
        "an integer from \(range.lowerBound) to \(range.upperBound)"
    }

    private func missing(_ key: String, _ expected: String) -> EngineError {
        conflict(key, found: "nothing", expected: expected)
    }

    func wrong(_ key: String, _ value: GGUFValue, _ expected: String) -> EngineError {
        conflict(key, found: describe(value), expected: expected)
    }
}

/// A metadata value in a few words; long arrays and strings are cut.
private func describe(_ value: GGUFValue?) -> String {
    guard let value else { return "nothing" }
    if let number = value.int { return String(number) }
    if let number = value.double { return String(number) }
    if let flag = value.boolValue { return String(flag) }
    if let text = value.stringValue { return "'\(text.prefix(80))'" }
    if let list = value.array {
        if list.count <= 16, let ints = list.ints() { return "\(ints)" }
        return "an array of \(list.count)"
    }
    return "an unreadable value"
}
