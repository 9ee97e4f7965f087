/// A JSON value that keeps what the text said: key order, exact code points, integers apart from floating point.
///
/// Strings are compared by code points everywhere in this module, never by canonical equivalence as `String ==` does:
/// a composed and a decomposed accent are different keys and different arguments.
package enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent that fits 64 bits.
    case int(Int)
    /// A larger integer in its decimal digits, with a leading minus if negative and no leading zeros.
    case bigInt(String)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

extension JSONValue: Equatable {
    /// Equal as JSON: objects regardless of key order, numbers by value (`1` equals `1.0`), strings by code points.
    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.bigInt(let a), .bigInt(let b)): a == b
        case (.double(let a), .double(let b)): a == b
        case (.int(let a), .double(let b)), (.double(let b), .int(let a)): Double(a) == b && Int(exactly: b) == a
        case (.bigInt(let a), .double(let b)), (.double(let b), .bigInt(let a)): Double(a) == b
        case (.string(let a), .string(let b)): a.sameCodePoints(as: b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(nilLiteral: ()) { self = .null }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(integerLiteral value: Int) { self = .int(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(stringLiteral value: String) { self = .string(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
}

extension JSONValue {
    /// The member `key` of an object; nil for a missing key and for anything that is not an object.
    package subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    /// The element at `index` of an array; nil outside of it and for anything that is not an array.
    package subscript(index: Int) -> JSONValue? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    package var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var intValue: Int? { if case .int(let value) = self { value } else { nil } }
    package var arrayValue: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    package var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }
    package var isNull: Bool { if case .null = self { true } else { false } }

    /// Any number as floating point.
    package var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .bigInt(let digits): Double(digits)
        case .double(let value): value
        default: nil
        }
    }
}

/// The members of a JSON object in the order of the text.
///
/// A key that is set again keeps its first place and takes the last value, as in Python's `json`.
package struct JSONObject: Sendable {
    package private(set) var keys: [String] = []
    package private(set) var values: [JSONValue] = []
    /// Key → place; only kept once a linear search would cost more than a hash.
    private var places: [CodePoints: Int] = [:]

    private static let linearSearchLimit = 8

    package init() {}

    package init(_ members: some Sequence<(String, JSONValue)>) {
        for (key, value) in members { self[key] = value }
    }

    package var count: Int { keys.count }
    package var isEmpty: Bool { keys.isEmpty }

    /// Members in order.
    package var members: Zip2Sequence<[String], [JSONValue]> { zip(keys, values) }

    /// Setting nil removes the member; the others keep their order.
    package subscript(key: String) -> JSONValue? {
        get { place(of: key).map { values[$0] } }
        set {
            if let place = place(of: key) {
                if let newValue {
                    values[place] = newValue
                } else {
                    keys.remove(at: place)
                    values.remove(at: place)
                    places = [:]
                    indexKeysIfMany()
                }
            } else if let newValue {
                keys.append(key)
                values.append(newValue)
                if places.isEmpty { indexKeysIfMany() } else { places[CodePoints(key)] = keys.count - 1 }
            }
        }
    }

    private func place(of key: String) -> Int? {
        places.isEmpty ? keys.firstIndex { $0.sameCodePoints(as: key) } : places[CodePoints(key)]
    }

    private mutating func indexKeysIfMany() {
        guard keys.count > Self.linearSearchLimit else { return }
        for (place, key) in keys.enumerated() { places[CodePoints(key)] = place }
    }
}

extension JSONObject: Equatable {
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { key, value in right[key] == value }
    }
}

/// A string as a dictionary key by its code points.
package struct CodePoints: Hashable, Sendable {
    package let string: String

    package init(_ string: String) { self.string = string }

    package static func == (left: CodePoints, right: CodePoints) -> Bool {
        left.string.sameCodePoints(as: right.string)
    }

    package func hash(into hasher: inout Hasher) {
        var string = string
        string.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension String {
    /// Equality by code points; `==` would call a composed and a decomposed accent equal.
    package func sameCodePoints(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
