package import ChatTemplates
import Foundation

/// A JSON value: what a model writes where it has to keep to a form.
///
/// Objects keep the order of their members, integers stay exact.
public struct GeneratedContent: Sendable, Equatable {
    package let json: JSONValue

    package init(_ json: JSONValue) { self.json = json }

    /// Reads JSON text.
    /// - Throws: ``InvalidJSON`` saying where and what is wrong.
    public init(json text: String) throws {
        do {
            json = try JSONValue(parsing: text)
        } catch {
            throw InvalidJSON(description: "\(error)")
        }
    }

    /// Text that is not JSON.
    public struct InvalidJSON: Error, Equatable, CustomStringConvertible {
        /// Where and what is wrong.
        public let description: String
    }

    /// The value as compact JSON text.
    public var jsonString: String { json.text() }

    /// The member of an object; nil if there is none, or this is no object.
    public subscript(key: String) -> GeneratedContent? { json[key].map(GeneratedContent.init) }

    /// The elements of an array.
    public var arrayValue: [GeneratedContent]? { json.arrayValue?.map(GeneratedContent.init) }
    /// The names of an object's members, in order.
    public var keys: [String]? { json.objectValue?.keys }
    /// The text of a string.
    public var stringValue: String? { json.stringValue }
    /// A number without fraction.
    public var intValue: Int? { json.intValue }
    /// Any number.
    public var doubleValue: Double? { json.doubleValue }
    /// True or false.
    public var boolValue: Bool? { json.boolValue }
    /// Whether this is `null`.
    public var isNull: Bool { json.isNull }

    /// The value as an instance of a type.
    /// - Throws: `DecodingError`.
    public func value<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        if let content = self as? Value { return content }
        return try JSONDecoder().decode(type, from: Data(json.utf8()))
    }
}

extension GeneratedContent: CustomStringConvertible {
    /// ``jsonString``.
    public var description: String { jsonString }
}

extension GeneratedContent: Codable {
    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Reads any value.
    public init(from decoder: any Decoder) throws { json = try Self.read(decoder) }

    private static func read(_ decoder: any Decoder) throws -> JSONValue {
        if let object = try? decoder.container(keyedBy: Key.self) {
            return .object(
                JSONObject(
                    try object.allKeys.map {
                        ($0.stringValue, try object.decode(GeneratedContent.self, forKey: $0).json)
                    }
                ))
        }
        if var array = try? decoder.unkeyedContainer() {
            var elements: [JSONValue] = []
            while !array.isAtEnd { elements.append(try array.decode(GeneratedContent.self).json) }
            return .array(elements)
        }
        let value = try decoder.singleValueContainer()
        if value.decodeNil() { return .null }
        if let bool = try? value.decode(Bool.self) { return .bool(bool) }
        if let int = try? value.decode(Int.self) { return .int(int) }
        if let double = try? value.decode(Double.self) { return .double(double) }
        return .string(try value.decode(String.self))
    }

    /// Writes the value. The order of members is up to the encoder.
    public func encode(to encoder: any Encoder) throws {
        switch json {
        case .object(let object):
            var container = encoder.container(keyedBy: Key.self)
            for (key, value) in object.members {
                try container.encode(GeneratedContent(value), forKey: Key(stringValue: key))
            }
        case .array(let elements):
            var container = encoder.unkeyedContainer()
            for element in elements { try container.encode(GeneratedContent(element)) }
        default:
            var container = encoder.singleValueContainer()
            switch json {
            case .null: try container.encodeNil()
            case .bool(let value): try container.encode(value)
            case .int(let value): try container.encode(value)
            case .bigInt(let digits): try container.encode(Double(digits) ?? .infinity)
            case .double(let value): try container.encode(value)
            case .string(let value): try container.encode(value)
            case .array, .object: break
            }
        }
    }
}
