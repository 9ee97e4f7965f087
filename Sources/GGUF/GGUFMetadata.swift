/// The key/value pairs of a file.
///
/// The readers that throw name the key, the type found and the type expected, so that a caller need not.
package struct GGUFMetadata: Sendable {
    /// In file order.
    package private(set) var keys: [String] = []
    private var values: [String: GGUFValue] = [:]

    package init() {}

    /// - Throws: `GGUFError.duplicateKey`.
    package init(_ entries: [(String, GGUFValue)]) throws(GGUFError) {
        for (key, value) in entries { try append(key, value) }
    }

    mutating func reserveCapacity(_ count: Int) {
        keys.reserveCapacity(count)
        values.reserveCapacity(count)
    }

    mutating func append(_ key: String, _ value: GGUFValue) throws(GGUFError) {
        guard values.updateValue(value, forKey: key) == nil else { throw .duplicateKey(key) }
        keys.append(key)
    }

    package var count: Int { keys.count }
    package subscript(key: String) -> GGUFValue? { values[key] }
    package func contains(_ key: String) -> Bool { values[key] != nil }

    // MARK: Required values. Each throws `.missingKey` or `.wrongType`.

    /// Any integer type. Also throws `.outOfRange` for a `uint64` above `Int.max`.
    package func int(_ key: String) throws(GGUFError) -> Int { try required(key, optionalInt(key)) }
    /// Any float or integer type.
    package func double(_ key: String) throws(GGUFError) -> Double { try required(key, optionalDouble(key)) }
    package func bool(_ key: String) throws(GGUFError) -> Bool { try required(key, optionalBool(key)) }
    package func string(_ key: String) throws(GGUFError) -> String { try required(key, optionalString(key)) }
    package func array(_ key: String) throws(GGUFError) -> GGUFArray { try required(key, optionalArray(key)) }
    /// An array of strings; throws `.invalidUTF8` where one is not.
    package func strings(_ key: String) throws(GGUFError) -> [String] { try required(key, optionalStrings(key)) }
    /// An array of any integer type.
    package func ints(_ key: String) throws(GGUFError) -> [Int] { try required(key, optionalInts(key)) }
    /// An array of a float type.
    package func floats(_ key: String) throws(GGUFError) -> [Float] { try required(key, optionalFloats(key)) }

    // MARK: Values with a default. Each throws `.wrongType` when the key is there with another type.

    package func int(_ key: String, default fallback: Int) throws(GGUFError) -> Int {
        try optionalInt(key) ?? fallback
    }
    package func double(_ key: String, default fallback: Double) throws(GGUFError) -> Double {
        try optionalDouble(key) ?? fallback
    }
    package func bool(_ key: String, default fallback: Bool) throws(GGUFError) -> Bool {
        try optionalBool(key) ?? fallback
    }
    package func string(_ key: String, default fallback: String) throws(GGUFError) -> String {
        try optionalString(key) ?? fallback
    }

    // MARK: Optional values: nil when the key is missing, an error when it has another type.

    package func optionalInt(_ key: String) throws(GGUFError) -> Int? {
        if case .uint64(let value)? = values[key], value > UInt64(Int.max) {
            throw .outOfRange(key: key, found: String(value), expected: "at most \(Int.max)")
        }
        return try optional(key, "an integer") { $0.int }
    }
    package func optionalDouble(_ key: String) throws(GGUFError) -> Double? {
        try optional(key, "a number") { $0.double }
    }
    package func optionalBool(_ key: String) throws(GGUFError) -> Bool? {
        try optional(key, "bool") { $0.boolValue }
    }
    package func optionalString(_ key: String) throws(GGUFError) -> String? {
        try optional(key, "string") { $0.stringValue }
    }
    package func optionalArray(_ key: String) throws(GGUFError) -> GGUFArray? {
        try optional(key, "array") { $0.array }
    }
    package func optionalInts(_ key: String) throws(GGUFError) -> [Int]? {
        try optional(key, "array of integers") { $0.array?.ints() }
    }
    package func optionalFloats(_ key: String) throws(GGUFError) -> [Float]? {
        try optional(key, "array of floats") { $0.array?.floats() }
    }
    package func optionalStrings(_ key: String) throws(GGUFError) -> [String]? {
        guard let array = try optional(key, "array of string", { $0.array?.elementType == .string ? $0.array : nil })
        else { return nil }
        var strings: [String] = []
        strings.reserveCapacity(array.count)
        for index in 0..<array.count {
            guard let string = String(validating: array.stringBytes(at: index), as: UTF8.self) else {
                throw .invalidUTF8(field: "\(key)[\(index)]", offset: array.fileOffset(ofStringAt: index))
            }
            strings.append(string)
        }
        return strings
    }

    private func required<Value>(_ key: String, _ value: Value?) throws(GGUFError) -> Value {
        guard let value else { throw .missingKey(key) }
        return value
    }

    private func optional<Value>(
        _ key: String, _ expected: String, _ convert: (GGUFValue) -> Value?
    ) throws(GGUFError) -> Value? {
        guard let value = values[key] else { return nil }
        guard let converted = convert(value) else {
            throw .wrongType(key: key, found: value.typeDescription, expected: expected)
        }
        return converted
    }
}
